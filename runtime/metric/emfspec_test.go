package metric

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

// units are those of a MetricDatum in CloudWatch's API reference.
const units = " Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits Megabits Gigabits Terabits Percent Count " +
	"Bytes/Second Kilobytes/Second Megabytes/Second Gigabytes/Second Terabytes/Second Bits/Second Kilobits/Second Megabits/Second Gigabits/Second Terabits/Second Count/Second None "

// checkEMF holds a line against the specification of the embedded metric format: structure, required members, targets and limits.
func checkEMF(line []byte) error {
	switch {
	case len(line) > 1<<20:
		return fmt.Errorf("%d bytes: an event has at most 1 MB", len(line))
	case !utf8.Valid(line) || bytes.ContainsAny(line, "\n\r"):
		return fmt.Errorf("not one line of UTF-8")
	}
	var root map[string]any
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(&root); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("something stands around the object")
	}
	aws, ok := root["_aws"].(map[string]any)
	if !ok {
		return fmt.Errorf("no object _aws")
	}
	for k := range aws {
		if k != "Timestamp" && k != "CloudWatchMetrics" {
			return fmt.Errorf("_aws has the member %s", k)
		}
	}
	if at, ok := aws["Timestamp"].(float64); !ok || at != math.Trunc(at) || at < 1e12 || at > 1e14 {
		return fmt.Errorf("_aws.Timestamp is %v, not ms since 1970", aws["Timestamp"])
	}
	directives, ok := aws["CloudWatchMetrics"].([]any)
	if !ok || len(directives) == 0 {
		return fmt.Errorf("_aws.CloudWatchMetrics is no list")
	}
	for _, d := range directives {
		if err := checkDirective(root, d); err != nil {
			return err
		}
	}
	return nil
}

func checkDirective(root map[string]any, directive any) error {
	d, _ := directive.(map[string]any)
	for k := range d {
		if k != "Namespace" && k != "Dimensions" && k != "Metrics" {
			return fmt.Errorf("a directive has the member %s", k)
		}
	}
	if ns, _ := d["Namespace"].(string); ns == "" || len(ns) > 1024 || strings.HasPrefix(ns, "AWS/") {
		return fmt.Errorf("Namespace is %v", d["Namespace"])
	}
	sets, _ := d["Dimensions"].([]any)
	if len(sets) == 0 {
		return fmt.Errorf("no Dimensions")
	}
	for _, s := range sets {
		set, ok := s.([]any)
		if !ok || len(set) == 0 || len(set) > 30 {
			return fmt.Errorf("a DimensionSet with %d dimensions: 1 to 30 are allowed", len(set))
		}
		for _, name := range set {
			value, ok := root[fmt.Sprint(name)].(string)
			if !ok || value == "" || len(value) > 1024 || strings.TrimSpace(value) == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
				return fmt.Errorf("dimension %v has the value %#v", name, root[fmt.Sprint(name)])
			}
		}
	}
	metrics, _ := d["Metrics"].([]any)
	if len(metrics) == 0 || len(metrics) > 100 {
		return fmt.Errorf("a directive with %d metrics: 1 to 100 are allowed", len(metrics))
	}
	seen := map[string]bool{}
	for _, m := range metrics {
		def, _ := m.(map[string]any)
		name, _ := def["Name"].(string)
		if name == "" || len(name) > 1024 || seen[name] {
			return fmt.Errorf("metric %#v", def["Name"])
		}
		seen[name] = true
		if unit, ok := def["Unit"].(string); !ok || !strings.Contains(units, " "+unit+" ") {
			return fmt.Errorf("metric %s has the unit %v", name, def["Unit"])
		}
		if r, given := def["StorageResolution"]; given && r != 1.0 && r != 60.0 {
			return fmt.Errorf("metric %s has the StorageResolution %v", name, r)
		}
		if err := checkTarget(root[name]); err != nil {
			return fmt.Errorf("metric %s: %w", name, err)
		}
	}
	return nil
}

// checkTarget checks what a metric's name refers to.
func checkTarget(v any) error {
	switch v := v.(type) {
	case float64:
		return nil
	case []any:
		if len(v) == 0 || len(v) > 100 {
			return fmt.Errorf("%d values: 1 to 100 are allowed", len(v))
		}
		for _, x := range v {
			if _, ok := x.(float64); !ok {
				return fmt.Errorf("the value %#v", x)
			}
		}
		return nil
	}
	return fmt.Errorf("the value %#v", v)
}

func TestTheValidatorRefusesWhatTheSpecificationForbids(t *testing.T) {
	good := `{"_aws":{"Timestamp":1764291600000,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["D"]],"Metrics":[{"Name":"M","Unit":"Count"}]}]},"D":"d","M":1}`
	if err := checkEMF([]byte(good)); err != nil {
		t.Fatal(err)
	}
	many := func(n int, item string) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	for name, change := range map[string][2]string{
		"no metadata":                     {`"_aws"`, `"aws"`},
		"seconds for milliseconds":        {`1764291600000`, `1764291600`},
		"text for a timestamp":            {`1764291600000`, `"1764291600000"`},
		"an unknown member":               {`"Namespace"`, `"Extra":1,"Namespace"`},
		"no namespace":                    {`"N"`, `""`},
		"an AWS namespace":                {`"N"`, `"AWS/States"`},
		"a dimension without value":       {`"D":"d"`, `"E":"d"`},
		"a blank dimension":               {`"D":"d"`, `"D":" "`},
		"a dimension in another alphabet": {`"D":"d"`, `"D":"ç"`},
		"31 dimensions":                   {`["D"]`, `[` + many(31, `"D"`) + `]`},
		"an unknown unit":                 {`"Count"`, `"Records"`},
		"a metric without value":          {`"M":1`, `"N":1`},
		"a value in text":                 {`"M":1`, `"M":"1"`},
		"an empty list of values":         {`"M":1`, `"M":[]`},
		"101 values":                      {`"M":1`, `"M":[` + many(101, "1") + `]`},
		"a metric twice":                  {`[{"Name"`, `[{"Name":"M","Unit":"Count"},{"Name"`},
		"two lines":                       {`"D":"d"`, "\"D\":\n\"d\""},
		"something behind":                {`"M":1}`, `"M":1} x`},
		"a prefix":                        {`{"_aws"`, `INFO {"_aws"`},
		"more than 1 MB":                  {`"M":1}`, `"M":1,"x":"` + strings.Repeat("x", 1<<20) + `"}`},
	} {
		if err := checkEMF([]byte(strings.Replace(good, change[0], change[1], 1))); err == nil {
			t.Errorf("%s is let through", name)
		}
	}
}
