package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// TopicsRegex compiles a topics.regex, which must match a topic's whole name. The syntax is RE2
// (https://github.com/google/re2/wiki/Syntax), which matches in linear time; Kafka Connect's is
// Java's. What Java has and RE2 lacks is refused with the reason, and so is what RE2 would read
// otherwise than Java: a class inside a class, and && in a class.
func TopicsRegex(pattern string) (*regexp.Regexp, error) {
	if reason := javaOnly(pattern); reason != "" {
		return nil, errors.New(reason)
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// javaOnly finds the first construct of Java's regular expressions that RE2 lacks or reads otherwise.
func javaOnly(pattern string) string {
	inClass := false
	for i := 0; i < len(pattern); i++ {
		rest := pattern[i:]
		switch {
		case strings.HasPrefix(rest, `\Q`):
			_, after, closed := strings.Cut(rest, `\E`)
			if !closed {
				return fmt.Sprintf(`\Q near index %d is not closed by \E`, i)
			}
			i = len(pattern) - len(after) - 1
		case rest[0] == '\\':
			if len(rest) > 1 && (rest[1] >= '1' && rest[1] <= '9' || rest[1] == 'k') && !inClass {
				return lacking("a back-reference", rest[:2], i)
			}
			i++
		case inClass:
			switch {
			case rest[0] == ']':
				inClass = false
			case rest[0] == '[':
				return lacking("a class inside a class", "[", i) + `; write \[ for the character`
			case strings.HasPrefix(rest, "&&"):
				return lacking("an intersection of classes", "&&", i)
			}
		case rest[0] == '[':
			inClass = true
			// A ] that stands first belongs to the class.
			i += len(firstOfClass(rest[1:]))
		default:
			if what, sign := construct(rest); what != "" {
				return lacking(what, sign, i)
			}
		}
	}
	return ""
}

func firstOfClass(s string) string {
	for _, first := range []string{"^]", "^", "]"} {
		if strings.HasPrefix(s, first) {
			return first
		}
	}
	return ""
}

// construct names what RE2 lacks at the start of s, outside a class.
func construct(s string) (what, sign string) {
	for _, c := range [...][2]string{
		{"(?=", "look-ahead"}, {"(?!", "a negative look-ahead"}, {"(?<=", "look-behind"}, {"(?<!", "a negative look-behind"},
		{"(?>", "an atomic group"}, {"*+", "a possessive repetition"}, {"++", "a possessive repetition"}, {"?+", "a possessive repetition"}, {"}+", "a possessive repetition"},
	} {
		if strings.HasPrefix(s, c[0]) {
			return c[1], c[0]
		}
	}
	if flags, _, ok := strings.Cut(strings.TrimPrefix(s, "(?"), ")"); ok && strings.HasPrefix(s, "(?") {
		flags, _, _ = strings.Cut(flags, ":")
		if strings.Trim(flags, "idmsuxU-") == "" && strings.Contains(flags, "U") {
			return "the flag U, which means Unicode classes in Java and lazy repetition in RE2,", "(?" + flags
		}
	}
	return "", ""
}

func lacking(what, sign string, at int) string {
	return fmt.Sprintf("%s (%s near index %d) is not in RE2, the syntax of this worker", what, sign, at)
}
