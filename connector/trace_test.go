package connector

import (
	"strings"
	"testing"
)

func TestATraceIsReadFromTheHeadersOfARecord(t *testing.T) {
	const (
		w3c  = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		xray = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	)
	header := func(pairs ...string) (h []RawHeader) {
		for i := 0; i < len(pairs); i += 2 {
			h = append(h, RawHeader{Key: pairs[i], Value: []byte(pairs[i+1])})
		}
		return h
	}
	for name, c := range map[string]struct {
		headers []RawHeader
		want    string // as X-Ray writes it; "" for none
	}{
		"W3C":                       {header("traceparent", w3c), "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"},
		"W3C not sampled":           {header("traceparent", w3c[:53]+"00"), "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=0"},
		"a later version with more": {header("traceparent", "01"+w3c[2:]+"-more"), "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"},
		"X-Ray":                     {header("X-Amzn-Trace-Id", xray), xray},
		"X-Ray in lower case":       {header("x-amzn-trace-id", xray), xray},
		"X-Ray in another order":    {header("X-Amzn-Trace-Id", "Sampled=1;Parent=53995c3f42cd8ad8; Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a:0"), xray},
		"both: W3C":                 {header("X-Amzn-Trace-Id", xray, "traceparent", w3c), "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"},
		"a broken W3C beside X-Ray": {header("traceparent", "nonsense", "X-Amzn-Trace-Id", xray), xray},
		"the last of two":           {header("traceparent", w3c, "traceparent", strings.Replace(w3c, "b7", "c8", 1)), "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=c8ad6b7169203331;Sampled=1"},
		"none":                      {header("other", "x"), ""},
		"upper case":                {header("traceparent", strings.ToUpper(w3c)), ""},
		"all zero":                  {header("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01"), ""},
		"version ff":                {header("traceparent", "ff"+w3c[2:]), ""},
		"more behind version 00":    {header("traceparent", w3c+"-x"), ""},
		"cut off":                   {header("traceparent", w3c[:54]), ""},
		"null":                      {[]RawHeader{{Key: "traceparent"}}, ""},
		"X-Ray without parent":      {header("X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793"), ""},
		"X-Ray with a line break":   {header("X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a9942727\r\n;Parent=53995c3f42cd8ad8"), ""},
		"a header of a megabyte":    {header("traceparent", strings.Repeat("0", 1<<20)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := TraceOf(c.headers)
			if got.IsZero() != (c.want == "") || !got.IsZero() && got.XRay() != c.want {
				t.Errorf("%s, want %q", got.XRay(), c.want)
			}
		})
	}
}

func FuzzTraceOf(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")
	f.Fuzz(func(t *testing.T, w3c, xray string) {
		got := TraceOf([]RawHeader{{Key: HeaderTraceParent, Value: []byte(w3c)}, {Key: HeaderXRay, Value: []byte(xray)}})
		if got.IsZero() {
			return
		}
		// What goes on is our own text, whatever came.
		if again := TraceOf([]RawHeader{{Key: HeaderXRay, Value: []byte(got.XRay())}}); again != got {
			t.Errorf("%+v is read again as %+v", got, again)
		}
	})
}
