package transform

import (
	"fmt"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
)

// datePattern is a pattern of Java's SimpleDateFormat, in English and UTC. Its letters are
// y M d D E u a H k K h m s S z Z X.
type datePattern struct {
	text  string
	items []dateItem
}

// dateItem is a letter and how often it stands, or a literal text with letter 0.
type dateItem struct {
	letter  byte
	count   int
	literal string
}

const dateLetters = "yMdDEuaHkKhmsSzZX"

// parseDatePattern reads a pattern. The error names the letter that is not supported.
func parseDatePattern(text string) (*datePattern, error) {
	p := &datePattern{text: text}
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '\'':
			literal, n := quoted(text[i:])
			if n == 0 {
				return nil, message("Unterminated quote")
			}
			p.literal(literal)
			i += n
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			n := 1
			for i+n < len(text) && text[i+n] == c {
				n++
			}
			if err := checkLetter(c, n); err != nil {
				return nil, err
			}
			p.items = append(p.items, dateItem{letter: c, count: n})
			i += n
		default:
			p.literal(text[i : i+1])
			i++
		}
	}
	return p, nil
}

// literal appends text that stands for itself.
func (p *datePattern) literal(text string) {
	if last := len(p.items) - 1; last >= 0 && p.items[last].letter == 0 {
		p.items[last].literal += text
		return
	}
	p.items = append(p.items, dateItem{literal: text})
}

// quoted gives the text of the quotation that s begins with, and its length; 0 when it has no end.
// Two quotes are one quote, inside and outside of a quotation.
func quoted(s string) (literal string, n int) {
	if strings.HasPrefix(s, "''") {
		return "'", 2
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '\'':
			b.WriteByte(s[i])
		case strings.HasPrefix(s[i:], "''"):
			b.WriteByte('\'')
			i++
		default:
			return b.String(), i + 1
		}
	}
	return "", 0
}

func checkLetter(c byte, count int) error {
	what := map[byte]string{'G': "era", 'Y': "week year", 'w': "week of the year", 'W': "week of the month", 'F': "weekday of the month", 'L': "month without a day"}[c]
	switch {
	case what != "":
		return message(fmt.Sprintf("pattern letter '%c' (%s) is not supported by this worker", c, what))
	case strings.IndexByte(dateLetters, c) < 0:
		return message(fmt.Sprintf("Illegal pattern character '%c'", c))
	case c == 'S' && count > 3:
		return message("more than three of pattern letter 'S' are not supported by this worker: they do not mean smaller fractions, but milliseconds with zeros before them")
	case c == 'X' && count > 3:
		return message(fmt.Sprintf("invalid ISO 8601 format: length=%d", count))
	case count > 9:
		return message(fmt.Sprintf("more than nine of pattern letter '%c' are not supported by this worker", c))
	}
	return nil
}

// dateValidator accepts the supported patterns; the empty text too.
func dateValidator() config.Validator {
	return config.Func("pattern of SimpleDateFormat with the letters "+dateLetters, func(name string, value any) error {
		text, _ := value.(string)
		if _, err := parseDatePattern(text); err != nil {
			return config.Invalid(name, value, err.Error())
		}
		return nil
	})
}

// format appends the text of a time in milliseconds since 1970.
func (p *datePattern) format(dst []byte, ms int64) []byte {
	t := time.UnixMilli(ms).UTC()
	for _, it := range p.items {
		dst = it.format(dst, t)
	}
	return dst
}

func (it dateItem) format(dst []byte, t time.Time) []byte {
	switch it.letter {
	case 0:
		return append(dst, it.literal...)
	case 'y':
		return it.formatYear(dst, t)
	case 'M':
		return it.formatMonth(dst, t)
	case 'E':
		return append(dst, it.name(t.Weekday().String())...)
	case 'a':
		return t.AppendFormat(dst, "PM")
	case 'z':
		if it.count > 3 {
			return append(dst, "Coordinated Universal Time"...)
		}
		return append(dst, "UTC"...)
	case 'Z':
		return append(dst, "+0000"...)
	case 'X':
		return append(dst, 'Z')
	}
	return appendPadded(dst, it.number(t), it.count)
}

func (it dateItem) formatYear(dst []byte, t time.Time) []byte {
	year := t.Year()
	if year <= 0 {
		year = 1 - year // the year of the era before
	}
	if it.count == 2 {
		year %= 100
	}
	return appendPadded(dst, year, it.count)
}

func (it dateItem) formatMonth(dst []byte, t time.Time) []byte {
	if it.count > 2 {
		return append(dst, it.name(t.Month().String())...)
	}
	return appendPadded(dst, int(t.Month()), it.count)
}

// name gives the full name, or its first three letters for a count below 4.
func (it dateItem) name(full string) string {
	if it.count > 3 {
		return full
	}
	return full[:3]
}

// number gives the value of a letter that is always a number.
func (it dateItem) number(t time.Time) int {
	switch it.letter {
	case 'd':
		return t.Day()
	case 'D':
		return t.YearDay()
	case 'u':
		return (int(t.Weekday())+6)%7 + 1
	case 'H':
		return t.Hour()
	case 'k':
		return (t.Hour()+23)%24 + 1
	case 'K':
		return t.Hour() % 12
	case 'h':
		return (t.Hour()+11)%12 + 1
	case 'm':
		return t.Minute()
	case 's':
		return t.Second()
	}
	return t.Nanosecond() / 1_000_000
}

// appendPadded appends n, which is not negative, with zeros before it up to width digits.
func appendPadded(dst []byte, n, width int) []byte {
	return fmt.Appendf(dst, "%0*d", width, n)
}
