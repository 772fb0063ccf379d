package jsontext

import "slices"

// Temporal says how an integer counts time. The zero Temporal is a plain number.
type Temporal uint8

// The temporal forms of the wire. Times count from midnight, dates and timestamps from
// 1970-01-01T00:00:00 in the proleptic Gregorian calendar; none of them knows a zone.
const (
	NotTemporal Temporal = iota
	Date                 // days
	TimeMillis
	TimeMicros
	TimeNanos
	TimestampMillis
	TimestampMicros
	TimestampNanos
)

// unit of a Temporal: counts in a second and the digits of the fraction.
type unit struct {
	perSecond int64
	digits    int
}

var units = [...]unit{
	TimeMillis: {1e3, 3}, TimeMicros: {1e6, 6}, TimeNanos: {1e9, 9},
	TimestampMillis: {1e3, 3}, TimestampMicros: {1e6, 6}, TimestampNanos: {1e9, 9},
}

const secondsOfDay = 86_400

// longest is more than the longest text of a Temporal has.
const longest = 48

// AppendTemporal appends the ISO-8601 text of v without quotes and without a zone, with all
// digits of the unit: "2019-07-09", "08:30:00.123", "2019-07-09T02:28:57.123456700". Negative
// counts go back in time (floor division). Years outside 0000–9999 carry a sign, as ISO-8601
// and java.time write them. A time outside the day keeps its hours ("25:00:00.000",
// "-00:00:00.001"): nothing is wrapped.
func AppendTemporal(dst []byte, t Temporal, v int64) []byte {
	if cap(dst)-len(dst) < longest {
		dst = slices.Grow(dst, longest)
	}
	switch t {
	case Date:
		return appendDate(dst, v)
	case TimeMillis, TimeMicros, TimeNanos:
		if v >= 0 {
			return appendClock(dst, uint64(v), units[t])
		}
		return appendClock(append(dst, '-'), -uint64(v), units[t])
	case TimestampMillis, TimestampMicros, TimestampNanos:
		u := units[t]
		perDay := u.perSecond * secondsOfDay
		days, rest := v/perDay, v%perDay
		if rest < 0 {
			days--
			rest += perDay
		}
		return appendClock(append(appendDate(dst, days), 'T'), uint64(rest), u)
	}
	return AppendInt(dst, v)
}

// appendClock writes hours, minutes, seconds and the fraction of v counts.
func appendClock(dst []byte, v uint64, u unit) []byte {
	seconds := v / uint64(u.perSecond)
	fraction := uint32(v - seconds*uint64(u.perSecond))
	hours := seconds / 3600
	rest := uint32(seconds - hours*3600)
	if hours < 100 {
		dst = append2(dst, uint32(hours))
	} else {
		dst = appendUint(dst, hours)
	}
	minute, second := rest/60, rest%60
	dst = append(dst, ':', pairs[2*minute], pairs[2*minute+1], ':', pairs[2*second], pairs[2*second+1], '.')
	return appendPadded(dst, fraction, u.digits)
}

// appendDate writes the day that lies days after 1970-01-01. The arithmetic counts in eras of
// 400 years that begin on a 1st of March (H. Hinnant, chrono-Compatible Low-Level Date Algorithms).
func appendDate(dst []byte, days int64) []byte {
	const daysOfEra, toMarchOfYear0 = 146_097, 719_468
	days += toMarchOfYear0
	era := days / daysOfEra
	if days < era*daysOfEra {
		era--
	}
	day := uint32(days - era*daysOfEra)
	year := (day - day/1460 + day/36_524 - day/146_096) / 365
	day -= 365*year + year/4 - year/100
	month := (5*day + 2) / 153
	day -= (153*month+2)/5 - 1
	y := era*400 + int64(year)
	if month < 10 {
		month += 3
	} else {
		month -= 9
		y++
	}
	if y < 0 || y > 9999 {
		dst = appendFarYear(dst, y)
	} else {
		century, rest := uint32(y)/100, uint32(y)%100
		dst = append(dst, pairs[2*century], pairs[2*century+1], pairs[2*rest], pairs[2*rest+1])
	}
	return append(dst, '-', pairs[2*month], pairs[2*month+1], '-', pairs[2*day], pairs[2*day+1])
}

// appendFarYear writes a year outside 0000–9999.
func appendFarYear(dst []byte, y int64) []byte {
	switch {
	case y > 9999:
		return appendUint(append(dst, '+'), uint64(y))
	case y >= -9999:
		return appendPadded(append(dst, '-'), uint32(-y), 4)
	}
	return AppendInt(dst, y)
}
