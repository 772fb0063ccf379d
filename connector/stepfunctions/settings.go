package stepfunctions

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

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
	claims        *claimSettings // nil unless oversize.policy=s3
	errors        errorTable
	rejectInARow  int     // -1 for no limit
	rateLimit     float64 // starts per second of the connector; 0 for no limit
	input         encoder

	region, endpoint string
	stsEndpoint      string
	noHostPrefix     bool
	requestTimeout   time.Duration
	slowRetry        time.Duration
	sweepInterval    time.Duration // negative: never
}

type domainSettings struct {
	name string
	arn  stateMachineARN
	rule rule
	kind executionType
	role roleSettings
}

// roleSettings is a role that a domain's state machine is started as; the zero value is none.
type roleSettings struct{ arn, externalID, session string }

func newSettings(v config.Values, connectorName string) (*settings, error) {
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
		rejectInARow: v.Int("express.errors.reject.in.a.row"),
		input: encoder{
			format: inputFormat(v.String("input.format")),
			before: beforeMode(v.String("input.before")),
			values: valueFormat(v),
			epochs: epochs(v),

			changedFields: v.Bool("input.changed.fields"),
		},
		rateLimit:      v.Double("start.rate.limit"),
		region:         v.String("aws.region"),
		endpoint:       v.String("aws.sfn.endpoint"),
		noHostPrefix:   v.String("aws.sfn.host.prefix") == "off",
		requestTimeout: v.Duration("aws.request.timeout.ms"),
		sweepInterval:  v.Duration("outcomes.sweep.interval.ms"),
		slowRetry:      v.Duration("destination.retry.backoff.ms"),
	}
	if s.stsEndpoint = v.String("aws.sts.endpoint"); s.stsEndpoint == "" {
		s.stsEndpoint = v.String("aws.endpoint")
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
	if !v.Has("express.errors.reject.in.a.row") {
		s.rejectInARow = defaultRejectInARow
	}
	if s.sweepInterval == 0 {
		s.sweepInterval = defaultSweepInterval
	}
	if s.requestTimeout == 0 {
		s.requestTimeout = defaultRequestTimeout
	}
	var err error
	if s.input.columns, err = newColumnPolicy(v); err != nil {
		return nil, err
	}
	for _, name := range v.List("domains") {
		d, err := newDomainSettings(v, name, connectorName)
		if err != nil {
			return nil, fmt.Errorf("domain %s: %w", name, err)
		}
		s.domains = append(s.domains, d)
	}
	s.claims = newClaimSettings(v, s)
	return s, nil
}

// newColumnPolicy gives nil when every column is shown as it is.
func newColumnPolicy(v config.Values) (*columnPolicy, error) {
	p := &columnPolicy{macs: newMACs(v.Password("columns.hash.key").Reveal())}
	set := false
	for _, list := range []struct {
		key string
		to  *[]columnPattern
	}{{"columns.include", &p.include}, {"columns.exclude", &p.rules[excluded]}, {"columns.mask", &p.rules[masked]}, {"columns.hash", &p.rules[hashed]}} {
		for _, text := range v.List(list.key) {
			pattern, err := parseColumnPattern(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", list.key, err)
			}
			*list.to = append(*list.to, pattern)
			set = true
		}
	}
	if !set {
		return nil, nil
	}
	return p, nil
}

func newClaimSettings(v config.Values, s *settings) *claimSettings {
	if v.String("oversize.policy") != "s3" {
		return nil
	}
	c := &claimSettings{
		bucket:     v.String("oversize.s3.bucket"),
		prefix:     v.String("oversize.s3.prefix"),
		region:     v.String("oversize.s3.region"),
		endpoint:   v.String("oversize.s3.endpoint"),
		encryption: types.ServerSideEncryption(v.String("oversize.s3.sse")),
		kmsKey:     v.String("oversize.s3.kms.key.id"),
	}
	if c.endpoint == "" {
		c.endpoint = v.String("aws.endpoint")
	}
	if c.encryption == "" {
		c.encryption = types.ServerSideEncryptionAes256
	}
	if c.region == "" && s.region == "" && len(s.domains) > 0 {
		c.region = s.domains[0].arn.region
	}
	return c
}

func newDomainSettings(v config.Values, name, connectorName string) (domainSettings, error) {
	p := domainPrefix + name + "."
	d := domainSettings{name: name}
	var err error
	if d.arn, err = parseARN(v.String(p + "state.machine.arn")); err != nil {
		return d, err
	}
	d.role = newRoleSettings(v, p, connectorName)
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

func newRoleSettings(v config.Values, prefix, connectorName string) roleSettings {
	r := roleSettings{arn: v.String(prefix + "role.arn"), externalID: v.String(prefix + "external.id"), session: v.String(prefix + "role.session.name")}
	if r.arn == "" {
		return roleSettings{}
	}
	if r.session == "" {
		r.session = sanitise("stepconnect-"+connectorName, maxSession)
	}
	return r
}

// maxSession is the most characters of a role's session name (AssumeRole, STS API reference).
const maxSession = 64

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
