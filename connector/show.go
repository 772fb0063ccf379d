package connector

import (
	"encoding/json"
	"fmt"

	"github.com/stepconnect/stepconnect/connector/config"
)

// Shower is an optional interface of a Connector whose configuration hides part of what records hold. Without it a
// record is shown as it was converted.
type Shower interface {
	// Show gives as JSON what an operator may see of a record that is looked at outside of a delivery, such as one in
	// the dead letter queue: no more than a delivery would hand on. An error says why nothing can be shown. It
	// calls nothing, and is safe for concurrent use.
	Show(cfg config.Values, r *Record) (json.RawMessage, error)
}

// ShowPlain shows a record as it was converted.
func ShowPlain(r *Record) (json.RawMessage, error) {
	key, err := r.Key.AppendJSON(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	value, err := r.Value.AppendJSON(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	return json.Marshal(struct {
		Topic string          `json:"topic"` // as transforms left it
		Key   json.RawMessage `json:"key"`
		Value json.RawMessage `json:"value"`
	}{r.Topic, key, value})
}
