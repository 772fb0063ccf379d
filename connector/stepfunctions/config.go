package stepfunctions

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/connector/debezium"
)

const (
	groupRouting   = "Routing"
	groupExecution = "Execution"
	groupInput     = "Input"
	groupLimits    = "Limits"
	groupAWS       = "AWS"
)

const (
	defaultMaxBytes       = 200_000
	defaultRequestTimeout = 30 * time.Second
	defaultSweepInterval  = time.Minute
)

const (
	epochPrefix  = "source.epoch."
	domainPrefix = "domain."
)

// Config declares the connector's keys; those of the domains come into being with domains.
func (Connector) Config() *config.Def {
	keys := slices.Concat(routingKeys(), executionKeys(), inputKeys(), columnKeys(), limitKeys(), claimKeys(), outcomeKeys(), awsKeys())
	return config.New(keys...).Of(aliases[1], version).
		Expand(domainKeys).Expand(epochKeys).
		Cross(checkDomains).Cross(checkRoutes).Cross(checkNaming).Cross(checkErrorLists).Cross(checkColumns).Cross(checkClaims).Cross(checkRoles).Cross(config.SkipNeedsConsent)
}

func routingKeys() []config.Key {
	return []config.Key{
		{Name: "domains", Type: config.List, Required: true, Validate: config.All(config.NonEmptyList, config.UniqueValues),
			Importance: config.High, Group: groupRouting, Width: config.WidthLong,
			Doc: "Names of the domains, in order of precedence. Each owns one state machine: a change goes to the first domain whose topics, tables and operations all take it."},
		{Name: "default.domain", Importance: config.Medium, Group: groupRouting,
			Doc: "The domain of changes that no other takes; its operations still hold. Without one such changes are filtered and counted."},
	}
}

func executionKeys() []config.Key {
	return []config.Key{
		{Name: "execution.type", Default: "auto", Validate: config.OneOf("auto", "standard", "express"),
			Importance: config.Medium, Group: groupExecution,
			Doc: "Type of the state machines: standard is started and counts as delivered when accepted under its name, express runs while the call waits and counts as delivered when it succeeded. auto asks DescribeStateMachine once."},
		{Name: "execution.name", Default: "offset", Validate: config.OneOf("offset", "change"),
			Importance: config.Medium, Group: groupExecution,
			Doc: "What names are made of: offset, where Kafka holds the records; change, the identity of the change in the database, so that a change that Debezium sent twice starts once (batch.max.records=1 only; rows of snapshots take offset). Not to be altered while the connector exists."},
		{Name: "batch.max.records", Type: config.Int, Validate: config.AtLeast(1),
			Importance: config.High, Group: groupLimits,
			Doc: "The most changes of one execution. Default: 1 for standard, 100 for express."},
		{Name: "batch.max.bytes", Type: config.Long, Default: defaultMaxBytes, Validate: config.Between(1024, maxInput), Unit: "bytes",
			Importance: config.Medium, Group: groupLimits,
			Doc: "The most bytes of an input with several changes, measured as a JSON string literal. The rest up to 262,144 is room for what the state machine adds."},
		{Name: "oversize.policy", Default: "dlq", Validate: config.OneOf("s3", "dlq", "fail"),
			Importance: config.Medium, Group: groupLimits,
			Doc: "What becomes of one change over 262,144 bytes: s3 moves its largest columns to objects of oversize.s3.bucket and names them in claims, dlq gives it to errors.tolerance and the dead letter queue, fail ends the task. A change that does not fit without its columns either goes by dlq."},
		{Name: "express.errors.retry", Type: config.List, Default: defaultRetryErrors(), Importance: config.Low, Group: groupExecution,
			Doc: "Error names of Express executions that are tried again; a * at the end takes every ending, the longest entry decides. So are names in no list."},
		{Name: "express.errors.reject", Type: config.List, Default: defaultRejectErrors(), Importance: config.Low, Group: groupExecution,
			Doc: "Error names of Express executions that are final for their changes, which go to errors.tolerance and the dead letter queue. A batch of several is halved until the change at fault is alone; the others are delivered."},
		{Name: "express.errors.reject.in.a.row", Type: config.Int, Default: defaultRejectInARow, Validate: config.AtLeast(-1), Importance: config.Low, Group: groupExecution,
			Doc: "The most changes of a domain that a task rejects in a row, with no execution that succeeds in between, for errors of Step Functions' own (names that begin with States.): after them the state machine counts as broken, and further changes wait until one succeeds. -1: no limit."},
		{Name: "express.errors.fatal", Type: config.List, Default: []string{}, Importance: config.Low, Group: groupExecution,
			Doc: "Error names of Express executions that end the task."},
	}
}

func defaultRetryErrors() []string {
	return []string{"States.Timeout", "States.HeartbeatTimeout", "States.TaskFailed", "Lambda.*", "RdsData.*"}
}

const defaultRejectInARow = 10

// defaultRejectErrors are what the same input meets every time: expressions and paths that its values do not suit, a Choice without a rule
// for it, states that outgrow their limit ("Handling errors", Step Functions Developer Guide).
func defaultRejectErrors() []string {
	return []string{"States.DataLimitExceeded", "States.QueryEvaluationError", "States.Runtime", "States.NoChoiceMatched", "States.IntrinsicFailure",
		"States.ParameterPathFailure", "States.ResultPathMatchFailure", "ValidationError"}
}

func inputKeys() []config.Key {
	return []config.Key{
		{Name: "input.format", Default: string(formatChange), Validate: config.OneOf(string(formatChange), string(formatFlat), string(formatEnvelope)),
			Importance: config.Medium, Group: groupInput,
			Doc: "Shape of a change in the input: change, with key, before, after and position; flat, the row's columns with everything else under names that begin with __; envelope, Debezium's event as it is."},
		{Name: "input.before", Default: string(beforeAlways), Validate: config.OneOf(string(beforeAlways), string(beforeChanged), string(beforeNever)),
			Importance: config.Low, Group: groupInput,
			Doc: "What of the row before the change an input in the format change holds: all of it, the columns that differ, or nothing."},
		{Name: "value.decimal.format", Default: "string", Validate: config.OneOf("string", "number"), Importance: config.Medium, Group: groupInput,
			Doc: "Decimals as JSON strings or numbers, with all digits either way; readers that count in doubles lose digits of numbers."},
		{Name: "value.int64.format", Default: "number", Validate: config.OneOf("number", "string"), Importance: config.Medium, Group: groupInput,
			Doc: "64-bit integers as JSON numbers or strings. JSONata counts in doubles, which are exact to 2^53: use string for larger ones."},
		{Name: "value.time.format", Default: "iso", Validate: config.OneOf("iso", "raw"), Importance: config.Low, Group: groupInput,
			Doc: "Dates and times as ISO-8601 text with the digits of their unit, or as the number that Debezium sent."},
		{Name: "value.binary.format", Default: "base64", Validate: config.OneOf("base64", "hex"), Importance: config.Low, Group: groupInput,
			Doc: "Binary columns as base64 or as hexadecimal digits."},
	}
}

func awsKeys() []config.Key {
	return []config.Key{
		{Name: "aws.region", Importance: config.Medium, Group: groupAWS,
			Doc: "Region of the credentials; a state machine's own region is that of its ARN. Default: the SDK's chain."},
		{Name: "aws.endpoint", Validate: endpointURL, Importance: config.Low, Group: groupAWS, Width: config.WidthLong,
			Doc: "Endpoint of all AWS services, for tests."},
		{Name: "aws.sfn.endpoint", Validate: endpointURL, Importance: config.Low, Group: groupAWS, Width: config.WidthLong,
			Doc: "Endpoint of Step Functions, for tests and VPC endpoints. Default: aws.endpoint, AWS_ENDPOINT_URL_SFN, or the region's."},
		{Name: "aws.sts.endpoint", Validate: endpointURL, Importance: config.Low, Group: groupAWS, Width: config.WidthLong,
			Doc: "Endpoint of STS, which gives the credentials of domain.<name>.role.arn, for tests and VPC endpoints. Default: aws.endpoint, AWS_ENDPOINT_URL_STS, or that of the state machine's region."},
		{Name: "aws.sfn.host.prefix", Default: "auto", Validate: config.OneOf("auto", "off"), Importance: config.Low, Group: groupAWS,
			Doc: "Whether StartSyncExecution calls the host with the prefix sync-: auto does so unless an endpoint is set, off never."},
		{Name: "aws.request.timeout.ms", Type: config.Long, Default: defaultRequestTimeout.Milliseconds(), Validate: config.AtLeast(1), Unit: "ms", Importance: config.Low, Group: groupAWS,
			Doc: "How long an answer is waited for; its outcome then counts as unknown. StartSyncExecution waits for the longest Express execution, 5 minutes, instead."},
		{Name: "destination.retry.backoff.ms", Type: config.Long, Default: 10000, Validate: config.AtLeast(0), Unit: "ms", Importance: config.Low, Group: groupLimits,
			Doc: "Least wait before a batch is tried again whose state machine, permissions or quota must be repaired first."},
	}
}

// operationNames are the operations that a domain can take.
func operationNames() []string {
	names := make([]string, 0, debezium.NumOperations)
	for op := debezium.Insert; int(op) < debezium.NumOperations; op++ {
		names = append(names, op.String())
	}
	return names
}

func domainKeys(raw map[string]string) []config.Key {
	var keys []config.Key
	for _, d := range config.SplitList(raw["domains"]) {
		p := domainPrefix + d + "."
		group := "Domain " + d
		keys = append(keys,
			config.Key{Name: p + "state.machine.arn", Required: true, Validate: startableARN, Importance: config.High, Group: group, Order: 1, Width: config.WidthLong,
				Doc: "ARN of the state machine, or of a version or an alias of it, that the domain's changes start."},
			config.Key{Name: p + "topics", Type: config.List, Validate: config.All(config.NonEmptyList, config.UniqueValues), Importance: config.High, Group: group, Order: 2,
				Doc: "Topics that the domain takes, named as transforms leave them. Default: every topic."},
			config.Key{Name: p + "tables", Type: config.List, Validate: config.All(config.NonEmptyList, tablePatterns), Importance: config.High, Group: group, Order: 3,
				Doc: "Tables that the domain takes, as schema.table or database.schema.table, with the wildcards * and ?, in any case. Default: every table."},
			config.Key{Name: p + "operations", Type: config.List, Default: operationNames(), Validate: config.All(config.NonEmptyList, config.ItemsOf(operationNames()...)), Importance: config.Medium, Group: group, Order: 4,
				Doc: "Operations that the domain takes."},
			config.Key{Name: p + "execution.type", Validate: config.OneOf("auto", "standard", "express"), Importance: config.Low, Group: group, Order: 5,
				Doc: "Type of the domain's state machine. Default: execution.type."},
			config.Key{Name: p + "role.arn", Validate: roleARN, Importance: config.Low, Group: group, Order: 6, Width: config.WidthLong,
				Doc: "Role that starts the domain's state machine, of the state machine's account; the connector's own credentials must be allowed to assume it. Default: those credentials themselves."},
			config.Key{Name: p + "external.id", Importance: config.Low, Group: group, Order: 7,
				Doc: "External id that the trust policy of the domain's role asks for."},
			config.Key{Name: p + "role.session.name", Validate: sessionName, Importance: config.Low, Group: group, Order: 8,
				Doc: "Name of the role's sessions, as CloudTrail shows it. Default: stepconnect- and the connector's name."},
		)
	}
	return keys
}

// domainSuffixes are the names that follow domain.<name>. .
func domainSuffixes() []string {
	return []string{"state.machine.arn", "topics", "tables", "operations", "execution.type", "role.arn", "external.id", "role.session.name"}
}

func epochKeys(raw map[string]string) []config.Key {
	var keys []config.Key
	for name := range raw {
		if strings.HasPrefix(name, epochPrefix) {
			keys = append(keys, config.Key{Name: name, Type: config.Long, Default: 0, Validate: config.AtLeast(0), Importance: config.Low, Group: groupInput,
				Doc: "Epoch of the changes whose source.name (Debezium's topic.prefix) ends this key. Raise it when the database's log positions start again."})
		}
	}
	slices.SortFunc(keys, func(a, b config.Key) int { return strings.Compare(a.Name, b.Name) })
	return keys
}

var (
	startableARN = config.Func("ARN of a state machine, version or alias", func(name string, value any) error {
		text, _ := value.(string)
		if _, err := parseARN(text); err != nil {
			return config.Invalid(name, value, err.Error())
		}
		return nil
	})
	tablePatterns = config.Func("list of schema.table or database.schema.table", func(name string, value any) error {
		list, _ := value.([]string)
		for _, item := range list {
			if _, err := parseTablePattern(item); err != nil {
				return config.Invalid(name, value, err.Error())
			}
		}
		return nil
	})
	columnPatterns = config.Func("list of table.column, schema.table.column or database.schema.table.column", func(name string, value any) error {
		list, _ := value.([]string)
		for _, item := range list {
			if _, err := parseColumnPattern(item); err != nil {
				return config.Invalid(name, value, err.Error())
			}
		}
		return nil
	})
	endpointURL = config.Func("URL", func(name string, value any) error {
		text, _ := value.(string)
		if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return config.Invalid(name, value, "expected http://host:port or https://host:port")
		}
		return nil
	})
	domainName = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
)

func checkDomains(v config.Values) map[string][]string {
	errs := map[string][]string{}
	domains := v.List("domains")
	for _, d := range domains {
		if !domainName.MatchString(d) {
			errs["domains"] = append(errs["domains"], fmt.Sprintf("Domain %q must be 1 to 64 letters, digits, - or _", d))
		}
	}
	if d := v.String("default.domain"); d != "" && !slices.Contains(domains, d) {
		errs["default.domain"] = []string{fmt.Sprintf("Domain %q is not in domains (%s)", d, strings.Join(domains, ", "))}
	}
	if len(domains) == 0 {
		return errs
	}
	for key := range v.Prefix(domainPrefix) {
		known := slices.ContainsFunc(domains, func(d string) bool {
			suffix, ok := strings.CutPrefix(key, d+".")
			return ok && slices.Contains(domainSuffixes(), suffix)
		})
		if known {
			continue
		}
		errs[domainPrefix+key] = []string{fmt.Sprintf("Unknown key: expected %s<name>. with a name in domains (%s), followed by %s",
			domainPrefix, strings.Join(domains, ", "), strings.Join(domainSuffixes(), ", "))}
	}
	return errs
}

// checkRoutes refuses domains that can never get a change because an earlier one takes everything.
func checkRoutes(v config.Values) map[string][]string {
	domains := slices.DeleteFunc(v.List("domains"), func(d string) bool { return d == v.String("default.domain") })
	for i, d := range domains {
		p := domainPrefix + d + "."
		if v.Has(p+"topics") || v.Has(p+"tables") || !v.Valid(p+"topics") || !v.Valid(p+"tables") || i == len(domains)-1 {
			continue
		}
		return map[string][]string{p + "topics": {fmt.Sprintf(
			"Domain %s takes every topic and table, so %s would never get a change: set %stopics or %stables, or make it default.domain", d, domains[i+1], p, p)}}
	}
	return nil
}

func checkNaming(v config.Values) map[string][]string {
	if v.String("execution.name") != "change" || !v.Has("batch.max.records") || v.Int("batch.max.records") == 1 {
		return nil
	}
	return map[string][]string{"batch.max.records": {"execution.name=change names single changes: it needs batch.max.records=1"}}
}

func checkErrorLists(v config.Values) map[string][]string {
	errs := map[string][]string{}
	seen := map[string]string{}
	for _, key := range []string{"express.errors.retry", "express.errors.reject", "express.errors.fatal"} {
		for _, name := range v.List(key) {
			if other, dup := seen[name]; dup && other != key {
				errs[key] = append(errs[key], fmt.Sprintf("Error name %s is in %s too: each can have one meaning", name, other))
			}
			seen[name] = key
		}
	}
	return errs
}
