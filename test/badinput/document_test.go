package badinput

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheTableOfTheDocumentationIsWhatTheTestsShow compares docs/bad-input.md with the cases, their states and
// stages, and with the tests of this package.
func TestTheTableOfTheDocumentationIsWhatTheTestsShow(t *testing.T) {
	t.Parallel()
	cases, tests := documented(t)
	want := map[string]string{}
	for _, b := range badRecords() {
		want[b.name] = b.stage
	}
	for _, o := range oddRecords() {
		want[o.name] = running
	}
	for _, b := range badDestinations() {
		want[b.name] = b.state
	}
	for _, b := range badRegistries() {
		want[b.name] = b.state
	}
	for _, q := range badQueues() {
		want[q.name] = q.state
	}
	if diff := cmp.Diff(want, cases); diff != "" {
		t.Errorf("cases and what becomes of them (-tests +docs):\n%s", diff)
	}
	if diff := cmp.Diff(testNames(t), tests); diff != "" {
		t.Errorf("tests (-tests +docs):\n%s", diff)
	}
}

// documented reads the tables: the rows of each case with its second cell, and the tests that rows name.
func documented(t *testing.T) (cases map[string]string, tests []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "bad-input.md"))
	if err != nil {
		t.Fatal(err)
	}
	cases = map[string]string{}
	named := map[string]bool{}
	var head []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			head = nil
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case head == nil:
			head = cells
			continue
		case strings.HasPrefix(cells[0], "---"):
			continue
		case len(cells) != len(head):
			t.Errorf("%d cells under %d heads: %s", len(cells), len(head), line)
			continue
		}
		if slices.Contains(cells, "") {
			t.Errorf("an empty cell: %s", line)
		}
		if head[0] == "Case" {
			if _, twice := cases[cells[0]]; twice {
				t.Errorf("the case %q is there twice", cells[0])
			}
			cases[cells[0]] = cells[1]
		}
		if head[len(head)-1] == "Test" {
			named[strings.Trim(cells[len(cells)-1], "`")] = true
		}
	}
	return cases, slices.Sorted(maps.Keys(named))
}

// testNames are the tests of this package but this file's.
func testNames(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Test") && fn.Name.Name != "TestMain" && file != "document_test.go" {
				names = append(names, fn.Name.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}
