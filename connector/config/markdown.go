package config

import (
	"fmt"
	"io"
	"strings"
)

// Markdown writes a section titled title with a table of d's keys for each group, in order. Keys
// that only exist for aliases are written when d is Def.For of placeholder aliases.
func Markdown(w io.Writer, title string, d *Def) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n", title)
	groups, keys := grouped(d)
	for _, group := range groups {
		if group != "" {
			fmt.Fprintf(&b, "\n### %s\n", cell(group))
		}
		b.WriteString("\n| Key | Type | Default | Valid values | Unit | Importance | Description |\n|---|---|---|---|---|---|---|\n")
		for _, k := range keys[group] {
			valid := ""
			if k.Validate != nil {
				valid = k.Validate.String()
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", code(k.Name), strings.ToLower(k.Type.String()), k.defaultText(),
				cell(valid), k.Unit, strings.ToLower(k.Importance.String()), cell(k.Doc))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func grouped(d *Def) (groups []string, keys map[string][]Key) {
	keys = map[string][]Key{}
	for _, k := range d.Keys() {
		if k.Internal {
			continue
		}
		if _, ok := keys[k.Group]; !ok {
			groups = append(groups, k.Group)
		}
		keys[k.Group] = append(keys[k.Group], k)
	}
	return groups, keys
}

func (k Key) defaultText() string {
	text := render(k.Default)
	switch {
	case k.Required:
		return "required"
	case text == nil:
		return "null"
	case *text == "":
		return `""`
	}
	return code(*text)
}

// cell makes a text fit for a table cell.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", "<br>", "<", "&lt;").Replace(s)
}

// code sets a text in code style; inside it only | needs escaping.
func code(s string) string { return "`" + strings.ReplaceAll(s, "|", `\|`) + "`" }
