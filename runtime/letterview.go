package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/deadletter"
	"github.com/stepconnect/stepconnect/runtime/task"
)

const (
	// LettersDefaultLimit is how many letters one answer lists at most where nobody says.
	LettersDefaultLimit = 100
	// LettersMaxLimit is how many may be asked for.
	LettersMaxLimit = 1000
	// lettersScan bounds how long one answer looks through the queue; it then tells where to go on.
	lettersScan = 20 * time.Second
	// maxShownText bounds each text of an error context that is shown.
	maxShownText = 4096
)

// LetterQuery says which letters are listed.
type LetterQuery struct {
	Filter LetterFilter
	// States that are listed; none means all but those that are dealt with.
	States []string
	Limit  int    // 0 means LettersDefaultLimit
	After  string // Next of the answer before
}

// Letters lists records of a dead letter queue, by partition and offset of the queue.
type Letters struct {
	Topic   string   `json:"topic"` // the queue
	Records []Letter `json:"records"`
	// Next is the after of the question that goes on, null at the end.
	Next *string `json:"next"`
}

// Letter is a record of a dead letter queue: why it is there, and not what it holds.
type Letter struct {
	Partition int32      `json:"partition"` // of the queue, as is Offset
	Offset    int64      `json:"offset"`
	State     string     `json:"state"` // open, replaying, replayed, dropped, unplaced
	Timestamp *time.Time `json:"timestamp"`
	// Origin is where the record was consumed first; null when the error context headers are missing.
	Origin     *LetterOrigin `json:"origin"`
	Task       int           `json:"task"`
	Stage      string        `json:"stage"`
	Class      string        `json:"class"`
	Exception  string        `json:"exception_class"`
	Message    string        `json:"exception_message"`
	Attempts   int           `json:"attempts"`
	Key        string        `json:"key"` // a digest
	KeyBytes   int           `json:"key_bytes"`
	ValueBytes int           `json:"value_bytes"`
	// Problem says why the headers cannot be read.
	Problem string `json:"problem,omitempty"`
}

// LetterOrigin is a place in a source topic.
type LetterOrigin struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// LetterDetail is one letter with what it holds, as far as the sink's policies show it.
type LetterDetail struct {
	Letter
	Context []LetterHeader `json:"context"` // the error context headers, in their order
	// Headers are the record's own: their values may be secrets and are not shown.
	Headers []LetterHeaderSize `json:"headers"`
	// Record is the record as the connector's converters, transforms and sink see it; null when they cannot.
	Record json.RawMessage `json:"record"`
	// RecordError says why Record is null.
	RecordError string `json:"record_error,omitempty"`
	// Framing is the wire format's prefix of the value in hex (magic byte and schema id), where it has one: what one
	// needs to look the schema up.
	Framing string `json:"framing,omitempty"`
}

// LetterHeader is a header that is shown.
type LetterHeader struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// LetterHeaderSize is a header whose value is not.
type LetterHeaderSize struct {
	Key   string `json:"key"`
	Bytes int    `json:"bytes"`
}

// DeadLetters lists what is in a connector's dead letter queue.
func (h *Herder) DeadLetters(ctx context.Context, name string, q LetterQuery) (Letters, error) {
	limit := q.Limit
	if limit == 0 {
		limit = LettersDefaultLimit
	}
	if limit < 1 || limit > LettersMaxLimit {
		return Letters{}, BadRequest("limit is %d and must be between 1 and %d", limit, LettersMaxLimit)
	}
	afterPartition, afterOffset, err := parseLetter(q.After)
	if q.After != "" && err != nil {
		return Letters{}, BadRequest("after: %v", err)
	}
	b, topic, err := h.queueOf(ctx, name)
	if err != nil {
		return Letters{}, err
	}
	from, to, err := h.queueBounds(ctx, b, topic)
	if err != nil {
		return Letters{}, err
	}
	for p := range to {
		switch {
		case q.After == "":
		case p < afterPartition:
			delete(to, p)
		case p == afterPartition:
			from[p] = max(from[p], afterOffset+1)
		}
	}
	ops := h.view.get().DeadLetters[name]
	out := Letters{Topic: topic, Records: []Letter{}}
	until := time.Now().Add(lettersScan)
	last := ""
	err = h.worker.opts.Clients.Browse(ctx, BrowseRequest{
		Properties: b.props.browser(), Topic: topic, From: from, To: to, Log: h.log,
		Visit: func(m *task.Message) bool {
			if len(out.Records) >= limit || last != "" && time.Now().After(until) {
				out.Next = &last
				return false
			}
			l, problem := deadletter.Read(m)
			last = l.Name()
			state := deadletter.StateOf(ops, &l)
			if l.Mine(name) && deadletter.Match(&q.Filter, &l) && wantedState(q.States, state) {
				out.Records = append(out.Records, shownLetter(&l, state, problem))
			}
			return true
		},
	})
	if err != nil {
		return Letters{}, fmt.Errorf("read dead letter queue %s: %w", topic, err)
	}
	return out, nil
}

func wantedState(states []string, s deadletter.State) bool {
	if len(states) == 0 {
		return s != deadletter.Replayed && s != deadletter.Dropped
	}
	for _, want := range states {
		if want == string(s) || want == "all" {
			return true
		}
	}
	return false
}

// parseLetter reads "partition:offset".
func parseLetter(text string) (partition int32, offset int64, err error) {
	p, o, ok := strings.Cut(text, ":")
	n, err1 := strconv.ParseInt(p, 10, 32)
	offset, err2 := strconv.ParseInt(o, 10, 64)
	if !ok || err1 != nil || err2 != nil || n < 0 || offset < 0 {
		return 0, 0, fmt.Errorf("%q is not partition:offset of the dead letter queue", text)
	}
	return int32(n), offset, nil
}

// LetterName checks the name of a single letter.
func LetterName(text string) (string, error) {
	partition, offset, err := parseLetter(text)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d:%d", partition, offset), nil // "00:7" is no other letter than "0:7"
}

// LetterStages are the stages at which a record can be given up.
func LetterStages() []string { return task.ErrorStages() }

func shownLetter(l *deadletter.Letter, state deadletter.State, problem error) Letter {
	out := Letter{
		Partition: l.Partition, Offset: l.Offset, State: string(state), Task: l.Task, Stage: l.Stage, Class: l.Class,
		Exception: l.Exception, Message: clipText(l.Message), Attempts: l.Attempts,
		Key: keyDigest(l.Origin.Key), KeyBytes: len(l.Origin.Key), ValueBytes: len(l.Origin.Value),
	}
	if problem != nil {
		out.Problem = problem.Error()
	}
	if l.Placed() {
		out.Origin = &LetterOrigin{l.Origin.Topic, l.Origin.ID, l.Origin.Offset}
	}
	if l.Origin.Timestamp >= 0 {
		t := time.UnixMilli(l.Origin.Timestamp).UTC()
		out.Timestamp = &t
	}
	return out
}

func clipText(s string) string {
	if len(s) > maxShownText {
		s = s[:maxShownText] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// DeadLetter shows one letter: its error context, and the record as the sink would have it seen.
func (h *Herder) DeadLetter(ctx context.Context, name string, partition int32, offset int64) (LetterDetail, error) {
	b, topic, err := h.queueOf(ctx, name)
	if err != nil {
		return LetterDetail{}, err
	}
	var found *task.Message
	err = h.worker.opts.Clients.Browse(ctx, BrowseRequest{
		Properties: b.props.browser(), Topic: topic, Log: h.log,
		From: map[int32]int64{partition: offset}, To: map[int32]int64{partition: offset + 1},
		Visit: func(m *task.Message) bool { found = m; return false },
	})
	if err != nil {
		return LetterDetail{}, fmt.Errorf("read dead letter queue %s: %w", topic, err)
	}
	missing := NotFound("Dead letter queue %s of connector %s has no record at offset %d of partition %d", topic, name, offset, partition)
	if found == nil || found.Offset != offset {
		return LetterDetail{}, missing
	}
	l, problem := deadletter.Read(found)
	if !l.Mine(name) {
		return LetterDetail{}, missing
	}
	d := LetterDetail{
		Letter:  shownLetter(&l, deadletter.StateOf(h.view.get().DeadLetters[name], &l), problem),
		Context: []LetterHeader{}, Headers: []LetterHeaderSize{}, Framing: framing(l.Origin.Value),
	}
	for _, c := range l.Context {
		d.Context = append(d.Context, LetterHeader{c.Key, clipText(string(c.Value))})
	}
	for _, c := range l.Origin.Headers {
		d.Headers = append(d.Headers, LetterHeaderSize{clipText(c.Key), len(c.Value)})
	}
	d.Record, err = h.show(ctx, b, &l)
	if err == nil && !json.Valid(d.Record) {
		err = fmt.Errorf("sink %s shows the record as what is no JSON", b.plugin.info.Class)
	}
	if err != nil {
		d.Record, d.RecordError = nil, clipText(err.Error())
	}
	return d, nil
}

// framing gives the prefix of Confluent's or Glue's wire format.
func framing(value []byte) string {
	switch {
	case len(value) >= 5 && value[0] == 0x00:
		return fmt.Sprintf("%x", value[:5])
	case len(value) >= 18 && value[0] == 0x03:
		return fmt.Sprintf("%x", value[:18])
	}
	return ""
}

// show takes a letter through the connector's converters and transforms, and asks the sink how it may be shown.
func (h *Herder) show(ctx context.Context, b *blueprint, l *deadletter.Letter) (json.RawMessage, error) {
	pipeline, converters, err := h.worker.pipeline(b)
	if err != nil {
		return nil, err
	}
	defer func() { _ = closeAll(converters) }() // it was opened to be read from once
	rec, err := pipeline.Convert(ctx, &l.Origin)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, fmt.Errorf("the connector's transforms filter this record")
	}
	if shower, ok := b.sink.(connector.Shower); ok {
		return shower.Show(b.values, rec)
	}
	return connector.ShowPlain(rec)
}
