package registry

import (
	"fmt"
	"net/http"
)

// apiError is an error answer: an HTTP status and the registry's own code.
type apiError struct {
	status  int
	code    int
	message string
}

func (e *apiError) Error() string { return fmt.Sprintf("%d: %s", e.code, e.message) }

// notFound and unprocessable make errors of codes 404xx and 422xx.
func notFound(code int, format string, args ...any) *apiError {
	return &apiError{http.StatusNotFound, code, fmt.Sprintf(format, args...)}
}

func unprocessable(code int, format string, args ...any) *apiError {
	return &apiError{http.StatusUnprocessableEntity, code, fmt.Sprintf(format, args...)}
}

func errNoSubject(subject string) *apiError {
	return notFound(40401, "Subject '%s' not found.", subject)
}

func errNoVersion(version int) *apiError { return notFound(40402, "Version %d not found.", version) }

func errNoSchema(what any) *apiError { return notFound(40403, "Schema %v not found", what) }
