package json

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
)

var codeSpan = regexp.MustCompile("`([^`]*)`")

// spans gives the texts that stand between backticks.
func spans(cell string) []string {
	var texts []string
	for _, m := range codeSpan.FindAllStringSubmatch(cell, -1) {
		texts = append(texts, m[1])
	}
	return texts
}

// documentedSchema makes the schema text of the first column: type, name, scale.
func documentedSchema(parts []string) string {
	text := fmt.Sprintf(`{"type":%q`, parts[0])
	if len(parts) > 1 {
		text += fmt.Sprintf(`,"name":%q`, parts[1])
	}
	if len(parts) > 2 {
		text += fmt.Sprintf(`,"parameters":{"scale":%q}`, strings.TrimPrefix(parts[2], "scale="))
	}
	return text + "}"
}

func TestTheDocumentedTypesAppearAsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/VALUES.md")
	if err != nil {
		t.Fatal(err)
	}
	c := made(t)
	formats := []*connector.Format{nil, {Decimal: connector.DecimalNumber, Int64: connector.Int64String, Time: connector.TimeRaw, Binary: connector.BinaryHex}}
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 8 || len(spans(cells[3])) != 1 {
			continue
		}
		rows++
		v, err := c.convert("topic", []byte(`{"schema":`+documentedSchema(spans(cells[1]))+`,"payload":`+spans(cells[3])[0]+`}`))
		if err != nil {
			t.Errorf("%s%v", line, err)
			continue
		}
		native, err := v.Native()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprintf("%T", native), strings.ReplaceAll(strings.TrimSpace(cells[4]), "[]byte", "[]uint8"); got != want {
			t.Errorf("%sgot the Go type %s, want %s", line, got, want)
		}
		want := spans(cells[5])
		if other := spans(cells[6]); len(other) == 1 {
			want = append(want, other[0])
		} else {
			want = append(want, want[0])
		}
		for i, f := range formats {
			text, err := v.AppendJSON(nil, f)
			if err != nil || string(text) != want[i] {
				t.Errorf("%sgot %s, want %s (%v)", line, text, want[i], err)
			}
		}
	}
	if rows < 20 {
		t.Errorf("only %d rows were found: has the table changed its form?", rows)
	}
}
