package jsontext

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestAStringIsEscapedOnlyWhereJSONDemandsIt(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"empty":                          {"", `""`},
		"ASCII":                          {"a<b>&'c", `"a<b>&'c"`},
		"quotes and backslashes":         {`"\`, `"\"\\"`},
		"short escapes":                  {"\b\f\n\r\t", `"\b\f\n\r\t"`},
		"control characters":             {"\x00\x1f\x7f", `"\u0000\u001f` + "\x7f" + `"`},
		"accents and emoji":              {"ção 👩‍👩‍👧 \u2028", `"ção 👩‍👩‍👧 ` + "\u2028" + `"`},
		"a byte that is no UTF-8":        {"a\xffb", `"a` + "\uFFFD" + `b"`},
		"a rune that is cut":             {"abcdefg\xe2\x82", `"abcdefg` + "\uFFFD\uFFFD" + `"`},
		"an overlong rune":               {"\xc0\x80", `"` + "\uFFFD\uFFFD" + `"`},
		"half a surrogate pair":          {"\xed\xa0\xbd", `"` + "\uFFFD\uFFFD\uFFFD" + `"`},
		"U+FFFD itself":                  {"\uFFFD", `"` + "\uFFFD" + `"`},
		"an escape behind eight":         {"12345678\"", `"12345678\""`},
		"an escape in the last of eight": {"12345678901\n", `"12345678901\n"`},
		"a long clean text":              {strings.Repeat("abc ", 100), `"` + strings.Repeat("abc ", 100) + `"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := string(AppendString(nil, tc.in)); got != tc.want {
				t.Errorf("string: got %s, want %s", got, tc.want)
			}
			if got := string(AppendString([]byte("x"), []byte(tc.in))); got != "x"+tc.want {
				t.Errorf("bytes: got %s, want x%s", got, tc.want)
			}
		})
	}
}

func FuzzString(f *testing.F) {
	f.Add("a\"b\xffç\u2028\x00 and eight more")
	f.Fuzz(func(t *testing.T, s string) {
		text := AppendString(nil, s)
		var back string
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		want := strings.Map(func(r rune) rune { return r }, s) // each invalid byte becomes U+FFFD
		if back != want || !utf8.Valid(text) {
			t.Errorf("%q came back as %q", s, back)
		}
	})
}

func TestADecimalKeepsEveryDigit(t *testing.T) {
	cases := map[string]struct {
		unscaled []byte
		scale    int
		want     string
	}{
		"zero":                        {[]byte{0}, 0, "0"},
		"zero with a scale":           {[]byte{0}, 4, "0.0000"},
		"zero with a negative scale":  {[]byte{0}, -4, "0"},
		"a scale of all digits":       {[]byte{12}, 2, "0.12"},
		"a scale beyond the digits":   {[]byte{1}, 10, "0.0000000001"},
		"a negative scale":            {[]byte{12}, -3, "12000"},
		"minus one":                   {[]byte{0xff}, 0, "-1"},
		"minus one, with sign bytes":  {[]byte{0xff, 0xff, 0xff}, 2, "-0.01"},
		"the lowest of a byte":        {[]byte{0x80}, 1, "-12.8"},
		"the highest of 8 bytes":      {[]byte{0x7f, 255, 255, 255, 255, 255, 255, 255}, 2, "92233720368547758.07"},
		"the lowest of 8 bytes":       {[]byte{0x80, 0, 0, 0, 0, 0, 0, 0}, 0, "-9223372036854775808"},
		"the lowest of 16 bytes":      {append([]byte{0x80}, make([]byte, 15)...), 10, "-17014118346046923173168730371.5884105728"},
		"17 bytes with a sign byte":   {append([]byte{0, 0x80}, make([]byte, 15)...), 0, "170141183460469231731687303715884105728"},
		"64 bits without a sign byte": {append([]byte{1}, make([]byte, 8)...), 0, "18446744073709551616"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := AppendDecimal(nil, tc.unscaled, tc.scale)
			if err != nil || string(got) != tc.want {
				t.Errorf("got %s, %v, want %s", got, err, tc.want)
			}
		})
	}
}

// twosComplement is BigInteger.toByteArray.
func twosComplement(v *big.Int) []byte {
	if v.Sign() >= 0 {
		return append([]byte{0}, v.Bytes()...)
	}
	n := uint(8 * (len(v.Bytes()) + 1))
	return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), n), v).Bytes()
}

func TestRandomDecimalsReadBackAsTheSameNumber(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		v := new(big.Int)
		for range r.IntN(6) {
			v.Add(v.Lsh(v, uint(r.IntN(64))), new(big.Int).SetUint64(r.Uint64()))
		}
		if r.IntN(2) == 0 {
			v.Neg(v)
		}
		scale := r.IntN(60) - 15
		text, err := AppendDecimal(nil, twosComplement(v), scale)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := new(big.Rat).SetString(string(text))
		if !ok {
			t.Fatalf("%s is no number", text)
		}
		want := new(big.Rat).SetInt(v)
		power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(scale, -scale))), nil))
		if scale < 0 {
			want.Mul(want, power)
		} else {
			want.Quo(want, power)
		}
		if got.Cmp(want) != 0 || !json.Valid(text) {
			t.Fatalf("%v with scale %d is %s", v, scale, text)
		}
		if _, fraction, _ := strings.Cut(string(text), "."); len(fraction) != max(scale, 0) {
			t.Fatalf("%s has %d digits of scale %d", text, len(fraction), scale)
		}
	}
}

func TestADecimalThatIsNoneLeavesTheBufferAsItWas(t *testing.T) {
	for name, tc := range map[string]struct {
		unscaled []byte
		scale    int
	}{
		"no bytes":          {nil, 2},
		"too many bytes":    {make([]byte, MaxUnscaled+1), 2},
		"a scale too large": {[]byte{1}, MaxScale + 1},
		"a scale too small": {[]byte{1}, -MaxScale - 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := AppendDecimal([]byte("x"), tc.unscaled, tc.scale); err == nil || string(got) != "x" {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

func TestTimesHaveTheDigitsOfTheirUnitAndGoBackByFloorDivision(t *testing.T) {
	day := func(y int, m time.Month, d int) int64 {
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86_400
	}
	cases := []struct {
		form Temporal
		v    int64
		want string
	}{
		{Date, 0, "1970-01-01"},
		{Date, -1, "1969-12-31"},
		{Date, day(2000, 2, 29), "2000-02-29"},
		{Date, day(1, 1, 1), "0001-01-01"},
		{Date, day(9999, 12, 31), "9999-12-31"},
		{Date, day(0, 1, 1), "0000-01-01"},
		{Date, day(-1, 12, 31), "-0001-12-31"},
		{Date, day(10_000, 1, 1), "+10000-01-01"},
		{Date, math.MaxInt32, "+5881580-07-11"},
		{Date, math.MinInt32, "-5877641-06-23"},
		{TimeMillis, 0, "00:00:00.000"},
		{TimeMillis, 86_399_999, "23:59:59.999"},
		{TimeMillis, 90_000_000, "25:00:00.000"},
		{TimeMillis, -1, "-00:00:00.001"},
		{TimeMicros, 1, "00:00:00.000001"},
		{TimeNanos, 86_399_999_999_999, "23:59:59.999999999"},
		{TimeNanos, math.MinInt64, "-2562047:47:16.854775808"},
		{TimestampMillis, -1, "1969-12-31T23:59:59.999"},
		{TimestampMillis, 1_741_957_641_537, "2025-03-14T13:07:21.537"},
		{TimestampMillis, math.MaxInt64, "+292278994-08-17T07:12:55.807"},
		{TimestampMillis, math.MinInt64, "-292275055-05-16T16:47:04.192"},
		{TimestampMicros, -62_135_596_800_000_000, "0001-01-01T00:00:00.000000"},
		{TimestampMicros, 253_402_300_799_999_999, "9999-12-31T23:59:59.999999"},
		{TimestampNanos, math.MaxInt64, "2262-04-11T23:47:16.854775807"},
		{TimestampNanos, math.MinInt64, "1677-09-21T00:12:43.145224192"},
		{NotTemporal, -5, "-5"},
	}
	for _, tc := range cases {
		t.Run(tc.want, func(t *testing.T) {
			if got := string(AppendTemporal([]byte("x"), tc.form, tc.v)); got != "x"+tc.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestTheDaysOfTenThousandYearsAreThoseOfPackageTime(t *testing.T) {
	first := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := 0; i < 3_652_425; i += 7 {
		d := first.AddDate(0, 0, i)
		if got, want := string(AppendTemporal(nil, Date, d.Unix()/secondsOfDay)), d.Format(time.DateOnly); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestRandomTimestampsAreThoseOfPackageTime(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50_000 {
		v := r.Int64() - math.MaxInt64/2
		if got, want := string(AppendTemporal(nil, TimestampNanos, v)), time.Unix(0, v).UTC().Format("2006-01-02T15:04:05.000000000"); got != want {
			t.Fatalf("%d: got %s, want %s", v, got, want)
		}
	}
}

func TestFloatsAreTheShortestThatReadBack(t *testing.T) {
	cases := []struct {
		v    float64
		bits int
		want string
	}{
		{0, 64, "0"}, {math.Copysign(0, -1), 64, "-0"}, {1, 64, "1"}, {0.1, 64, "0.1"}, {float64(float32(0.1)), 32, "0.1"},
		{float64(float32(0.1)), 64, "0.10000000149011612"}, {1e20, 64, "100000000000000000000"}, {1e21, 64, "1e+21"},
		{1e-6, 64, "0.000001"}, {1e-7, 64, "1e-7"}, {1e-10, 64, "1e-10"}, {math.MaxFloat64, 64, "1.7976931348623157e+308"},
		{math.SmallestNonzeroFloat64, 64, "5e-324"}, {math.MaxFloat32, 32, "3.4028235e+38"}, {math.SmallestNonzeroFloat32, 32, "1e-45"},
		{math.NaN(), 64, `"NaN"`}, {math.Inf(1), 32, `"Infinity"`}, {math.Inf(-1), 64, `"-Infinity"`},
	}
	for _, tc := range cases {
		t.Run(tc.want, func(t *testing.T) {
			if got := string(AppendFloat(nil, tc.v, tc.bits)); got != tc.want {
				t.Errorf("got %s", got)
			}
		})
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		v := math.Float64frombits(r.Uint64())
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		want, err := json.Marshal(v)
		if got := string(AppendFloat(nil, v, 64)); err != nil || got != string(want) {
			t.Fatalf("got %s, encoding/json says %s, %v", got, want, err)
		}
		w := math.Float32frombits(r.Uint32())
		if want, err = json.Marshal(w); err != nil {
			continue
		}
		if got := string(AppendFloat(nil, float64(w), 32)); got != string(want) {
			t.Fatalf("got %s, encoding/json says %s", got, want)
		}
	}
}

func TestIntegersAreThoseOfStrconv(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	check := func(v int64) {
		if got := string(AppendInt([]byte("x"), v)); got != "x"+strconv.FormatInt(v, 10) {
			t.Fatalf("got %s for %d", got, v)
		}
	}
	for p := int64(1); p > 0 && p <= 1e18; p *= 10 {
		for _, v := range []int64{p - 1, p, p + 1, -p} {
			check(v)
		}
	}
	check(math.MaxInt64)
	check(math.MinInt64)
	for range 50_000 {
		check(int64(r.Uint64()) >> r.IntN(64))
	}
}

func TestBinaryDataHasTwoForms(t *testing.T) {
	b := []byte{0, 0xfb, 0xff, 0x10}
	if got := string(AppendBase64([]byte("x"), b)); got != "xAPv/EA==" {
		t.Errorf("base64 %s", got)
	}
	if got := string(AppendHex([]byte("x"), b)); got != fmt.Sprintf("x%x", b) {
		t.Errorf("hex %s", got)
	}
}

func BenchmarkAppend(b *testing.B) {
	buf := make([]byte, 0, 256)
	accents := []byte("Cliente desde a fundação; prefere contato à tarde.")
	ascii := []byte("maria.conceicao@example.com.br")
	run := func(name string, f func([]byte) []byte) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = f(buf[:0])
			}
		})
	}
	run("ascii", func(dst []byte) []byte { return AppendString(dst, ascii) })
	run("accents", func(dst []byte) []byte { return AppendString(dst, accents) })
	run("nanos", func(dst []byte) []byte { return AppendTemporal(dst, TimestampNanos, 1_562_639_337_123_456_700) })
	run("decimal18", func(dst []byte) []byte { dst, _ = AppendDecimal(dst, []byte{1, 2, 3, 4, 5}, 2); return dst })
	run("decimal38", func(dst []byte) []byte {
		dst, _ = AppendDecimal(dst, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, 10)
		return dst
	})
	run("float", func(dst []byte) []byte { return AppendFloat(dst, 0.8125, 64) })
}
