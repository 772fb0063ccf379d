package states

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Outcomes of a call besides the error codes of the service.
const (
	OutcomeStarted  = "started"  // an execution came into being
	OutcomeRepeated = "repeated" // the idempotent answer: same name, same input, still RUNNING
	OutcomeOK       = "ok"       // a call that starts nothing was answered
	OutcomeReset    = "reset"    // the connection was reset by a fault
)

// Call is one call as the endpoint saw it.
type Call struct {
	// Seq, Effect and End are readings of one counter of events: arrival, the moment an execution came
	// into being (0: none did), and the moment from which the client no longer waited, because it was
	// answered or had gone (0: it waits still). They order what clocks cannot.
	Seq    int64 `json:"seq"`
	Effect int64 `json:"effect,omitempty"`
	End    int64 `json:"end,omitempty"`
	// Arrived and Answered are the same by the clock.
	Arrived  time.Time `json:"arrived"`
	Answered time.Time `json:"answered,omitzero"`
	// Target is the call, as "StartExecution".
	Target string `json:"target"`
	// Machine and Name are the state machine's ARN and the name of the execution as sent.
	Machine string `json:"machine,omitempty"`
	Name    string `json:"name,omitempty"`
	// Execution is the ARN that the call started, repeated or asked for.
	Execution string `json:"execution,omitempty"`
	// Input is the raw input, kept with KeepInputs only; InputBytes is its length, InputHash its SHA-256.
	Input      string `json:"input,omitempty"`
	InputBytes int    `json:"input_bytes,omitempty"`
	InputHash  Hash   `json:"input_hash,omitzero"`
	// Changes are those found in the input, in its order; Unread says why there are none.
	Changes []Change `json:"changes,omitempty"`
	Unread  string   `json:"unread,omitempty"`
	// Outcome is one of the Outcome constants or an error code; "" while the call is open.
	Outcome string `json:"outcome,omitempty"`
	// Status is that of the execution when the call was answered.
	Status Status `json:"status,omitempty"`
	// Gone tells that the client was no longer connected.
	Gone bool `json:"gone,omitempty"`
	// AccessKey and Region are those of the signature, Trace the value of X-Amzn-Trace-Id.
	AccessKey string `json:"access_key,omitempty"`
	Region    string `json:"region,omitempty"`
	Trace     string `json:"trace,omitempty"`
}

// Hash is a SHA-256 sum, hexadecimal in JSON.
type Hash [32]byte

// MarshalText is the hexadecimal form.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads the hexadecimal form.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return fmt.Errorf("input hash: %d characters, want %d", len(text), 2*len(h))
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// Change is one change found in an execution input.
type Change struct {
	// Key is the change's key as compact JSON, "" when it has none.
	Key string `json:"key,omitempty"`
	Position
}

// Position is where a change was consumed from.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// String is topic-partition@offset.
func (p Position) String() string { return fmt.Sprintf("%s-%d@%d", p.Topic, p.Partition, p.Offset) }

// Changes finds the changes of stepconnect's own execution input,
// {"changes":[{"key":…,"kafka":{"topic":…,"partition":…,"offset":…}}…]}. The result shares nothing with input.
func Changes(input []byte) ([]Change, error) {
	var read struct {
		Changes []struct {
			Key   json.RawMessage `json:"key"`
			Kafka *Position       `json:"kafka"`
		} `json:"changes"`
	}
	if err := json.Unmarshal(input, &read); err != nil {
		return nil, fmt.Errorf("changes of the input: %w", err)
	}
	if len(read.Changes) == 0 {
		return nil, errors.New("changes of the input: there are none")
	}
	found := make([]Change, len(read.Changes))
	var key bytes.Buffer
	for i, c := range read.Changes {
		if c.Kafka == nil || c.Kafka.Topic == "" {
			return nil, fmt.Errorf("changes of the input: change %d has no kafka.topic", i)
		}
		found[i].Position = *c.Kafka
		if i > 0 && found[i-1].Topic == c.Kafka.Topic {
			found[i].Topic = found[i-1].Topic // one copy for a batch of one topic
		}
		if len(c.Key) == 0 || string(c.Key) == "null" {
			continue
		}
		key.Reset()
		if err := json.Compact(&key, c.Key); err != nil {
			return nil, fmt.Errorf("changes of the input: key of change %d: %w", i, err)
		}
		found[i].Key = key.String()
	}
	return found, nil
}

// ReadLog reads the lines that Options.LogTo or /_log wrote, and puts them in order of arrival. A last
// line cut short, as by a killed process, is left out.
func ReadLog(r io.Reader) ([]Call, error) {
	var calls []Call
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read call log: line %d: %w", n, err)
		}
		var c Call
		if err := json.Unmarshal(line, &c); err != nil {
			return nil, fmt.Errorf("read call log: line %d: %w", n, err)
		}
		calls = append(calls, c)
	}
	slices.SortFunc(calls, func(a, b Call) int { return cmp.Compare(a.Seq, b.Seq) })
	return calls, nil
}
