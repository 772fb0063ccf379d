package stepfunctions

import (
	"encoding/json"
	"fmt"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/connector/debezium"
)

var _ connector.Shower = Connector{}

// Show implements connector.Shower: the change as an execution's input would hold it, with columns.* applied. What is no
// change has no columns to apply them to, and is shown only where nothing is hidden.
func (Connector) Show(cfg config.Values, r *connector.Record) (json.RawMessage, error) {
	set, err := newSettings(cfg, "")
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	c, err := debezium.NewParser().Parse(r)
	switch {
	case err != nil && set.input.columns == nil:
		return connector.ShowPlain(r)
	case err != nil:
		return nil, fmt.Errorf("not shown, since columns.* hide columns and cannot be applied to what is no change: %w", err)
	case c.Operation == debezium.Tombstone && set.input.columns == nil:
		return connector.ShowPlain(r)
	case c.Operation == debezium.Tombstone:
		return json.RawMessage(`{"operation":"tombstone"}`), nil
	}
	literal, err := set.input.appendChange([]byte{'"'}, r, &c, nil)
	if err != nil {
		return nil, err
	}
	var text string
	if err := json.Unmarshal(append(literal, '"'), &text); err != nil {
		return nil, err
	}
	return json.RawMessage(text), nil
}
