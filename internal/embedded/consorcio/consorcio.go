// Package consorcio plays the company: a database whose tables Clientes, Pedidos and Produtos
// change, and Debezium that writes the changes in Avro, with the schemas of the real connector. The
// demo and the tests write its events to Kafka and hold what arrives against what was written.
//
// Everything follows from the seed: the same seed gives the same events.
package consorcio

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stepconnect/stepconnect/schemas"
	"github.com/twmb/avro"
)

// Event is one Kafka record. Value is nil for a tombstone.
type Event struct {
	Topic      string
	Key, Value []byte
	Headers    map[string]string
	Change     *Change // what an execution must show of it; nil for a tombstone
}

// Change is the logical content of an event, written down independently of any decoder. Rows hold what
// JSON shows: decimals and times as text, integers as int64, binary as base64 text.
type Change struct {
	Domain    string // clientes, pedidos or produtos
	Operation string // insert, update, delete or snapshot
	Table     string
	Key       map[string]any
	Before    map[string]any // nil on an insert
	After     map[string]any // nil on a delete
	CommitLSN string
}

// Company is the database and its change capture. It is not safe for concurrent use.
type Company struct {
	rng    *rand.Rand
	tables []*table
	lsn    uint32
	now    time.Time
}

// table is one table with its rows in the order of their making.
type table struct {
	name, domain, topic string
	columns             []column
	ids                 []any // keys of the rows that exist
	rows                map[any]row
	serial              int64
	key, value          *avro.Schema
	keyID, valueID      int
}

// row holds a value for each column, in wire form and in JSON form.
type row struct{ wire, json map[string]any }

// New makes the company; register registers an Avro schema under a subject and gives its id.
func New(seed uint64, register func(subject, schema string) (int, error)) (*Company, error) {
	c := &Company{
		rng: rand.New(rand.NewPCG(seed, 0x5743)), lsn: 0x100,
		now: time.Date(2026, 11, 24, 3, 45, 12, 123_000_000, time.UTC),
	}
	c.tables = []*table{
		{name: "Clientes", domain: "clientes", columns: clientes()},
		{name: "Pedidos", domain: "pedidos", columns: pedidos()},
		{name: "Produtos", domain: "produtos", columns: produtos()},
	}
	for _, t := range c.tables {
		t.topic, t.rows = t.domain+"-alteracoes", make(map[any]row)
		var err error
		if t.key, t.keyID, err = schema(t.topic+"-key", register); err != nil {
			return nil, err
		}
		if t.value, t.valueID, err = schema(t.topic+"-value", register); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func schema(subject string, register func(subject, schema string) (int, error)) (*avro.Schema, int, error) {
	text, err := schemas.Files.ReadFile(subject + ".avsc")
	if err != nil {
		return nil, 0, err
	}
	s, err := avro.Parse(string(text))
	if err != nil {
		return nil, 0, fmt.Errorf("schema of %s: %w", subject, err)
	}
	id, err := register(subject, string(text))
	if err != nil {
		return nil, 0, fmt.Errorf("registering the schema of %s: %w", subject, err)
	}
	return s, id, nil
}

// Topics are the topics that the events go to.
func Topics() []string {
	return []string{"clientes-alteracoes", "pedidos-alteracoes", "produtos-alteracoes"}
}

// Transaction commits one change to a random table and gives the events that Debezium writes for it: one, two
// for a delete, three for a change of a primary key.
func (c *Company) Transaction() ([]Event, error) {
	t := c.tables[c.rng.IntN(len(c.tables))]
	switch n := c.rng.IntN(20); {
	case len(t.ids) < 5 || n < 6:
		return c.insert(t)
	case n < 8 && len(t.ids) > 8:
		return c.delete(t)
	case n < 9:
		return c.rename(t)
	}
	return c.update(t)
}

func (c *Company) insert(t *table) ([]Event, error) {
	t.serial++
	r := c.newRow(t)
	id := r.wire["id"]
	t.ids, t.rows[id] = append(t.ids, id), r
	e, err := c.event(t, "c", nil, &r)
	return []Event{e}, err
}

func (c *Company) update(t *table) ([]Event, error) {
	id := t.ids[c.rng.IntN(len(t.ids))]
	before := t.rows[id]
	after := c.newRow(t)
	for _, col := range t.columns {
		if col.name == "id" || c.rng.IntN(3) > 0 { // most columns stay as they were
			after.wire[col.name], after.json[col.name] = before.wire[col.name], before.json[col.name]
		}
	}
	t.rows[id] = after
	e, err := c.event(t, "u", &before, &after)
	return []Event{e}, err
}

func (c *Company) delete(t *table) ([]Event, error) {
	i := c.rng.IntN(len(t.ids))
	before := t.rows[t.ids[i]]
	delete(t.rows, t.ids[i])
	t.ids = append(t.ids[:i], t.ids[i+1:]...)
	e, err := c.event(t, "d", &before, nil)
	return []Event{e, {Topic: t.topic, Key: e.Key}}, err
}

// rename changes a primary key: Debezium writes a delete, its tombstone and a create, at one position.
func (c *Company) rename(t *table) ([]Event, error) {
	i := c.rng.IntN(len(t.ids))
	before := t.rows[t.ids[i]]
	delete(t.rows, t.ids[i])
	t.serial++
	fresh := c.newRow(t)
	after := row{wire: map[string]any{}, json: map[string]any{}}
	for name := range before.wire {
		after.wire[name], after.json[name] = before.wire[name], before.json[name]
	}
	after.wire["id"], after.json["id"] = fresh.wire["id"], fresh.json["id"]
	t.ids[i] = after.wire["id"]
	t.rows[t.ids[i]] = after
	gone, err := c.event(t, "d", &before, nil)
	if err != nil {
		return nil, err
	}
	c.lsn-- // one position for both
	made, err := c.event(t, "c", nil, &after)
	gone.Headers = map[string]string{"__debezium.newkey": fmt.Sprintf(`{"id":%v}`, quoted(after.json["id"]))}
	made.Headers = map[string]string{"__debezium.oldkey": fmt.Sprintf(`{"id":%v}`, quoted(before.json["id"]))}
	return []Event{gone, {Topic: t.topic, Key: gone.Key, Headers: gone.Headers}, made}, err
}

func quoted(v any) any {
	if s, ok := v.(string); ok {
		return `"` + s + `"`
	}
	return v
}

func (c *Company) newRow(t *table) row {
	r := row{wire: make(map[string]any, len(t.columns)), json: make(map[string]any, len(t.columns))}
	for _, col := range t.columns {
		r.wire[col.name], r.json[col.name] = col.value(c, t)
	}
	return r
}

var operations = map[string]string{"c": "insert", "u": "update", "d": "delete", "r": "snapshot"}

// event writes one envelope as Debezium does.
func (c *Company) event(t *table, op string, before, after *row) (Event, error) {
	c.lsn++
	c.now = c.now.Add(time.Duration(1+c.rng.IntN(400)) * time.Millisecond)
	commit := fmt.Sprintf("0000002a:%08x:0003", c.lsn)
	ms := c.now.UnixMilli()
	change := &Change{Domain: t.domain, Operation: operations[op], Table: t.name, CommitLSN: commit}
	envelope := map[string]any{
		"before": nil, "after": nil, "transaction": nil, "op": op,
		"ts_ms": ms + 40, "ts_us": (ms + 40) * 1000, "ts_ns": (ms + 40) * 1_000_000,
		"source": map[string]any{
			"version": "3.6.1.Final", "connector": "sqlserver", "name": "consorcio", "ts_ms": ms, "snapshot": "false",
			"db": "ConsorcioDB", "sequence": nil, "ts_us": ms * 1000, "ts_ns": ms * 1_000_000, "schema": "dbo", "table": t.name,
			"change_lsn": fmt.Sprintf("0000002a:%08x:0002", c.lsn), "commit_lsn": commit, "event_serial_no": int64(1),
		},
	}
	of := after
	if before != nil {
		envelope["before"], change.Before = before.wire, before.json
		of = before
	}
	if after != nil {
		envelope["after"], change.After = after.wire, after.json
		of = after
	}
	change.Key = map[string]any{"id": of.json["id"]}
	key, err := t.key.AppendEncode(wire(t.keyID), map[string]any{"id": of.wire["id"]})
	if err != nil {
		return Event{}, fmt.Errorf("encoding a key of %s: %w", t.name, err)
	}
	value, err := t.value.AppendEncode(wire(t.valueID), envelope)
	if err != nil {
		return Event{}, fmt.Errorf("encoding a change of %s: %w", t.name, err)
	}
	return Event{Topic: t.topic, Key: key, Value: value, Change: change}, nil
}

// wire starts a message in the Confluent form: a zero byte and the schema id, big endian.
func wire(id int) []byte {
	return binary.BigEndian.AppendUint32([]byte{0}, uint32(id))
}
