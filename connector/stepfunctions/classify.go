package stepfunctions

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/internal/aws"
)

// reason says why a call did not deliver; it is the label of the error counter.
type reason uint8

const (
	reasonThrottled    reason = iota // AWS asks to slow down
	reasonQuota                      // too many open executions
	reasonUnknown                    // the answer was lost or a 5xx: the call may have had its effect
	reasonPermission                 // credentials, permissions or the KMS key: may heal by itself or by an administrator
	reasonDestination                // the state machine is not there or not of the type
	reasonInput                      // this input or name can never be accepted
	reasonUnclassified               // refused with a code that is not in the table
	reasonWrongType                  // an Express state machine was started asynchronously
	reasonFailed                     // Express: the execution failed with an error that repeating may cure
	reasonRejected                   // Express: the execution failed with an error of the data
	numReasons
)

var reasonNames = [numReasons]string{"throttled", "quota", "unknown_outcome", "permission", "destination", "input",
	"unclassified", "wrong_type", "execution_failed", "execution_rejected"}

// action is what the host is told to do with the batch.
type action uint8

const (
	actAcknowledge action = iota // delivered by an earlier try of the same name
	actRetry                     // again, with the host's back-off
	actRetrySlowly               // again, but not soon: somebody has to repair something first
	actReject                    // never again
)

// verdict is what classify makes of an error.
type verdict struct {
	action action
	reason reason
	after  time.Duration // least wait that AWS asked for; 0 for none
	remedy string        // what a person can do; "" for nothing
}

// error gives err, with what a person can do about it, the class that the verdict stands for. slow is the least
// wait before a repeat that somebody has to make possible first.
func (v verdict) error(err error, slow time.Duration) error {
	if v.remedy != "" {
		err = fmt.Errorf("%w; %s", err, v.remedy)
	}
	switch v.action {
	case actReject:
		return connector.Rejected(err)
	case actRetrySlowly:
		return connector.RetryAfter(err, max(v.after, slow))
	}
	if v.reason == reasonThrottled {
		return connector.Throttled(err, v.after)
	}
	return connector.RetryAfter(err, v.after)
}

// classify decides what an error of a call of Step Functions means. Codes are matched as text,
// because the codes that all AWS services share have no Go types. Doubt is always resolved
// towards trying again: only codes that refuse the input itself reject (invariant 1).
func classify(err error) verdict {
	// First, because a role that could not be assumed comes with the error of STS inside.
	var credentials *aws.CredentialsError
	if errors.As(err, &credentials) {
		return verdict{actRetrySlowly, reasonPermission, 0, remedyCredentials}
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		if v, known := verdicts[api.ErrorCode()]; known {
			v.after = retryAfter(err)
			return v
		}
	}
	var status *smithyhttp.ResponseError
	if errors.As(err, &status) {
		v := classifyStatus(status.HTTPStatusCode())
		v.after = retryAfter(err)
		return v
	}
	// No answer: connection refused or reset, DNS, a timeout. The call may have arrived; a
	// repeat under the same name is safe (Standard), for Express the destination's guard is.
	return verdict{actRetry, reasonUnknown, 0, ""}
}

func classifyStatus(status int) verdict {
	switch {
	case status == http.StatusTooManyRequests:
		return verdict{actRetry, reasonThrottled, 0, ""}
	case status == http.StatusRequestEntityTooLarge:
		return verdict{actReject, reasonInput, 0, remedySize}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return verdict{actRetrySlowly, reasonPermission, 0, remedyPermission}
	case status >= 500, status < 400:
		// Below 400: the answer could not be read, so the call had its effect.
		return verdict{actRetry, reasonUnknown, 0, ""}
	}
	return verdict{actRetrySlowly, reasonUnclassified, 0, "an answer that is not in the table of known errors; see AWS's documentation of the code"}
}

const (
	remedyCredentials = "set AWS credentials in the environment or give the pod or instance a role; for domain.<name>.role.arn check the role's trust policy, its external id, and sts:AssumeRole"
	remedySize        = "lower batch.max.bytes or set oversize.policy"
	remedyPermission  = "check the credentials, and that the role allows states:StartExecution (Standard) or states:StartSyncExecution (Express) on the state machine"
	remedyClock       = "check the credentials and this machine's clock"
	remedyKMS         = "check the state machine's KMS key and the role's kms:Decrypt and kms:GenerateDataKey on it"
	remedyMachine     = "create the state machine or correct state.machine.arn; only this domain waits"
	remedyType        = "set execution.type to the state machine's type, or to auto, and restart; only this domain waits"
)

// verdicts is the error table: AWS's codes by what they mean for a start (the modelled errors
// are those of the StartExecution and StartSyncExecution pages of the API reference; the rest is
// common to all services).
var verdicts = map[string]verdict{
	// The name was used within 90 days by an execution that differs or has closed. Names hold the
	// records' identity, so that was an earlier try of this very batch.
	"ExecutionAlreadyExists": {action: actAcknowledge},

	// Token buckets are shared by the whole account and region: only waiting helps.
	"ThrottlingException":                    {action: actRetry, reason: reasonThrottled},
	"Throttling":                             {action: actRetry, reason: reasonThrottled},
	"ThrottledException":                     {action: actRetry, reason: reasonThrottled},
	"RequestThrottled":                       {action: actRetry, reason: reasonThrottled},
	"RequestThrottledException":              {action: actRetry, reason: reasonThrottled},
	"RequestLimitExceeded":                   {action: actRetry, reason: reasonThrottled},
	"TooManyRequestsException":               {action: actRetry, reason: reasonThrottled},
	"LimitExceededException":                 {action: actRetry, reason: reasonThrottled},
	"ProvisionedThroughputExceededException": {action: actRetry, reason: reasonThrottled},
	"BandwidthLimitExceeded":                 {action: actRetry, reason: reasonThrottled},
	"PriorRequestNotComplete":                {action: actRetry, reason: reasonThrottled},
	"SlowDown":                               {action: actRetry, reason: reasonThrottled},
	"KmsThrottlingException":                 {action: actRetry, reason: reasonThrottled},

	// A million open executions take a while to drain.
	"ExecutionLimitExceeded":        {action: actRetrySlowly, reason: reasonQuota, remedy: "too many open executions in this account and region: raise the quota or end executions"},
	"ServiceQuotaExceededException": {action: actRetrySlowly, reason: reasonQuota, remedy: "raise the quota that the message names"},

	// The call may have had its effect before the answer was lost.
	"InternalServerError":         {action: actRetry, reason: reasonUnknown},
	"InternalServerException":     {action: actRetry, reason: reasonUnknown},
	"InternalFailure":             {action: actRetry, reason: reasonUnknown},
	"InternalError":               {action: actRetry, reason: reasonUnknown},
	"ServiceUnavailable":          {action: actRetry, reason: reasonUnknown},
	"ServiceUnavailableException": {action: actRetry, reason: reasonUnknown},
	"RequestTimeout":              {action: actRetry, reason: reasonUnknown},
	"RequestTimeoutException":     {action: actRetry, reason: reasonUnknown},
	// S3: another put of the same object is under way.
	"ConditionalRequestConflict": {action: actRetry, reason: reasonUnknown},

	// Permissions and credentials are repaired from outside, without this connector.
	"AccessDenied":                        {action: actRetrySlowly, reason: reasonPermission, remedy: remedyPermission},
	"AccessDeniedException":               {action: actRetrySlowly, reason: reasonPermission, remedy: remedyPermission},
	"NotAuthorized":                       {action: actRetrySlowly, reason: reasonPermission, remedy: remedyPermission},
	"OptInRequired":                       {action: actRetrySlowly, reason: reasonPermission, remedy: remedyPermission},
	"ExpiredToken":                        {action: actRetrySlowly, reason: reasonPermission, remedy: remedyClock},
	"ExpiredTokenException":               {action: actRetrySlowly, reason: reasonPermission, remedy: remedyClock},
	"RequestTimeTooSkewed":                {action: actRetrySlowly, reason: reasonPermission, remedy: remedyClock},
	"RequestExpired":                      {action: actRetrySlowly, reason: reasonPermission, remedy: remedyClock},
	"UnrecognizedClient":                  {action: actRetrySlowly, reason: reasonPermission, remedy: remedyClock},
	"UnrecognizedClientException":         {action: actRetrySlowly, reason: reasonPermission, remedy: remedyClock},
	"InvalidClientTokenId":                {action: actRetrySlowly, reason: reasonPermission, remedy: remedyClock},
	"InvalidSignatureException":           {action: actRetrySlowly, reason: reasonPermission, remedy: remedyClock},
	"SignatureDoesNotMatch":               {action: actRetrySlowly, reason: reasonPermission, remedy: remedyClock},
	"IncompleteSignature":                 {action: actRetrySlowly, reason: reasonPermission, remedy: remedyClock},
	"MissingAuthenticationToken":          {action: actRetrySlowly, reason: reasonPermission, remedy: remedyClock},
	"MissingAuthenticationTokenException": {action: actRetrySlowly, reason: reasonPermission, remedy: remedyClock},
	"KmsAccessDeniedException":            {action: actRetrySlowly, reason: reasonPermission, remedy: remedyKMS},
	"KmsInvalidStateException":            {action: actRetrySlowly, reason: reasonPermission, remedy: remedyKMS},

	// The domain's destination is wrong. Its batches wait, visibly; other domains go on, and
	// nothing goes to the dead letter queue, since the data is not at fault.
	"StateMachineDoesNotExist":     {action: actRetrySlowly, reason: reasonDestination, remedy: remedyMachine},
	"StateMachineDeleting":         {action: actRetrySlowly, reason: reasonDestination, remedy: remedyMachine},
	"InvalidArn":                   {action: actRetrySlowly, reason: reasonDestination, remedy: remedyMachine},
	"ResourceNotFound":             {action: actRetrySlowly, reason: reasonDestination, remedy: remedyMachine},
	"StateMachineTypeNotSupported": {action: actRetrySlowly, reason: reasonDestination, remedy: remedyType},

	// This very input can never be accepted; the host splits a batch to find the culprit.
	"InvalidExecutionInput":          {action: actReject, reason: reasonInput, remedy: remedySize},
	"InvalidName":                    {action: actReject, reason: reasonInput},
	"ValidationException":            {action: actReject, reason: reasonInput},
	"ValidationError":                {action: actReject, reason: reasonInput},
	"SerializationException":         {action: actReject, reason: reasonInput},
	"RequestEntityTooLarge":          {action: actReject, reason: reasonInput, remedy: remedySize},
	"RequestEntityTooLargeException": {action: actReject, reason: reasonInput, remedy: remedySize},
}

// maxRetryAfter bounds what an answer may ask for.
const maxRetryAfter = time.Minute

// retryAfter reads the wait that an answer asks for: x-amz-retry-after in milliseconds or
// Retry-After in seconds.
func retryAfter(err error) time.Duration {
	var re *smithyhttp.ResponseError
	if !errors.As(err, &re) || re.HTTPResponse() == nil || re.HTTPResponse().Response == nil {
		return 0
	}
	h := re.HTTPResponse().Header
	if ms, err := strconv.ParseInt(h.Get("x-amz-retry-after"), 10, 32); err == nil && ms > 0 {
		return min(time.Duration(ms)*time.Millisecond, maxRetryAfter)
	}
	if s, err := strconv.ParseInt(h.Get("Retry-After"), 10, 32); err == nil && s > 0 {
		return min(time.Duration(s)*time.Second, maxRetryAfter)
	}
	return 0
}
