package states

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// MaxInput is the largest execution input, in bytes of UTF-8 (quotas of the developer guide).
const MaxInput = 262_144

// request holds the members of all calls; a call reads those that it has.
type request struct {
	StateMachineArn *string `json:"stateMachineArn"`
	ExecutionArn    *string `json:"executionArn"`
	Name            *string `json:"name"`
	Input           *string `json:"input"`
	TraceHeader     *string `json:"traceHeader"`
	IncludedData    *string `json:"includedData"`
	StatusFilter    *string `json:"statusFilter"`
	RedriveFilter   *string `json:"redriveFilter"`
	MapRunArn       *string `json:"mapRunArn"`
	NextToken       *string `json:"nextToken"`
	MaxResults      *int    `json:"maxResults"`
	Error           *string `json:"error"`
	Cause           *string `json:"cause"`
}

// constraints checks what the service model says of the members, before the service looks at anything.
func (q *request) constraints(required string, arn *string) *apiError {
	var v violations
	if arn == nil && required != "" {
		v.add("Value null at '%s' failed to satisfy constraint: Member must not be null", required)
	}
	length(&v, "stateMachineArn", q.StateMachineArn, 1, 256)
	length(&v, "executionArn", q.ExecutionArn, 1, 256)
	length(&v, "name", q.Name, 1, 80)
	length(&v, "traceHeader", q.TraceHeader, 0, 256)
	length(&v, "nextToken", q.NextToken, 1, 3096)
	length(&v, "error", q.Error, 0, 256)
	length(&v, "cause", q.Cause, 0, 32768)
	if q.Input != nil && len(*q.Input) > MaxInput {
		v.add("Value at 'input' failed to satisfy constraint: Member must have size less than or equal to %d bytes in UTF-8 encoding", MaxInput)
	}
	if q.TraceHeader != nil && strings.ContainsFunc(*q.TraceHeader, func(r rune) bool { return r > unicode.MaxASCII }) {
		v.add(`Value at 'traceHeader' failed to satisfy constraint: Member must satisfy regular expression pattern: \p{ASCII}*`)
	}
	enum(&v, "statusFilter", q.StatusFilter, "SUCCEEDED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "FAILED", "RUNNING")
	enum(&v, "redriveFilter", q.RedriveFilter, "REDRIVEN", "NOT_REDRIVEN")
	enum(&v, "includedData", q.IncludedData, "ALL_DATA", "METADATA_ONLY")
	if q.MaxResults != nil && *q.MaxResults > 1000 {
		v.add("Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 1000", *q.MaxResults)
	}
	if q.MaxResults != nil && *q.MaxResults < 0 {
		v.add("Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 0", *q.MaxResults)
	}
	return v.err()
}

// length counts as Java does, in UTF-16 units.
func length(v *violations, member string, value *string, least, most int) {
	if value == nil {
		return
	}
	n := 0
	for _, r := range *value {
		n += utf16.RuneLen(r)
	}
	if n > most {
		v.add("Value '%s' at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", *value, member, most)
	}
	if n < least {
		v.add("Value '%s' at '%s' failed to satisfy constraint: Member must have length greater than or equal to %d", *value, member, least)
	}
}

func enum(v *violations, member string, value *string, allowed ...string) {
	if value == nil {
		return
	}
	for _, a := range allowed {
		if *value == a {
			return
		}
	}
	v.add("Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: [%s]",
		*value, member, strings.Join(allowed, ", "))
}

// validName checks the characters of an execution name as the API reference of StartExecution lists them.
func validName(name string) *apiError {
	bad := func(r rune) bool {
		switch {
		case unicode.IsSpace(r), strings.ContainsRune("<>{}[]?*\"#%\\^|~`$&,;:/", r):
			return true
		case r <= 0x1F, r >= 0x7F && r <= 0x9F, r == 0xFFFE, r == 0xFFFF:
			return true
		case r == unicode.ReplacementChar: // what decoding makes of a lone surrogate
			return true
		}
		return false
	}
	if strings.ContainsFunc(name, bad) {
		return newError("InvalidName", "Invalid Name: '%s'", name)
	}
	return nil
}

// validInput checks that the input is one JSON text; of any type, as the service allows.
func validInput(input []byte) *apiError {
	if len(input) == 0 {
		return newError("InvalidExecutionInput", "Invalid State Machine Execution Input: 'Invalid execution input.'")
	}
	if !json.Valid(input) {
		var ignored any
		return newError("InvalidExecutionInput", "Invalid State Machine Execution Input: '%v'", json.Unmarshal(input, &ignored))
	}
	return nil
}

// machineARN is a state machine's ARN taken apart.
type machineARN struct {
	base      string // without qualifier
	name      string
	qualifier string // version number or alias, or ""
}

// version is the version number that the qualifier is, or 0 for an alias or none.
func (a machineARN) version() int {
	n, err := strconv.Atoi(a.qualifier)
	if err != nil || n < 1 {
		return 0
	}
	return n
}

func parseMachineARN(arn string) (machineARN, *apiError) {
	parts, err := parseARN(arn, "stateMachine")
	if err != nil {
		return machineARN{}, err
	}
	if len(parts) > 8 {
		return machineARN{}, errInvalidARN("Invalid State Machine Arn: " + arn)
	}
	if strings.Contains(parts[6], "/") {
		return machineARN{}, newError(codeValidation, "State machine ARN '%s' refers to a Map state and cannot be used here.", arn)
	}
	a := machineARN{base: strings.Join(parts[:7], ":"), name: parts[6]}
	if len(parts) == 8 {
		a.qualifier = parts[7]
	}
	return a, nil
}

// parseExecutionARN returns the ARN of the machine and the name of a Standard execution.
func parseExecutionARN(arn string) (machine, name string, err *apiError) {
	parts, err := parseARN(arn, "execution")
	if err != nil {
		return "", "", err
	}
	if len(parts) != 8 {
		return "", "", errInvalidARN("Invalid Execution Arn: " + arn)
	}
	return strings.Join(append(append([]string{}, parts[:5]...), "stateMachine", parts[6]), ":"), parts[7], nil
}

// parseARN splits an ARN of this service and of the given resource type into at least seven parts.
func parseARN(arn, resource string) ([]string, *apiError) {
	parts := strings.Split(arn, ":")
	switch {
	case parts[0] != "arn":
		return nil, errInvalidARN("Invalid ARN prefix: " + arn)
	case len(parts) < 7 || parts[1] == "" || parts[3] == "" || parts[4] == "" || parts[6] == "":
		return nil, errInvalidARN("Invalid ARN: " + arn)
	case parts[2] != "states":
		return nil, errInvalidARN("Invalid service name: " + parts[2])
	case parts[5] != resource:
		return nil, errInvalidARN("Resource type not valid in this context: " + parts[5])
	}
	return parts, nil
}
