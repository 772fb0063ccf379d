package stepfunctions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/stepconnect/stepconnect/connector"
)

// errorTable says what the error name of a failed Express execution means. Names are those of
// the states language ("States.Timeout"), of the services that a state calls
// ("Lambda.TooManyRequestsException") or of Fail states.
type errorTable struct {
	retry, reject, fatal []string // exact names, or prefixes that end in *
}

// class of an error name: the longest entry that matches decides, an exact one before any
// prefix. A name in no list is retried, so that an error nobody thought of loses nothing.
func (t *errorTable) class(name string) connector.Class {
	class, best := connector.ClassRetryable, -1
	for _, list := range [...]struct {
		entries []string
		class   connector.Class
	}{{t.fatal, connector.ClassFatal}, {t.reject, connector.ClassRejected}, {t.retry, connector.ClassRetryable}} {
		for _, entry := range list.entries {
			if n := matchLength(entry, name); n > best {
				class, best = list.class, n
			}
		}
	}
	return class
}

// matchLength ranks how closely entry matches name; -1 means not at all.
func matchLength(entry, name string) int {
	if prefix, ok := strings.CutSuffix(entry, "*"); ok {
		if strings.HasPrefix(name, prefix) {
			return len(prefix)
		}
		return -1
	}
	if entry == name {
		return len(name) + 1
	}
	return -1
}

// executionError is an Express execution that ended without success.
type executionError struct {
	status types.SyncExecutionStatus
	name   string // the error's name
	cause  string
}

func (e *executionError) Error() string {
	return fmt.Sprintf("the execution ended %s with error %s: %s", e.status, e.name, excerpt(e.cause))
}

// ofInterpreter tells whether Step Functions itself gave the error, and not a task or a Fail state: only its own names
// begin so ("Handling errors", Step Functions Developer Guide). One alone does not tell whether the change or the definition of the state
// machine is at fault.
func (e *executionError) ofInterpreter() bool { return strings.HasPrefix(e.name, "States.") }

// suspicion counts the changes in a row that were rejected with an error of the interpreter, while no execution of the
// domain succeeded: the more there are, the likelier it is the state machine that is broken, and the changes are good.
type suspicion struct{ rejected atomic.Int64 }

// reject counts one more change unless there have been most in a row; -1 is no limit.
func (s *suspicion) reject(most int) bool {
	if n := s.rejected.Add(1); most >= 0 && n > int64(most) {
		s.rejected.Add(-1)
		return false
	}
	return true
}

// clear takes in that an execution succeeded.
func (s *suspicion) clear() {
	if s.rejected.Load() != 0 { // rarely: the counter is shared by all calls of the domain
		s.rejected.Store(0)
	}
}

const maxCause = 500

// excerpt shortens a cause, which can be a whole stack trace.
func excerpt(cause string) string {
	if cause == "" {
		return "no cause given"
	}
	if len(cause) <= maxCause {
		return cause
	}
	cut := maxCause
	for !utf8.RuneStart(cause[cut]) {
		cut--
	}
	return cause[:cut] + "…"
}

// failedChange is one entry of the output's "failed": a change that the state machine could
// not apply, by its place in the input's changes.
type failedChange struct {
	Index *int   `json:"index"`
	Error string `json:"error"`
	Cause string `json:"cause"`
}

// failedChanges reads the per-change results out of the output of a SUCCEEDED execution. An
// output without "failed" means that all changes were applied, whatever else it holds.
func failedChanges(output string, changes int) (map[int]error, error) {
	if !strings.Contains(output, `"failed"`) || !strings.HasPrefix(strings.TrimLeft(output, " \t\r\n"), "{") {
		return nil, nil
	}
	var out struct {
		Failed json.RawMessage `json:"failed"`
	}
	if err := json.Unmarshal([]byte(output), &out); err != nil {
		return nil, fmt.Errorf("reading the execution's output: %w", err)
	}
	if len(out.Failed) == 0 || bytes.Equal(out.Failed, []byte("null")) {
		return nil, nil
	}
	var list []failedChange
	if err := json.Unmarshal(out.Failed, &list); err != nil {
		return nil, fmt.Errorf(`the output's "failed" is no list of {"index","error","cause"}: %w`, err)
	}
	failed := make(map[int]error, len(list))
	for _, f := range list {
		if f.Index == nil || *f.Index < 0 || *f.Index >= changes {
			return nil, fmt.Errorf(`the output's "failed" has an entry without an index from 0 to %d`, changes-1)
		}
		failed[*f.Index] = fmt.Errorf("the state machine refused the change with error %s: %s", f.Error, excerpt(f.Cause))
	}
	return failed, nil
}
