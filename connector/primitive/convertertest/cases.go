package convertertest

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write golden files anew")

// Case is one case of a golden file.
type Case struct {
	Name   string
	Config []string // lines before the input, such as key=value
	Input  []string // lines with their mark
	Output []string // lines without their mark
}

// Golden compares each case of the file with what outcome makes of it; with the flag -update it writes the file anew.
func Golden(t *testing.T, file string, outcome func(t *testing.T, c *Case) []string) {
	t.Helper()
	cases := Load(t, file)
	for i := range cases {
		c := &cases[i]
		t.Run(c.Name, func(t *testing.T) {
			got := outcome(t, c)
			if *update {
				c.Output = got
			}
			if !slices.Equal(got, c.Output) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.Output, "\n"))
			}
		})
	}
	if *update {
		save(t, file, cases)
	}
}

// Load reads the cases of a golden file.
func Load(t testing.TB, file string) []Case {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []Case
	for n, line := range strings.Split(string(text), "\n") {
		if name, ok := strings.CutPrefix(line, "== "); ok {
			cases = append(cases, Case{Name: name})
			continue
		}
		if line == "" {
			continue
		}
		if len(cases) == 0 {
			t.Fatalf("%s:%d: a line before the first case", file, n+1)
		}
		c := &cases[len(cases)-1]
		switch line[0] {
		case '<':
			c.Input = append(c.Input, line)
		case '>':
			c.Output = append(c.Output, strings.TrimPrefix(line[1:], " "))
		default:
			c.Config = append(c.Config, line)
		}
	}
	return cases
}

func save(t *testing.T, file string, cases []Case) {
	t.Helper()
	var b strings.Builder
	for i, c := range cases {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("== " + c.Name + "\n")
		for _, line := range slices.Concat(c.Config, c.Input) {
			b.WriteString(line + "\n")
		}
		for _, line := range c.Output {
			b.WriteString("> " + line + "\n")
		}
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
