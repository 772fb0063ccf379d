package transform

import (
	"strings"
	"time"
)

// dateFields is what a text said; a field that it did not name is 0 but for those of newDateFields.
type dateFields struct {
	year, month, day, yearDay int
	hour, half, pm            int // of the day (0–23, -1: not said), of the half day (0–11), and which half
	minute, second, milli     int
	offset                    int // seconds east of UTC
}

// parse reads a text into milliseconds since 1970. As in Java, text may follow what the pattern
// describes, and what the pattern does not name is that of 1970-01-01T00:00:00 UTC. Unlike Java's,
// numbers out of their range are refused, and two-digit years are those from 1946 to 2045.
func (p *datePattern) parse(text string) (ms int64, ok bool) {
	f := dateFields{year: 1970, month: 1, day: 1, hour: -1}
	rest := text
	for i, it := range p.items {
		if it.letter == 0 {
			if rest, ok = strings.CutPrefix(rest, it.literal); !ok {
				return 0, false
			}
			continue
		}
		rest = strings.TrimLeft(rest, " \t")
		// A number ends after its count of digits only where the next field follows it directly.
		limit := 9
		if i+1 < len(p.items) && p.items[i+1].letter != 0 {
			limit = it.count
		}
		if rest, ok = it.parse(&f, rest, limit); !ok {
			return 0, false
		}
	}
	return f.ms()
}

func (it dateItem) parse(f *dateFields, s string, limit int) (rest string, ok bool) {
	switch it.letter {
	case 'M':
		if it.count > 2 {
			return it.parseName(s, 12, func(i int) string { return time.Month(i + 1).String() }, &f.month)
		}
	case 'E':
		var ignored int
		return it.parseName(s, 7, func(i int) string { return time.Weekday(i).String() }, &ignored)
	case 'a':
		return parseHalf(f, s)
	case 'z', 'Z', 'X':
		return parseZone(f, s, it.letter)
	}
	digits := 0
	for digits < len(s) && digits < limit && s[digits] >= '0' && s[digits] <= '9' {
		digits++
	}
	if digits == 0 {
		return s, false
	}
	n := 0
	for _, c := range []byte(s[:digits]) {
		n = n*10 + int(c-'0')
	}
	if it.letter == 'y' && it.count < 3 && digits == 2 {
		n += 1900
		if n < 1946 {
			n += 100
		}
	}
	return s[digits:], it.assign(f, n)
}

// assign sets the field of a letter that is a number; false when the number is out of its range.
func (it dateItem) assign(f *dateFields, n int) bool {
	to := func(field *int, least, most int) bool {
		*field = n
		return n >= least && n <= most
	}
	switch it.letter {
	case 'y':
		return to(&f.year, 1, 999_999_999)
	case 'M':
		return to(&f.month, 1, 12)
	case 'd':
		return to(&f.day, 1, 31)
	case 'D':
		return to(&f.yearDay, 1, 366)
	case 'u':
		return n >= 1 && n <= 7
	case 'H':
		return to(&f.hour, 0, 23)
	case 'k':
		ok := to(&f.hour, 1, 24)
		f.hour %= 24
		return ok
	case 'K':
		return to(&f.half, 0, 11)
	case 'h':
		ok := to(&f.half, 1, 12)
		f.half %= 12
		return ok
	case 'm':
		return to(&f.minute, 0, 59)
	case 's':
		return to(&f.second, 0, 59)
	}
	return to(&f.milli, 0, 999)
}

// parseName reads a full name, or its first three letters, in any case.
func (it dateItem) parseName(s string, names int, name func(int) string, field *int) (rest string, ok bool) {
	for _, short := range []bool{false, true} {
		for i := range names {
			text := name(i)
			if short {
				text = text[:3]
			}
			if len(s) >= len(text) && strings.EqualFold(s[:len(text)], text) {
				*field = i + 1
				return s[len(text):], true
			}
		}
	}
	return s, false
}

func parseHalf(f *dateFields, s string) (rest string, ok bool) {
	if len(s) < 2 {
		return s, false
	}
	switch half := s[:2]; {
	case strings.EqualFold(half, "AM"):
		f.pm = 0
	case strings.EqualFold(half, "PM"):
		f.pm = 1
	default:
		return s, false
	}
	return s[2:], true
}

// parseZone reads Z, UTC, GMT or an offset (+hh, +hhmm, +hh:mm), with or without GMT before it.
func parseZone(f *dateFields, s string, letter byte) (rest string, ok bool) {
	if letter == 'X' {
		if rest, ok = strings.CutPrefix(s, "Z"); ok {
			f.offset = 0
			return rest, true
		}
	} else {
		for _, name := range []string{"UTC", "GMT", "Coordinated Universal Time"} {
			if len(s) < len(name) || !strings.EqualFold(s[:len(name)], name) {
				continue
			}
			f.offset, rest = 0, s[len(name):]
			if name != "GMT" || rest == "" || rest[0] != '+' && rest[0] != '-' {
				return rest, true
			}
			s = rest
			break
		}
	}
	return parseOffset(f, s)
}

func parseOffset(f *dateFields, s string) (rest string, ok bool) {
	if s == "" || s[0] != '+' && s[0] != '-' {
		return s, false
	}
	hours, rest, ok := twoDigits(s[1:])
	if !ok || hours > 23 {
		return s, false
	}
	minutes := 0
	if m, after, found := twoDigits(strings.TrimPrefix(rest, ":")); found {
		minutes, rest = m, after
	}
	if minutes > 59 {
		return s, false
	}
	f.offset = hours*3600 + minutes*60
	if s[0] == '-' {
		f.offset = -f.offset
	}
	return rest, true
}

func twoDigits(s string) (n int, rest string, ok bool) {
	if len(s) < 2 || s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9' {
		return 0, s, false
	}
	return int(s[0]-'0')*10 + int(s[1]-'0'), s[2:], true
}

// ms gives the instant; false when there is no such day.
func (f *dateFields) ms() (int64, bool) {
	hour := f.hour
	if hour < 0 {
		hour = f.half + 12*f.pm
	}
	day := time.Date(f.year, time.Month(f.month), f.day, 0, 0, 0, 0, time.UTC)
	if day.Day() != f.day {
		return 0, false
	}
	if f.yearDay > 0 {
		day = time.Date(f.year, time.January, f.yearDay, 0, 0, 0, 0, time.UTC)
		if day.Year() != f.year {
			return 0, false
		}
	}
	seconds := day.Unix() + int64(hour*3600+f.minute*60+f.second-f.offset)
	return seconds*1000 + int64(f.milli), true
}
