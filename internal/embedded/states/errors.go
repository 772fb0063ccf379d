package states

import (
	"fmt"
	"net/http"
	"strings"
)

// apiError is an error answer of the service.
type apiError struct {
	code    string // without namespace
	message string
	status  int // HTTP
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

// Names that the handlers use themselves; a Fault may name any other.
const (
	codeValidation    = "ValidationException"
	codeThrottling    = "ThrottlingException"
	codeInternal      = "InternalFailure"
	codeUnavailable   = "ServiceUnavailableException"
	codeTooLarge      = "RequestEntityTooLargeException"
	codeAlreadyExists = "ExecutionAlreadyExists"
)

// newError makes the answer for code with the HTTP status that the service gives it: 400 for all but
// server faults and bodies that are too large.
func newError(code, format string, args ...any) *apiError {
	e := &apiError{code: code, message: fmt.Sprintf(format, args...), status: http.StatusBadRequest}
	switch code {
	case codeInternal, "InternalServerError", "InternalServerException":
		e.status = http.StatusInternalServerError
	case codeUnavailable, "ServiceUnavailable":
		e.status = http.StatusServiceUnavailable
	case "TooManyRequestsException":
		e.status = http.StatusTooManyRequests
	case codeTooLarge:
		e.status = http.StatusRequestEntityTooLarge
	}
	return e
}

// namespaced is the "__type" of an error: the modelled ones carry the namespace of the service's old
// code base, the others that of the layer which refuses them.
func (e *apiError) namespaced() string {
	switch {
	case e.code == codeValidation:
		return "com.amazon.coral.validate#" + e.code
	case e.code == codeThrottling:
		return "com.amazon.coral.availability#" + e.code
	case modelled(e.code):
		return "com.amazonaws.swf.service.v2.model#" + e.code
	}
	return "com.amazon.coral.service#" + e.code
}

// modelled says whether the service model (2016-11-23) lists code for one of the calls answered here.
func modelled(code string) bool {
	switch code {
	case codeAlreadyExists, "ExecutionDoesNotExist", "ExecutionLimitExceeded", "InvalidArn",
		"InvalidExecutionInput", "InvalidName", "InvalidToken", "KmsAccessDeniedException",
		"KmsInvalidStateException", "KmsThrottlingException", "ResourceNotFound", "StateMachineDeleting",
		"StateMachineDoesNotExist", "StateMachineTypeNotSupported":
		return true
	}
	return false
}

// messageOf is the service's usual text for a code that a fault names without a message.
func messageOf(code string) string {
	switch code {
	case codeThrottling:
		return "Rate exceeded"
	case "ExpiredTokenException":
		return "The security token included in the request is expired"
	case "UnrecognizedClientException":
		return "The security token included in the request is invalid."
	case "AccessDeniedException":
		return "User is not authorized to perform: states:StartExecution on resource"
	case "ExecutionLimitExceeded":
		return "Execution Limit Exceeded"
	}
	return "injected " + code
}

func errInvalidARN(why string) *apiError { return newError("InvalidArn", "Invalid Arn: '%s'", why) }

func errNoMachine(arn string) *apiError {
	return newError("StateMachineDoesNotExist", "State Machine Does Not Exist: '%s'", arn)
}

func errWrongType() *apiError {
	return newError("StateMachineTypeNotSupported", "This operation is not supported by this type of state machine")
}

func errNoExecution(arn string) *apiError {
	return newError("ExecutionDoesNotExist", "Execution Does Not Exist: '%s'", arn)
}

// violations collects breaches of the model's constraints, which the service reports all at once.
type violations []string

func (v *violations) add(format string, args ...any) { *v = append(*v, fmt.Sprintf(format, args...)) }

func (v violations) err() *apiError {
	if len(v) == 0 {
		return nil
	}
	plural := ""
	if len(v) > 1 {
		plural = "s"
	}
	return newError(codeValidation, "%d validation error%s detected: %s", len(v), plural, strings.Join(v, "; "))
}
