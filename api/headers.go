package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// HeaderRule sets or adds one header of every response (response.http.headers.config, KIP-577).
type HeaderRule struct {
	add   bool
	name  string
	value string
	// date rules send the time of the response plus offset.
	date   bool
	offset time.Duration
}

// ParseResponseHeaders reads response.http.headers.config: a comma list of
// "[set|add|setDate|addDate] name:value", where an item that holds a comma stands in double quotes.
// The value of the date actions is milliseconds from now. The error names the item and the key.
func ParseResponseHeaders(text string) ([]HeaderRule, error) {
	items, err := splitQuoted(text)
	if err != nil {
		return nil, err
	}
	var rules []HeaderRule
	for _, item := range items {
		rule, err := parseHeaderRule(item)
		if err != nil {
			return nil, fmt.Errorf("response.http.headers.config: %q: %w", item, err)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func parseHeaderRule(item string) (HeaderRule, error) {
	var rule HeaderRule
	action, rest, _ := strings.Cut(strings.TrimSpace(item), " ")
	name, value, found := strings.Cut(rest, ":")
	rule.name, rule.value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !found || rule.name == "" || rule.value == "" || strings.ContainsAny(rule.name, " \t\r\n") || strings.ContainsAny(rule.value, "\r\n") {
		return rule, fmt.Errorf("expected '[set|add|setDate|addDate] name:value'")
	}
	switch strings.ToLower(action) {
	case "set":
	case "add":
		rule.add = true
	case "setdate", "adddate":
		rule.add, rule.date = strings.EqualFold(action, "addDate"), true
		ms, err := strconv.ParseInt(rule.value, 10, 64)
		if err != nil {
			return rule, fmt.Errorf("the value of %s is a number of milliseconds", action)
		}
		rule.offset = time.Duration(ms) * time.Millisecond
	default:
		return rule, fmt.Errorf("the action %q is none of set, add, setDate, addDate", action)
	}
	return rule, nil
}

// splitQuoted splits on commas outside double quotes and removes the quotes.
func splitQuoted(text string) ([]string, error) {
	var items []string
	var item strings.Builder
	quoted := false
	flush := func() {
		if s := strings.TrimSpace(item.String()); s != "" {
			items = append(items, s)
		}
		item.Reset()
	}
	for _, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			flush()
		default:
			item.WriteRune(c)
		}
	}
	if quoted {
		return nil, fmt.Errorf("response.http.headers.config: a double quote is not closed in %q", text)
	}
	flush()
	return items, nil
}

// extraHeaders sends the configured headers with every response, and forbids guessing of media types.
func (a *handler) extraHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		for _, rule := range a.opts.ResponseHeaders {
			value := rule.value
			if rule.date {
				value = time.Now().Add(rule.offset).UTC().Format(http.TimeFormat)
			}
			if rule.add {
				w.Header().Add(rule.name, value)
			} else {
				w.Header().Set(rule.name, value)
			}
		}
		next.ServeHTTP(w, r)
	})
}
