package transform

import (
	"regexp"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

// regexValidator accepts what RE2 reads as Java does; the words are those of Kafka's RegexValidator.
func regexValidator() config.Validator {
	return config.Func("valid regex", func(name string, value any) error {
		text, ok := value.(string)
		if !ok {
			return config.Invalid(name, value, "Invalid regex: it is null")
		}
		if _, err := config.TopicsRegex(text); err != nil {
			return config.Invalid(name, value, "Invalid regex: "+err.Error())
		}
		return nil
	})
}

func routerDef() *config.Def {
	return config.New(
		config.Key{Name: "regex", Required: true, Importance: config.High, Validate: regexValidator(),
			Doc: "Regular expression (RE2) to use for matching; it must match the whole topic."},
		config.Key{Name: "replacement", Required: true, Importance: config.High,
			Doc: "Replacement string, in Java's syntax: $1 and ${name} are groups, a backslash makes the next character a plain one."},
	).Cross(func(v config.Values) map[string][]string {
		if !v.Valid("regex") || !v.Valid("replacement") {
			return nil
		}
		text := v.String("replacement")
		if _, err := newReplacement(regexp.MustCompile(v.String("regex")), text); err != nil {
			return map[string][]string{"replacement": {config.Invalid("replacement", text, err.Error()).Error()}}
		}
		return nil
	})
}

// router does what RegexRouter does in Java: where the expression matches the whole topic, its first
// match in it, which may be a shorter one, is replaced.
type router struct {
	full, first *regexp.Regexp
	replacement replacement
	names       cache[string, string] // what topics became
}

func newRouter(v config.Values) (connector.Transform, error) {
	full, err := config.TopicsRegex(v.String("regex"))
	if err != nil {
		return nil, err
	}
	first, err := regexp.Compile(v.String("regex"))
	if err != nil {
		return nil, err
	}
	rep, err := newReplacement(first, v.String("replacement"))
	return &router{full: full, first: first, replacement: rep}, err
}

func (t *router) Apply(r *connector.Record) (*connector.Record, error) {
	topic, err := t.names.get(r.Topic, t.rename)
	if err != nil {
		return nil, err
	}
	r.Topic = topic
	return r, nil
}

func (t *router) rename(topic string) (string, error) {
	if !t.full.MatchString(topic) {
		return topic, nil
	}
	match := t.first.FindStringSubmatchIndex(topic)
	out := t.replacement.append([]byte(topic[:match[0]]), topic, match)
	return string(append(out, topic[match[1]:]...)), nil
}
