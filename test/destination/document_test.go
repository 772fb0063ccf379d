package destination

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryOutcomeOfTheDocumentHasItsTest holds docs/pipeline.md's table to the tests that it names: a function, and in it a case.
func TestEveryOutcomeOfTheDocumentHasItsTest(t *testing.T) {
	document, err := os.ReadFile("../../docs/pipeline.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, f := range files {
		if f == "document_test.go" {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(b)
	}
	_, section, _ := strings.Cut(string(document), "\n# What becomes of which change\n")
	section, _, _ = strings.Cut(section, "\n# ")
	rows := 0
	for _, row := range regexp.MustCompile(`(?m)^\| (.*?) \| .* \| (`+"`.*`"+`) \|$`).FindAllStringSubmatch(section, -1) {
		rows++
		for _, name := range strings.Split(row[2], "; ") {
			function, name, isCase := strings.Cut(strings.Trim(name, "`"), ": ")
			if !strings.Contains(tests.String(), "func Test"+function+"(") || isCase && !strings.Contains(tests.String(), `"`+name+`"`) {
				t.Errorf("%s: there is no test %s %s", row[1], function, name)
			}
		}
	}
	if all := strings.Count(section, "\n| ") - 2; rows < 16 || rows != all {
		t.Errorf("%d of %d rows name a test", rows, all)
	}
}
