package transform

import (
	"regexp"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

func hasHeaderDef() *config.Def {
	return config.New(config.Key{Name: "name", Required: true, Importance: config.Medium, Validate: config.NonEmptyString, Doc: "The header name."})
}

type hasHeader string

func newHasHeader(v config.Values) (connector.Predicate, error) {
	return hasHeader(v.String("name")), nil
}

func (h hasHeader) Test(r *connector.Record) (bool, error) {
	for i := range r.Headers {
		if r.Headers[i].Key == string(h) {
			return true, nil
		}
	}
	return false, nil
}

type isTombstone struct{}

func newIsTombstone(config.Values) (connector.Predicate, error) { return isTombstone{}, nil }

func (isTombstone) Test(r *connector.Record) (bool, error) { return r.Value.IsNull(), nil }

func topicMatchesDef() *config.Def {
	return config.New(config.Key{Name: "pattern", Required: true, Importance: config.Medium, Validate: config.All(config.NonEmptyString, regexValidator()),
		Doc: "A regular expression (RE2) for matching against the name of a record's topic."})
}

type topicMatches struct{ *regexp.Regexp }

func newTopicMatches(v config.Values) (connector.Predicate, error) {
	full, err := config.TopicsRegex(v.String("pattern"))
	return topicMatches{full}, err
}

func (m topicMatches) Test(r *connector.Record) (bool, error) { return m.MatchString(r.Topic), nil }

type filter struct{}

func newFilter(config.Values) (connector.Transform, error) { return filter{}, nil }

// Apply drops the record.
func (filter) Apply(*connector.Record) (*connector.Record, error) { return nil, nil }
