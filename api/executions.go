package api

import (
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/runtime"
)

// executions answers what Kafka Connect has no endpoint for: which deliveries were accepted and failed afterwards.
func (a *handler) executions(r *request) (answer, error) {
	query := r.query()
	q := runtime.ExecutionsQuery{Page: query.Get("page")}
	for _, list := range query["status"] {
		for status := range strings.SplitSeq(list, ",") {
			if status = strings.TrimSpace(status); status != "" {
				q.Statuses = append(q.Statuses, status)
			}
		}
	}
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return answer{}, runtime.BadRequest("limit %q is not a number of at least 1", text)
		}
		q.Limit = n
	}
	return read(a.herder.Executions(r.Context(), r.param("connector"), q))
}
