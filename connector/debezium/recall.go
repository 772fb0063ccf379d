package debezium

import (
	"bytes"
	"slices"
	"sync/atomic"

	"github.com/stepconnect/stepconnect/connector"
)

// numRecalled counts the fields of the source block that are the same in nearly every event of a schema:
// where the row is from, and whether a snapshot read it. They come first in sourceNames.
const numRecalled = srcSnapshot + 1

// memory is what these fields said in an earlier event, by their wire bytes.
type memory struct {
	raw      [numRecalled][]byte // nil for a null
	enc      [numRecalled]connector.Encoding
	text     [numRecalled]string
	snapshot bool
}

// maxMemories bounds how often a plan learns anew: a topic that alternates between tables under one schema
// gains nothing from it.
const maxMemories = 16

// memories is the memory of one plan.
type memories struct {
	last    atomic.Pointer[memory]
	learned atomic.Int32
}

// of gives what is known of an event's source, or nil when its bytes are others than those remembered.
func (m *memories) of(source *[numSource]*connector.Value) *memory {
	known := m.last.Load()
	if known == nil {
		return nil
	}
	for i := range known.raw {
		raw, enc, lazy := source[i].Wire()
		if !lazy && !source[i].IsNull() || enc != known.enc[i] || !bytes.Equal(raw, known.raw[i]) {
			return nil
		}
	}
	return known
}

// learn keeps what an event's source said.
func (m *memories) learn(source *[numSource]*connector.Value, text func(i int) string, snapshot bool) {
	if m.learned.Load() >= maxMemories || m.learned.Add(1) > maxMemories {
		return
	}
	next := &memory{snapshot: snapshot}
	for i := range next.raw {
		raw, enc, lazy := source[i].Wire()
		if !lazy && !source[i].IsNull() {
			return // materialised by a transform: there are no bytes to know it by
		}
		next.raw[i], next.enc[i] = slices.Clone(raw), enc
		if sourceIsText[i] {
			next.text[i] = text(i)
		}
	}
	m.last.Store(next)
}
