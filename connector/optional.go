package connector

import (
	"context"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
)

// Previewer is an optional interface of a Connector that can tell what its tasks would do with a record. The host
// finds it by assertion and offers it as POST /connector-plugins/{plugin}/preview.
type Previewer interface {
	// Preview gives what a task with that configuration would do with the record if it came alone: a value that
	// encoding/json writes. It calls no destination, counts nothing and leaves the record as it is. Of tc it may
	// use Connector, ClusterID, TopicID and ReplayEpoch. An error is about cfg; what is wrong with the record is
	// part of the answer.
	Preview(ctx context.Context, cfg config.Values, tc TaskContext, record *Record) (any, error)
}

// Auditor is an optional interface of a Sink that finds out what became of deliveries after the destination had
// accepted them. The host asks the sink of task 0, which looks for all tasks of the connector.
type Auditor interface {
	// Outcomes gives what the last full look found. It may be called at any time, concurrently, also after Close.
	Outcomes() Outcomes
}

// Outcomes are deliveries that were accepted and ended without success.
type Outcomes struct {
	// Newest are the newest of each status, newest first by the time they stopped; older ones are in Counts alone.
	Newest []Outcome
	// Counts are by domain and status. A status that was looked for and not found counts 0.
	Counts map[string]map[string]int
	// Statuses are those that are looked for.
	Statuses []string
	// Swept is when the look that found them began; zero before the first has ended.
	Swept time.Time
}

// Outcome is one such delivery.
type Outcome struct {
	Domain    string    `json:"domain"`
	Status    string    `json:"status"`
	Execution string    `json:"execution"` // its name
	ARN       string    `json:"arn"`
	Started   time.Time `json:"started"`
	Stopped   time.Time `json:"stopped"`
}
