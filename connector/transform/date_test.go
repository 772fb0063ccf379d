package transform

import (
	"testing"
	"time"
)

func TestADatePatternWritesEveryLetterAsSimpleDateFormatDoes(t *testing.T) {
	at := time.Date(2026, time.March, 4, 0, 7, 1, 37e6, time.UTC).UnixMilli()
	night := time.Date(2026, time.December, 31, 23, 59, 59, 999e6, time.UTC).UnixMilli()
	for _, c := range []struct{ pattern, morning, evening string }{
		{"y yy yyy yyyy yyyyy", "2026 26 2026 2026 02026", "2026 26 2026 2026 02026"},
		{"M MM MMM MMMM", "3 03 Mar March", "12 12 Dec December"},
		{"d dd D DDD", "4 04 63 063", "31 31 365 365"},
		{"E EEEE u", "Wed Wednesday 3", "Thu Thursday 4"},
		{"H HH k kk K KK h hh a", "0 00 24 24 0 00 12 12 AM", "23 23 23 23 11 11 11 11 PM"},
		{"m mm s ss S SS SSS", "7 07 1 01 37 37 037", "59 59 59 59 999 999 999"},
		{"z zzzz Z X XX XXX", "UTC Coordinated Universal Time +0000 Z Z Z", "UTC Coordinated Universal Time +0000 Z Z Z"},
		{"''yyyy'' 'o''clock' é/", "'2026' o'clock é/", "'2026' o'clock é/"},
	} {
		p, err := parseDatePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(p.format(nil, at)); got != c.morning {
			t.Errorf("%s writes %q, want %q", c.pattern, got, c.morning)
		}
		if got := string(p.format(nil, night)); got != c.evening {
			t.Errorf("%s writes %q, want %q", c.pattern, got, c.evening)
		}
	}
}

func TestADatePatternReadsWhatSimpleDateFormatReads(t *testing.T) {
	for _, c := range []struct{ pattern, text, want string }{
		{"yyyy-MM-dd", "2026-03-14", "2026-03-14T00:00:00Z"},
		{"yyyy-MM-dd", "2026-3-4 and more", "2026-03-04T00:00:00Z"},
		{"yyyyMMddHHmmssSSS", "20260314100721537", "2026-03-14T10:07:21.537Z"},
		{"dd/MM/yy", "14/03/26", "2026-03-14T00:00:00Z"},
		{"dd/MM/yy", "14/03/46", "1946-03-14T00:00:00Z"},
		{"dd/MM/yy", "14/03/2126", "2126-03-14T00:00:00Z"},
		{"yyyy DDD", "2024 366", "2024-12-31T00:00:00Z"},
		{"HH:mm", "10:07", "1970-01-01T10:07:00Z"},
		{"hh:mm a", "12:07 am", "1970-01-01T00:07:00Z"},
		{"KK:mm a", "00:07 PM", "1970-01-01T12:07:00Z"},
		{"kk", "24", "1970-01-01T00:00:00Z"},
		{"d MMM yyyy", "14 MARCH 2026", "2026-03-14T00:00:00Z"},
		{"d MMMM yyyy", "14 mar 2026", "2026-03-14T00:00:00Z"},
		{"EEE d MMM yyyy u", "Sat 14 Mar 2026 6", "2026-03-14T00:00:00Z"},
		{"yyyy-MM-dd HHX", "2026-03-14 10-03", "2026-03-14T13:00:00Z"},
		{"yyyy-MM-dd HHXXX", "2026-03-14 10+05:30", "2026-03-14T04:30:00Z"},
		{"yyyy-MM-dd HHX", "2026-03-14 10Z", "2026-03-14T10:00:00Z"},
		{"yyyy-MM-dd HH Z", "2026-03-14 10 -0300", "2026-03-14T13:00:00Z"},
		{"yyyy-MM-dd HH z", "2026-03-14 10 GMT-3:00", ""},
		{"yyyy-MM-dd HH z", "2026-03-14 10 GMT-03:00", "2026-03-14T13:00:00Z"},
		{"yyyy-MM-dd HH z", "2026-03-14 10 UTC", "2026-03-14T10:00:00Z"},
		{"yyyy-MM-dd HH z", "2026-03-14 10 BRT", ""},
		{"yyyy-MM-dd HHX", "2026-03-14 10+99", ""},
		{"yyyy-MM-dd", "2026-13-14", ""},
		{"yyyy-MM-dd", "2026-02-29", ""},
		{"yyyy-MM-dd", "2024-02-29", "2024-02-29T00:00:00Z"},
		{"yyyy-MM-dd", "0000-01-01", ""},
		{"yyyy-MM-dd", "x", ""},
		{"HH:mm:ss", "24:00:00", ""},
		{"HH:mm:ss", "23:60:00", ""},
		{"HH:mm:ss", "23:59:60", ""},
		{"ss.SSS", "01.123456", ""},
		{"u", "8", ""},
		{"yyyy DDD", "2023 366", ""},
		{"a", "xm", ""},
		{"MMM", "xxx", ""},
	} {
		p, err := parseDatePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		ms, ok := p.parse(c.text)
		got := ""
		if ok {
			got = time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
		}
		if got != c.want {
			t.Errorf("%s reads %q as %q, want %q", c.pattern, c.text, got, c.want)
		}
	}
}
