package stepfunctions

import (
	"fmt"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/connector/debezium"
)

// settings are the parsed configuration in the form that the sink works with.
type settings struct {
	domains  []domainSettings
	fallback string // "" for none

	nameByChange  bool
	maxRecords    int // 0: by the type of the state machine
	maxBytes      int
	oversizeFails bool
	errors        errorTable
	input         encoder

	region, endpoint string
	noHostPrefix     bool
	requestTimeout   time.Duration
	slowRetry        time.Duration
}

type domainSettings struct {
	name string
	arn  stateMachineARN
	rule rule
	kind executionType
}

func newSettings(v config.Values) (*settings, error) {
	s := &settings{
		fallback:      v.String("default.domain"),
		nameByChange:  v.String("execution.name") == "change",
		maxRecords:    v.Int("batch.max.records"),
		maxBytes:      int(v.Long("batch.max.bytes")),
		oversizeFails: v.String("oversize.policy") == "fail",
		errors: errorTable{
			retry:  v.List("express.errors.retry"),
			reject: v.List("express.errors.reject"),
			fatal:  v.List("express.errors.fatal"),
		},
		input: encoder{
			format: inputFormat(v.String("input.format")),
			before: beforeMode(v.String("input.before")),
			values: valueFormat(v),
			epochs: epochs(v),
		},
		region:         v.String("aws.region"),
		endpoint:       v.String("aws.sfn.endpoint"),
		noHostPrefix:   v.String("aws.sfn.host.prefix") == "off",
		requestTimeout: v.Duration("aws.request.timeout.ms"),
		slowRetry:      v.Duration("destination.retry.backoff.ms"),
	}
	if s.endpoint == "" {
		s.endpoint = v.String("aws.endpoint")
	}
	if s.nameByChange {
		s.maxRecords = 1
	}
	// A key that is null in the connector's JSON counts as not given.
	if s.maxBytes == 0 {
		s.maxBytes = defaultMaxBytes
	}
	if s.requestTimeout == 0 {
		s.requestTimeout = defaultRequestTimeout
	}
	for _, name := range v.List("domains") {
		d, err := newDomainSettings(v, name)
		if err != nil {
			return nil, fmt.Errorf("domain %s: %w", name, err)
		}
		s.domains = append(s.domains, d)
	}
	return s, nil
}

func newDomainSettings(v config.Values, name string) (domainSettings, error) {
	p := domainPrefix + name + "."
	d := domainSettings{name: name}
	var err error
	if d.arn, err = parseARN(v.String(p + "state.machine.arn")); err != nil {
		return d, err
	}
	if topics := v.List(p + "topics"); topics != nil {
		d.rule.topics = make(map[string]bool, len(topics))
		for _, t := range topics {
			d.rule.topics[t] = true
		}
	}
	for _, text := range v.List(p + "tables") {
		pattern, err := parseTablePattern(text)
		if err != nil {
			return d, err
		}
		d.rule.tables = append(d.rule.tables, pattern)
	}
	operations := v.List(p + "operations")
	if operations == nil {
		operations = operationNames()
	}
	for _, name := range operations {
		op, ok := debezium.ParseOperation(name)
		if !ok {
			return d, fmt.Errorf("%q is no operation", name)
		}
		d.rule.operations[op] = true
	}
	kind := v.String(p + "execution.type")
	if kind == "" {
		kind = v.String("execution.type")
	}
	switch kind {
	case "standard":
		d.kind = standard
	case "express":
		d.kind = express
	}
	return d, nil
}

func valueFormat(v config.Values) connector.Format {
	var f connector.Format
	if v.String("value.decimal.format") == "number" {
		f.Decimal = connector.DecimalNumber
	}
	if v.String("value.int64.format") == "string" {
		f.Int64 = connector.Int64String
	}
	if v.String("value.time.format") == "raw" {
		f.Time = connector.TimeRaw
	}
	if v.String("value.binary.format") == "hex" {
		f.Binary = connector.BinaryHex
	}
	return f
}

// epochs gives the epoch of each source.name that has one.
func epochs(v config.Values) map[string]int64 {
	of := map[string]int64{}
	for key := range v.Raw() {
		if name, ok := strings.CutPrefix(key, epochPrefix); ok {
			of[name] = v.Long(key)
		}
	}
	return of
}
