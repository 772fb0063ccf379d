package stepfunctions

import (
	"fmt"
	"regexp"

	"github.com/stepconnect/stepconnect/connector/config"
)

func limitKeys() []config.Key {
	return []config.Key{
		{Name: "start.rate.limit", Type: config.Double, Default: 0, Validate: config.AtLeast(0), Unit: "starts per second",
			Importance: config.Medium, Group: groupLimits,
			Doc: "The most starts per second of the whole connector; the tasks of a worker together get the share that their partitions have in all partitions of the topics, and lend it to each other. 0: no limit but AWS's, which a worker finds by being throttled: it then starts more slowly, and faster again by itself."},
	}
}

func outcomeKeys() []config.Key {
	return []config.Key{
		{Name: "outcomes.sweep.interval.ms", Type: config.Long, Default: defaultSweepInterval.Milliseconds(), Validate: sweepInterval, Unit: "ms", Importance: config.Low, Group: groupExecution,
			Doc: "How often task 0 begins to look for Standard executions that failed, timed out or were aborted after they had been accepted. It lists them with at most one call of ListExecutions in 2 s, so a sweep may take longer. -1: never."},
	}
}

var sweepInterval = config.Func("-1, or at least 2000", func(name string, value any) error {
	if ms, _ := value.(int64); ms != -1 && ms < sweepPause.Milliseconds() {
		return config.Invalid(name, value, "expected -1, or at least 2000")
	}
	return nil
})

func claimKeys() []config.Key {
	visible := func(raw map[string]string) bool { return raw["oversize.policy"] == "s3" }
	return []config.Key{
		{Name: "oversize.s3.bucket", Importance: config.Medium, Group: groupLimits, Visible: visible,
			Doc: "Bucket of the columns that do not fit into an input; required by oversize.policy=s3. Its lifecycle rules must keep an object for as long as a change may be delivered again."},
		{Name: "oversize.s3.prefix", Default: "claims/", Validate: claimPrefix, Importance: config.Low, Group: groupLimits, Visible: visible,
			Doc: "What the keys of the objects begin with; the SHA-256 of the content follows in hexadecimal digits."},
		{Name: "oversize.s3.sse", Default: "AES256", Validate: config.OneOf("AES256", "aws:kms"), Importance: config.Medium, Group: groupLimits, Visible: visible,
			Doc: "Server-side encryption of the objects."},
		{Name: "oversize.s3.kms.key.id", Importance: config.Low, Group: groupLimits, Visible: visible,
			Doc: "Key of oversize.s3.sse=aws:kms. Default: the account's own key of S3, with which no other account can read the objects."},
		{Name: "oversize.s3.region", Importance: config.Low, Group: groupLimits, Visible: visible,
			Doc: "Region of the bucket. Default: aws.region, or that of the SDK's chain."},
		{Name: "oversize.s3.endpoint", Validate: endpointURL, Importance: config.Low, Group: groupLimits, Width: config.WidthLong, Visible: visible,
			Doc: "Endpoint of S3, for tests and VPC endpoints; buckets then stand in the path. Default: aws.endpoint, or the region's."},
	}
}

func columnKeys() []config.Key {
	const patterns = " Patterns are table.column, schema.table.column or database.schema.table.column, with the wildcards * and ?, in any case."
	key := func(name, doc string) config.Key {
		return config.Key{Name: name, Type: config.List, Validate: config.All(config.NonEmptyList, columnPatterns), Importance: config.Medium, Group: groupInput, Width: config.WidthLong, Doc: doc}
	}
	return []config.Key{
		{Name: "input.changed.fields", Type: config.Boolean, Default: false, Importance: config.Low, Group: groupInput,
			Doc: "Whether updates name the columns that they changed, in changed. An update without the row before, or of which Debezium did not carry a column, leaves unnamed what it does not show."},
		key("columns.include", "The only columns of rows that inputs hold. Keys stay whole. Default: every column."+patterns),
		key("columns.exclude", "Columns that inputs do not hold, neither in rows nor in keys."+patterns),
		key("columns.mask", "Columns that inputs hold as asterisks, in rows and in keys; NULL stays NULL."+patterns),
		key("columns.hash", "Columns that inputs hold as the HMAC-SHA-256 of their text in hexadecimal digits, in rows and in keys, so that equal values stay equal; NULL stays NULL. A column in several lists is excluded before it is masked, and masked before it is hashed."+patterns),
		{Name: "columns.hash.key", Type: config.Password, Importance: config.Medium, Group: groupInput,
			Doc: "Secret key of columns.hash. Without it hashes of CPFs and the like could be found by trying all; with another key all hashes are others."},
	}
}

// maxPrefix leaves room for the hash in the 1,024 bytes of an object's key (S3 User Guide).
const maxPrefix = 900

var claimPrefix = config.Func("text of at most 900 bytes", func(name string, value any) error {
	if text, _ := value.(string); len(text) > maxPrefix {
		return config.Invalid(name, value, "an object's key would be too long: at most 900 bytes")
	}
	return nil
})

func checkColumns(v config.Values) map[string][]string {
	if v.Has("columns.hash") && v.Password("columns.hash.key").Reveal() == "" {
		return map[string][]string{"columns.hash.key": {"columns.hash needs a secret key: unkeyed hashes of identity numbers can be reversed by trying all"}}
	}
	return nil
}

func checkClaims(v config.Values) map[string][]string {
	errs := map[string][]string{}
	if v.String("oversize.policy") == "s3" {
		if v.String("oversize.s3.bucket") == "" {
			errs["oversize.s3.bucket"] = []string{"oversize.policy=s3 needs a bucket"}
		}
		if v.String("input.format") == string(formatEnvelope) {
			errs["oversize.policy"] = []string{"oversize.policy=s3 cannot move columns out of input.format=envelope, which is Debezium's event as it is: use change or flat"}
		}
	}
	if v.String("oversize.s3.kms.key.id") != "" && v.String("oversize.s3.sse") != "aws:kms" {
		errs["oversize.s3.kms.key.id"] = []string{"a KMS key needs oversize.s3.sse=aws:kms"}
	}
	return errs
}

var (
	rolePattern    = regexp.MustCompile(`^arn:[a-z-]+:iam::([0-9]{12}):role/[\w+=,.@/-]{1,512}$`)
	sessionPattern = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

	roleARN = config.Func("ARN of a role", func(name string, value any) error {
		if text, _ := value.(string); !rolePattern.MatchString(text) {
			return config.Invalid(name, value, "expected arn:<partition>:iam::<account>:role/<name>")
		}
		return nil
	})
	sessionName = config.Func("2 to 64 of 0-9 A-Z a-z _ + = , . @ -", func(name string, value any) error {
		if text, _ := value.(string); !sessionPattern.MatchString(text) {
			return config.Invalid(name, value, "expected 2 to 64 of 0-9 A-Z a-z _ + = , . @ -")
		}
		return nil
	})
)

// checkRoles holds a role against its state machine: Step Functions has no policies on state machines, so
// only principals of their own account can start them.
func checkRoles(v config.Values) map[string][]string {
	errs := map[string][]string{}
	for _, d := range v.List("domains") {
		p := domainPrefix + d + "."
		arn, err := parseARN(v.String(p + "state.machine.arn"))
		role := rolePattern.FindStringSubmatch(v.String(p + "role.arn"))
		switch {
		case err == nil && role != nil && role[1] != arn.account:
			errs[p+"role.arn"] = []string{fmt.Sprintf("The role is of account %s and the state machine of account %s: state machines can only be started by roles of their own account", role[1], arn.account)}
		case v.String(p+"role.arn") == "" && v.Valid(p+"role.arn") && (v.String(p+"external.id") != "" || v.String(p+"role.session.name") != ""):
			errs[p+"role.arn"] = []string{fmt.Sprintf("%sexternal.id and %[1]srole.session.name belong to a role: set %[1]srole.arn", p)}
		}
	}
	return errs
}
