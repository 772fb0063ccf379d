package runtime

import (
	"strings"
	"testing"
)

// FuzzQueries holds that what a request's path and query name is read as one thing, or refused.
func FuzzQueries(f *testing.F) {
	for _, text := range []string{"", "0:7", "00:7", "-1:2", "1:99999999999999999999", ":", "1:2:3", pageEnd{7, "arn:x"}.text(), "MA", "%%%", "IDcg"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if name, err := LetterName(text); err == nil {
			again, err := LetterName(name)
			if err != nil || again != name || strings.ContainsAny(name, "+- ") {
				t.Errorf("%q became %q, then %q (%v)", text, name, again, err)
			}
		}
		if page, err := parsePage(text); err == nil && page != nil {
			again, err := parsePage(page.text())
			if err != nil || *again != *page {
				t.Errorf("%q became %+v, then %+v (%v)", text, page, again, err)
			}
		}
	})
}
