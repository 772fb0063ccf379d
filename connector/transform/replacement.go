package transform

import (
	"regexp"
	"strconv"
	"strings"
)

// replacement is a replacement of Java's Matcher.replaceFirst: literal texts, each followed by a
// group of the expression.
type replacement []piece

type piece struct {
	text  string
	group int // -1 for none
}

// newReplacement reads text for re. The error has the words of java.util.regex.
func newReplacement(re *regexp.Regexp, text string) (replacement, error) {
	var rep replacement
	var lit strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 == len(text):
			return nil, message("character to be escaped is missing")
		case c == '\\':
			i++
			lit.WriteByte(text[i])
		case c == '$':
			group, n, err := groupAt(re, text[i+1:])
			if err != nil {
				return nil, err
			}
			rep = append(rep, piece{lit.String(), group})
			lit.Reset()
			i += n
		default:
			lit.WriteByte(c)
		}
	}
	return append(rep, piece{lit.String(), -1}), nil
}

// groupAt reads the group that text, which follows a $, begins with, and gives the bytes that it takes.
func groupAt(re *regexp.Regexp, text string) (group, n int, err error) {
	switch {
	case text == "":
		return 0, 0, message("Illegal group reference: group index is missing")
	case text[0] == '{':
		return namedGroup(re, text)
	case text[0] < '0' || text[0] > '9':
		return 0, 0, message("Illegal group reference")
	}
	group, n = int(text[0]-'0'), 1
	if group > re.NumSubexp() {
		return 0, 0, message("No group " + strconv.Itoa(group))
	}
	// Java takes further digits as long as there is such a group.
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		longer := group*10 + int(text[n]-'0')
		if longer > re.NumSubexp() {
			break
		}
		group, n = longer, n+1
	}
	return group, n, nil
}

func namedGroup(re *regexp.Regexp, text string) (group, n int, err error) {
	name, _, closed := strings.Cut(text[1:], "}")
	switch {
	case !closed:
		return 0, 0, message("named capturing group is missing trailing '}'")
	case name == "":
		return 0, 0, message("named capturing group has 0 length name")
	case name[0] >= '0' && name[0] <= '9':
		return 0, 0, message("capturing group name {" + name + "} starts with digit character")
	}
	if group = re.SubexpIndex(name); group < 0 {
		return 0, 0, message("No group with name {" + name + "}")
	}
	return group, len(name) + 2, nil
}

// append appends the replacement of a match in s. A group that took no part in it gives nothing.
func (rep replacement) append(dst []byte, s string, match []int) []byte {
	for _, p := range rep {
		dst = append(dst, p.text...)
		if at := 2 * p.group; p.group >= 0 && match[at] >= 0 {
			dst = append(dst, s[match[at]:match[at+1]]...)
		}
	}
	return dst
}
