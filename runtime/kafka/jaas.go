package kafka

import (
	"errors"
	"fmt"
	"strings"
)

// login is a parsed sasl.jaas.config: one login module and its options.
type login struct {
	module  string
	options map[string]string
}

// parseJAAS reads the value of sasl.jaas.config as the Java client does (JaasConfig, on a
// StreamTokenizer): module flag option="value" …; with both kinds of quotes, backslash escapes and
// comments. Errors give positions, never what is written there.
func parseJAAS(text string) (login, error) {
	p := jaasParser{text: text}
	l := login{options: map[string]string{}}
	var err error
	if l.module, err = p.word("the login module's class"); err != nil {
		return l, err
	}
	flag, err := p.word("the control flag")
	if err != nil {
		return l, err
	}
	switch strings.ToLower(flag) {
	case "required", "requisite", "sufficient", "optional":
	default:
		return l, fmt.Errorf("the word after the login module's class must be required, requisite, sufficient or optional")
	}
	for {
		p.space()
		if p.accept(';') {
			break
		}
		key, err := p.word("an option or the closing ';'")
		if err != nil {
			return l, err
		}
		p.space()
		if !p.accept('=') {
			return l, fmt.Errorf("'=' is missing at character %d, after option %s", p.at, optionName(key))
		}
		if l.options[key], err = p.word("a value"); err != nil {
			return l, err
		}
	}
	p.space()
	if p.at < len(p.text) {
		return l, fmt.Errorf("text goes on after ';' at character %d; one login module is allowed", p.at)
	}
	return l, nil
}

// optionName keeps a misplaced secret out of a message: option names are plain words.
func optionName(key string) string {
	for _, r := range key {
		if !(r == '.' || r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return "(not a name)"
		}
	}
	if len(key) > 40 {
		return "(not a name)"
	}
	return key
}

type jaasParser struct {
	text string
	at   int
}

func (p *jaasParser) accept(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// space skips blanks and comments.
func (p *jaasParser) space() {
	for p.at < len(p.text) {
		rest := p.text[p.at:]
		switch {
		case rest[0] <= ' ':
			p.at++
		case strings.HasPrefix(rest, "//"):
			p.at += lengthUntil(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			p.at += lengthUntil(rest, "*/")
		default:
			return
		}
	}
}

func lengthUntil(s, end string) int {
	if i := strings.Index(s, end); i >= 0 {
		return i + len(end)
	}
	return len(s)
}

func (p *jaasParser) word(what string) (string, error) {
	p.space()
	if p.at == len(p.text) {
		return "", fmt.Errorf("the text ends where %s should be (is the closing ';' missing?)", what)
	}
	if c := p.text[p.at]; c == '"' || c == '\'' {
		return p.quoted(c)
	}
	from := p.at
	for p.at < len(p.text) && !strings.ContainsRune(" \t\r\n\f;=\"'", rune(p.text[p.at])) {
		p.at++
	}
	if p.at == from {
		return "", fmt.Errorf("%s is missing at character %d", what, p.at)
	}
	return p.text[from:p.at], nil
}

func (p *jaasParser) quoted(quote byte) (string, error) {
	p.at++
	var b strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch c {
		case quote:
			return b.String(), nil
		case '\n', '\r':
			return "", errors.New("a quoted value is not closed on its line")
		case '\\':
			b.WriteByte(p.escape())
		default:
			b.WriteByte(c)
		}
	}
	return "", errors.New("a quoted value is not closed")
}

// escape reads what follows a backslash: C's letters, up to three octal digits, or the character itself.
func (p *jaasParser) escape() byte {
	if p.at == len(p.text) {
		return '\\'
	}
	c := p.text[p.at]
	p.at++
	if i := strings.IndexByte("abfnrtv", c); i >= 0 {
		return "\a\b\f\n\r\t\v"[i]
	}
	if c < '0' || c > '7' {
		return c
	}
	n, most := int(c-'0'), 2
	if c > '3' {
		most = 1
	}
	for ; most > 0 && p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '7'; most-- {
		n = n<<3 | int(p.text[p.at]-'0')
		p.at++
	}
	return byte(n)
}
