package runtime

import (
	"cmp"
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// Executions answers GET /connectors/{c}/executions: deliveries that were accepted and ended without success.
type Executions struct {
	Executions []connector.Outcome `json:"executions"` // newest first
	// Next is the page parameter of what is older; null on the last page.
	Next *string `json:"next"`
	// Counts are by domain and status, of all that the destination remembers, listed or not.
	Counts map[string]map[string]int `json:"counts"`
	// SweptAt is when the last full look at the destination began and SweepAge the seconds since; null: there was none yet.
	SweptAt  *time.Time `json:"swept_at"`
	SweepAge *float64   `json:"sweep_age_seconds"`
	// Warning says why nothing or little is known.
	Warning string `json:"warning,omitempty"`
}

// ExecutionsQuery narrows the list.
type ExecutionsQuery struct {
	Statuses []string // in any case; none means all
	Limit    int      // of one page; 0 means defaultPage
	Page     string   // Next of the page before
}

const (
	defaultPage = 100
	maxPage     = 1000
)

// Executions tells which deliveries of a connector were accepted and ended without success. The worker of task 0
// knows it; others answer with an *Elsewhere.
func (h *Herder) Executions(_ context.Context, name string, q ExecutionsQuery) (Executions, error) {
	s := h.view.get()
	if _, err := known(s, name, "Connector %s not found"); err != nil {
		return Executions{}, err
	}
	if q.Limit < 0 || q.Limit > maxPage {
		return Executions{}, BadRequest("limit must be from 1 to %d, or left out for %d", maxPage, defaultPage)
	}
	after, err := parsePage(q.Page)
	if err != nil {
		return Executions{}, err
	}
	none := Executions{Executions: []connector.Outcome{}, Counts: map[string]map[string]int{}}
	id := TaskID{name, 0}
	owner, planned := h.view.getPlan().Assignment.Tasks[id]
	if !planned || taskCount(s, name) == 0 {
		none.Warning = "no task of the connector runs, so nobody looks for executions that failed"
		return none, nil
	}
	if err := h.at(owner); err != nil {
		return Executions{}, err
	}
	sink := h.worker.sinkOf(id)
	if sink == nil {
		none.Warning = "task 0, which looks for executions that failed, has not started"
		return none, nil
	}
	auditor, ok := sink.(connector.Auditor)
	if !ok {
		return Executions{}, &Error{Status: http.StatusNotFound, Message: "Connector " + name + " does not look for what becomes of its deliveries: its class has no outcomes"}
	}
	out := auditor.Outcomes()
	if err := checkStatuses(q.Statuses, out.Statuses); err != nil {
		return Executions{}, err
	}
	return page(out, q, after, time.Now()), nil
}

func checkStatuses(asked, looked []string) error {
	for _, status := range asked {
		if !slices.ContainsFunc(looked, func(s string) bool { return strings.EqualFold(s, status) }) {
			return BadRequest("status %q is none of %s: executions are listed that ended without success", status, strings.Join(looked, ", "))
		}
	}
	return nil
}

// page cuts one page out of outcomes. It is pure.
func page(out connector.Outcomes, q ExecutionsQuery, after *pageEnd, now time.Time) Executions {
	answer := Executions{Executions: []connector.Outcome{}, Counts: out.Counts}
	if answer.Counts == nil {
		answer.Counts = map[string]map[string]int{}
	}
	if out.Swept.IsZero() {
		answer.Warning = "the first look at the executions has not ended, or outcomes.sweep.interval.ms switches it off"
	} else {
		at, age := out.Swept.UTC(), now.Sub(out.Swept).Seconds()
		answer.SweptAt, answer.SweepAge = &at, &age
	}
	limit := cmp.Or(q.Limit, defaultPage)
	for _, o := range out.Newest {
		if len(q.Statuses) > 0 && !slices.ContainsFunc(q.Statuses, func(s string) bool { return strings.EqualFold(s, o.Status) }) {
			continue
		}
		if after != nil && !after.before(o) {
			continue
		}
		if len(answer.Executions) == limit {
			next := endAt(answer.Executions[limit-1]).text()
			answer.Next = &next
			break
		}
		answer.Executions = append(answer.Executions, o)
	}
	return answer
}

// pageEnd is where a page ended. It is told by what the last outcome is, so that outcomes which come in meanwhile move nothing.
type pageEnd struct {
	stopped int64 // nanoseconds since 1970
	arn     string
}

func endAt(o connector.Outcome) pageEnd { return pageEnd{o.Stopped.UnixNano(), o.ARN} }

// before tells whether o comes after the place: is older, or as old with a higher ARN.
func (p pageEnd) before(o connector.Outcome) bool {
	at := endAt(o)
	return cmp.Or(cmp.Compare(p.stopped, at.stopped), cmp.Compare(at.arn, p.arn)) > 0
}

func (p pageEnd) text() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.stopped, 10) + " " + p.arn))
}

func parsePage(text string) (*pageEnd, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	stopped, arn, found := strings.Cut(string(raw), " ")
	n, numberErr := strconv.ParseInt(stopped, 10, 64)
	if err != nil || !found || numberErr != nil {
		return nil, BadRequest("page %q is not one that this API gave as next", text)
	}
	return &pageEnd{n, arn}, nil
}
