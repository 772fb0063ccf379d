package convertertest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// RequireEveryErrorText fails for each text of an error in the package's own source that comes out of no case of the
// files, so that a new error without a case shows. Elsewhere names, by the beginning of a text, the test of the package
// that shows an error which no case can bring about. What holds no words of its own, such as "%s: %w", needs no case.
func RequireEveryErrorText(t *testing.T, elsewhere map[string]string, files ...string) {
	t.Helper()
	var said []string
	for _, file := range files {
		for _, c := range Load(t, file) {
			said = append(said, c.Output...)
		}
	}
	tests := testNames(t)
	used := map[string]bool{}
	for _, e := range errorTexts(t) {
		occurs := slices.ContainsFunc(said, e.pattern.MatchString)
		start := ""
		for text := range elsewhere {
			if strings.HasPrefix(e.text, text) && len(text) > len(start) {
				start = text
			}
		}
		switch {
		case start != "":
			used[start] = true
			if occurs {
				t.Errorf("%s: %q occurs in a case: it is not shown elsewhere only", e.at, e.text)
			}
		case !occurs:
			t.Errorf("%s: no case of the golden files ends in %q", e.at, e.text)
		}
	}
	for text, name := range elsewhere {
		if !used[text] {
			t.Errorf("no error of the package begins with %q", text)
		}
		if !tests[name] {
			t.Errorf("the package has no test %s, which is to show %q", name, text)
		}
	}
}

// errorText is one text of an error, as far as the source holds it.
type errorText struct {
	at      string // file and line
	text    string
	pattern *regexp.Regexp
}

// makers are the arguments with the text, of the functions that make errors; a package's own are found by the name of
// the parameter.
var makers = map[string]int{"errors.New": 0, "fmt.Errorf": 0, "config.Invalid": 2}

func errorTexts(t *testing.T) []errorText {
	t.Helper()
	fset, trees := sources(t)
	s := reader{constants: map[string]string{}, makers: map[string]int{}}
	for name, at := range makers {
		s.makers[name] = at
	}
	for _, tree := range trees {
		s.learn(tree)
	}
	var texts []errorText
	for _, tree := range trees {
		ast.Inspect(tree, func(n ast.Node) bool {
			for _, e := range s.textsOf(n) {
				if text, pattern := s.pattern(e); wordy(text) {
					p := fset.Position(e.Pos())
					texts = append(texts, errorText{p.Filename + ":" + strconv.Itoa(p.Line), text, regexp.MustCompile(pattern)})
				}
			}
			return true
		})
	}
	return texts
}

// wordy reports whether a text says something of its own.
func wordy(text string) bool {
	return regexp.MustCompile(`\p{L}{2}`).MatchString(verb.ReplaceAllString(text, ""))
}

func sources(t *testing.T) (*token.FileSet, []*ast.File) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var trees []*ast.File
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, tree)
	}
	return fset, trees
}

func testNames(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
	}
	return names
}

// reader finds the texts of errors in a package's source.
type reader struct {
	constants map[string]string
	makers    map[string]int
}

// learn takes in the file's constants, and its functions with a parameter that is an error's text.
func (s *reader) learn(tree *ast.File) {
	for _, d := range tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			i := 0
			for _, p := range d.Type.Params.List {
				for _, name := range p.Names {
					if name.Name == "format" || name.Name == "reason" {
						s.makers[d.Name.Name] = i
					}
					i++
				}
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok || d.Tok != token.CONST {
					continue
				}
				for i, value := range v.Values {
					if text, _ := s.pattern(value); text != "" && i < len(v.Names) {
						s.constants[v.Names[i].Name] = text
					}
				}
			}
		}
	}
}

// textsOf gives the expressions of n that are texts of errors.
func (s *reader) textsOf(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.CallExpr:
		name := ""
		switch f := n.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
			if x, ok := f.X.(*ast.Ident); ok {
				if _, foreign := s.makers[x.Name+"."+name]; foreign {
					name = x.Name + "." + name
				}
			}
		}
		if at, ok := s.makers[name]; ok && at < len(n.Args) {
			return n.Args[at : at+1]
		}
	case *ast.CompositeLit:
		if name, ok := n.Type.(*ast.Ident); ok && strings.HasSuffix(strings.ToLower(name.Name), "error") {
			var texts []ast.Expr
			for _, e := range n.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					e = kv.Value
				}
				texts = append(texts, e)
			}
			return texts
		}
	}
	return nil
}

var verb = regexp.MustCompile(`%[-+# 0]*[0-9.]*(\[\d+\])?[a-zA-Z]`)

// pattern gives the text of an expression as far as the source holds it, and an expression that matches what becomes of it.
func (s *reader) pattern(e ast.Expr) (text, pattern string) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		if err != nil || e.Kind != token.STRING {
			return "", ".*"
		}
		return text, expression(text)
	case *ast.Ident:
		if text, ok := s.constants[e.Name]; ok {
			return text, expression(text)
		}
	case *ast.BinaryExpr:
		left, lp := s.pattern(e.X)
		right, rp := s.pattern(e.Y)
		return left + right, lp + rp
	}
	return "", ".*"
}

func expression(text string) string {
	parts := verb.Split(text, -1)
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(strings.ReplaceAll(part, "%%", "%"))
	}
	return strings.Join(parts, ".*")
}
