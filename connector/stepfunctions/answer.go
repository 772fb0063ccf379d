package stepfunctions

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// readStarted reads the answer to a start. ok is false when it is not as AWS writes it; then nothing is read.
func readStarted(answer []byte) (out started, ok bool) {
	ok = members(answer, func(name, value []byte) bool {
		var to *string
		var status string
		switch string(name) {
		case "executionArn":
			to = &out.execution
		case "status":
			to = &status
		case "error":
			to = &out.failure
		case "cause":
			to = &out.cause
		case "output":
			to = &out.output
		default:
			return true
		}
		read := stringOrNull(value, to)
		if to == &status {
			out.status = types.SyncExecutionStatus(status)
		}
		return read
	})
	if !ok {
		return started{}, false
	}
	return out, true
}

// stringOrNull reads a JSON string; null leaves to as it is.
func stringOrNull(value []byte, to *string) bool {
	if string(value) == "null" {
		return true
	}
	if value[0] != '"' {
		return false
	}
	if bytes.IndexByte(value, '\\') < 0 && utf8.Valid(value) {
		*to = string(value[1 : len(value)-1])
		return true
	}
	return json.Unmarshal(value, to) == nil
}

// members gives the members of a JSON object to see, in order and as they are written, until see reports false. It
// reports whether text is an object with nothing behind it and see took all; values that hold others are not looked into.
func members(text []byte, see func(name, value []byte) bool) bool {
	at := blank(text, 0)
	if at == len(text) || text[at] != '{' {
		return false
	}
	if at = blank(text, at+1); at < len(text) && text[at] == '}' {
		return blank(text, at+1) == len(text)
	}
	for {
		from := at
		if at = afterString(text, at); at < 0 {
			return false
		}
		name := text[from+1 : at-1]
		if at = blank(text, at); at == len(text) || text[at] != ':' {
			return false
		}
		from = blank(text, at+1)
		if at = afterValue(text, from); at < 0 || !see(name, text[from:at]) {
			return false
		}
		if at = blank(text, at); at == len(text) {
			return false
		}
		switch text[at] {
		case ',':
			at = blank(text, at+1)
		case '}':
			return blank(text, at+1) == len(text)
		default:
			return false
		}
	}
}

func blank(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r') {
		at++
	}
	return at
}

// afterString gives the place behind the string that begins at a place; -1 when there is none.
func afterString(text []byte, at int) int {
	if at >= len(text) || text[at] != '"' {
		return -1
	}
	for at++; ; at++ {
		next := bytes.IndexAny(text[at:], `"\`)
		if next < 0 {
			return -1
		}
		if at += next; text[at] == '"' {
			return at + 1
		}
		at++ // what the backslash escapes
		if at >= len(text) {
			return -1
		}
	}
}

// afterValue gives the place behind the value that begins at a place; -1 when it is none.
func afterValue(text []byte, at int) int {
	if at >= len(text) {
		return -1
	}
	switch text[at] {
	case '"':
		return afterString(text, at)
	case '{', '[':
		return afterNested(text, at)
	}
	from := at
	for at < len(text) && text[at] != ',' && text[at] != '}' && text[at] > ' ' {
		at++
	}
	if !json.Valid(text[from:at]) {
		return -1
	}
	return at
}

// afterNested is afterValue of an object or array, of which only the brackets are looked at.
func afterNested(text []byte, at int) int {
	for depth := 0; at < len(text); at++ {
		switch text[at] {
		case '"':
			if at = afterString(text, at) - 1; at < 0 {
				return -1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		}
	}
	return -1
}
