package transform

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// RegexRouter accepts a pair of texts or refuses it; what it accepts never fails on a topic.
func FuzzRouter(f *testing.F) {
	f.Add(`consorcio\.(?<db>\w+)\.dbo\.(.*)`, `${db}-$2\$`, "consorcio.ConsorcioDB.dbo.Clientes")
	f.Add(`a|ab`, `x$0`, "ab")
	f.Add(`(a)|(b)`, `$11$2`, "b")
	f.Add(`(?=x)`, `$`, "")
	f.Add(`[a[b]]`, `${`, "a")
	f.Fuzz(func(t *testing.T, pattern, text, topic string) {
		cfg, err := routerDef().Parse(map[string]string{"regex": pattern, "replacement": text})
		if err != nil {
			return
		}
		router, err := newRouter(cfg)
		if err != nil {
			t.Fatalf("validation accepts what the router refuses: %v", err)
		}
		r := &connector.Record{Topic: topic}
		if _, err := router.Apply(r); err != nil {
			t.Fatal(err)
		}
		if whole := regexp.MustCompile(`\A(?:` + cfg.String("regex") + `)\z`); !whole.MatchString(topic) && r.Topic != topic {
			t.Errorf("topic %q does not match as a whole, and became %q", topic, r.Topic)
		}
	})
}

// A pattern is accepted or refused; what it accepts writes any time, and reads its own text again,
// as the same time where it names all of it.
func FuzzDatePattern(f *testing.F) {
	f.Add("yyyy-MM-dd'T'HH:mm:ss.SSSX", int64(1773482841537), "2026-03-14T10:07:21.537-03:00")
	f.Add("EEE, d MMM yyyy hh:mm:ss a z", int64(-1), "Sat, 14 Mar 2026 10:07:21 PM GMT+01:00")
	f.Add("yyDDDkkKK''u", int64(0), "26 073")
	f.Add("'", int64(1), "")
	f.Fuzz(func(t *testing.T, pattern string, ms int64, text string) {
		p, err := parseDatePattern(pattern)
		if err != nil {
			return
		}
		p.parse(text)
		written := string(p.format(nil, ms))
		year := time.UnixMilli(ms).UTC().Year()
		if pattern == "yyyy-MM-dd'T'HH:mm:ss.SSSX" && year >= 1 && year < 1e9 {
			if again, ok := p.parse(written); !ok || again != ms {
				t.Errorf("%d is written as %q and read as %d, %v", ms, written, again, ok)
			}
		}
	})
}

// A path is accepted or refused, and each list of names has a path that reads as that list.
func FuzzFieldPath(f *testing.F) {
	f.Add("a.b.c")
	f.Add("`a.b`.c")
	f.Add("`a\\`.b`")
	f.Add("..`")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := parsePath(text, "V2")
		if err != nil {
			return
		}
		if len(steps) == 0 || len(steps) > strings.Count(text, ".")+1 {
			t.Errorf("%q has the steps %q", text, steps)
		}
		if strings.Contains(text, "`") {
			return
		}
		if want := strings.Split(text, "."); !slices.Equal(steps, want) {
			t.Errorf("%q has the steps %q, want %q", text, steps, want)
		}
	})
}

// An event of any shape is unwrapped or refused.
func FuzzReference(f *testing.F) {
	f.Add("source.ts_ms:TS")
	f.Add("op")
	f.Add(".:")
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := parseReference("__", text)
		if err != nil {
			return
		}
		if ref.field == "" || !strings.HasPrefix(ref.name, "__") {
			t.Errorf("%q is %+v", text, ref)
		}
	})
}
