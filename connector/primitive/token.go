package primitive

import "strings"

// tokens cuts text into delimiters (one of : , { } [ ] ") and what lies between them. A backslash
// takes a delimiter its meaning and stays in the text.
type tokens struct {
	text string
	at   int    // behind the peeked token, if there is one
	next string // peeked at; "" for none: no token is empty
}

// more reports whether there is another token.
func (t *tokens) more() bool { return t.next != "" || t.at < len(t.text) }

// mark gives the position of the next token, for rewind.
func (t *tokens) mark() int { return t.at - len(t.next) }

func (t *tokens) rewind(mark int) { t.at, t.next = mark, "" }

// take passes the next token; "" at the end.
func (t *tokens) take() string {
	token := t.next
	if token == "" {
		token = t.cut()
	}
	t.next = ""
	return token
}

// takes passes n tokens and gives their text; "" without passing any when there are fewer.
func (t *tokens) takes(n int) string {
	start := t.mark()
	for range n {
		if !t.more() {
			t.rewind(start)
			return ""
		}
		t.take()
	}
	return t.text[start:t.at]
}

// is reports whether the next token means want, blanks around it not counted.
func (t *tokens) is(want string) bool {
	if t.next == "" {
		t.next = t.cut()
	}
	for trim(t.next) == "" && t.at < len(t.text) {
		t.next = t.cut()
	}
	return trim(t.next) == want
}

// consume passes the next token if it is want.
func (t *tokens) consume(want string) bool {
	if !t.is(want) {
		return false
	}
	t.next = ""
	return true
}

func (t *tokens) cut() string {
	start, escaped := t.at, false
	for ; t.at < len(t.text); t.at++ {
		switch c := t.text[t.at]; {
		case c == '\\':
			escaped = !escaped
		case !escaped && strings.IndexByte(`:,{}[]"`, c) >= 0:
			if start == t.at {
				t.at++
			}
			return t.text[start:t.at]
		default:
			escaped = false
		}
	}
	return t.text[start:]
}

// quoted passes what follows an opening quote up to the closing one, and gives it without that.
// ok is false when there is none.
func (t *tokens) quoted() (content string, ok bool) {
	start, escaped := t.mark(), false
	t.rewind(start)
	for ; t.at < len(t.text); t.at++ {
		switch c := t.text[t.at]; {
		case c == '\\':
			escaped = !escaped
		case c == '"' && !escaped:
			t.at++
			return t.text[start : t.at-1], true
		default:
			escaped = false
		}
	}
	return "", false
}

// trim removes what Java's String.trim removes: characters up to U+0020.
func trim(s string) string {
	for len(s) > 0 && s[0] <= ' ' {
		s = s[1:]
	}
	for len(s) > 0 && s[len(s)-1] <= ' ' {
		s = s[:len(s)-1]
	}
	return s
}

func isDigit(c byte) bool { return c-'0' < 10 }
