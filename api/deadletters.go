package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/runtime"
)

// The endpoints of dead letter queues; Kafka Connect has none.

const letterFields = "topic, partition, offset_min, offset_max, stage, exception_class, since, until, letter"

func (a *handler) listDeadLetters(r *request) (answer, error) {
	q, err := letterQuery(r.query())
	if err != nil {
		return answer{}, err
	}
	return read(a.herder.DeadLetters(r.Context(), r.param("connector"), q))
}

func (a *handler) getDeadLetter(r *request) (answer, error) {
	partition, err := strconv.ParseInt(r.param("partition"), 10, 32)
	offset, err2 := strconv.ParseInt(r.param("offset"), 10, 64)
	if err != nil || err2 != nil || partition < 0 || offset < 0 {
		return answer{}, runtime.NotFound("%s", frameworkText(http.StatusNotFound))
	}
	return read(a.herder.DeadLetter(r.Context(), r.param("connector"), int32(partition), offset))
}

func (a *handler) replayDeadLetters(r *request) (answer, error) {
	req, err := decodeLetterRequest(r.body)
	if err != nil {
		return answer{}, err
	}
	op, err := a.herder.ReplayDeadLetters(r.Context(), r.param("connector"), req)
	return answer{status: http.StatusAccepted, body: op}, err
}

func (a *handler) dropDeadLetters(r *request) (answer, error) {
	req, err := decodeLetterRequest(r.body)
	if err != nil {
		return answer{}, err
	}
	return read(a.herder.DropDeadLetters(r.Context(), r.param("connector"), req))
}

func (a *handler) listReplays(r *request) (answer, error) {
	return read(a.herder.DeadLetterOperations(r.Context(), r.param("connector")))
}

func (a *handler) cancelReplay(r *request) (answer, error) {
	return read(a.herder.CancelDeadLetters(r.Context(), r.param("connector")))
}

// letterQuery reads the filter of a list. What is not known is refused: a mistyped filter would list everything.
func letterQuery(query url.Values) (q runtime.LetterQuery, err error) {
	for key, values := range query {
		switch key {
		case "state":
			for _, v := range values {
				q.States = append(q.States, strings.Split(v, ",")...)
			}
		case "limit":
			if q.Limit, err = strconv.Atoi(values[0]); err != nil || q.Limit < 1 {
				return q, runtime.BadRequest("limit is %q and must be a number from 1 to %d", values[0], runtime.LettersMaxLimit)
			}
		case "after":
			q.After = values[0]
		default:
			known, err := letterField(&q.Filter, key, values[0])
			if err != nil {
				return q, runtime.BadRequest("%s: %v", key, err)
			}
			if !known {
				return q, runtime.BadRequest("Unknown parameter %q; known here: %s, state, limit, after", key, letterFields)
			}
		}
	}
	for _, s := range q.States {
		if !slices.Contains([]string{"open", "replaying", "replayed", "dropped", "unplaced", "all"}, s) {
			return q, runtime.BadRequest("state is %q, which is none of open, replaying, replayed, dropped, unplaced, all", s)
		}
	}
	return q, nil
}

// decodeLetterRequest reads the body of a replay or a drop: a filter's fields, or all.
func decodeLetterRequest(body []byte) (req runtime.LetterRequest, err error) {
	p, err := newBodyParser(body)
	if err != nil {
		return req, err
	}
	err = p.object("", letterFields+", all", func(key string) (bool, error) {
		at := p.at()
		text, err := p.text(key)
		if err != nil {
			return true, err
		}
		if text == nil {
			return true, p.fail(key, at, "null; leave the field out")
		}
		if key == "all" {
			if *text != "true" {
				return true, p.fail(key, at, "it can be true; leave it out otherwise")
			}
			req.All = true
			return true, nil
		}
		known, err := letterField(&req.Filter, key, *text)
		if err != nil {
			return true, p.fail(key, at, err.Error())
		}
		return known, nil
	})
	return req, err
}

// letterField sets one field of a filter from its text.
func letterField(f *runtime.LetterFilter, key, text string) (known bool, err error) {
	switch key {
	case "topic":
		f.Topic, err = filled(text)
	case "stage":
		f.Stage, err = filled(text)
		if err == nil && !slices.Contains(runtime.LetterStages(), text) {
			err = &fieldError{text, "none of " + strings.Join(runtime.LetterStages(), ", ")}
		}
	case "exception_class":
		f.Exception, err = filled(text)
	case "letter":
		f.Letter, err = runtime.LetterName(text)
	case "partition":
		var n int64
		n, err = number(text, 31)
		p := int32(n)
		f.Partition = &p
	case "offset_min":
		f.OffsetMin, err = offset(text)
	case "offset_max":
		f.OffsetMax, err = offset(text)
	case "since":
		f.Since, err = moment(text)
	case "until":
		f.Until, err = moment(text)
	default:
		return false, nil
	}
	return true, err
}

// fieldError says what is wrong with a text.
type fieldError struct{ text, problem string }

func (e *fieldError) Error() string { return strconv.Quote(e.text) + " is " + e.problem }

func filled(text string) (string, error) {
	if text == "" {
		return "", &fieldError{text, "empty"}
	}
	return text, nil
}

func number(text string, bits int) (int64, error) {
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		return 0, &fieldError{text, "no whole number from 0 that fits"}
	}
	return int64(n), nil
}

func offset(text string) (*int64, error) {
	n, err := number(text, 63)
	return &n, err
}

func moment(text string) (*time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, &fieldError{text, "no time like 2026-11-28T03:45:00Z (RFC 3339)"}
	}
	t = t.UTC()
	return &t, nil
}
