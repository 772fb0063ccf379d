package debezium

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// Parser turns records into changes. It is safe for concurrent use and remembers, for each
// schema, where the envelope's fields are.
type Parser struct {
	plans planCache
	pool  sync.Pool // of *scratch
}

// NewParser makes a Parser.
func NewParser() *Parser {
	return &Parser{pool: sync.Pool{New: func() any { return new(scratch) }}}
}

// Parse reads the envelope in r's value. A null value gives a Change that holds nothing but
// Operation Tombstone, Key and KeyChange. A record that is no change event of a row, or an
// event that is not as Debezium writes it, gives a Rejected error that names the field, what
// was found, and what to do. The Change refers to r's values and to nothing else of r.
func (p *Parser) Parse(r *connector.Record) (Change, error) {
	c := Change{Key: r.Key, KeyChange: keyChange(r.Headers)}
	if r.Value.IsNull() {
		c.Operation = Tombstone
		return c, nil
	}
	s := p.pool.Get().(*scratch)
	err := p.parse(r, &c, s)
	s.reset()
	p.pool.Put(s)
	if err != nil {
		return Change{}, connector.Rejected(fmt.Errorf("not a Debezium change event: %w", err))
	}
	return c, nil
}

func keyChange(headers []connector.Header) KeyChange {
	for i := range headers {
		if k := keyChangeOf(headers[i].Key); k != NoKeyChange {
			return k
		}
	}
	return NoKeyChange
}

func (p *Parser) parse(r *connector.Record, c *Change, s *scratch) error {
	v, err := structured(&r.Value)
	if err != nil {
		return fmt.Errorf("value: %w", err)
	}
	c.Envelope = v
	pl, err := p.plans.of(&v)
	if err != nil {
		return err
	}
	if err := s.pick(&v, "value", envelopeNames[:], pl.envelope[:], s.envelope[:]); err != nil {
		return err
	}
	if c.Operation, err = s.operation(s.envelope[envOp]); err != nil {
		return err
	}
	source := s.envelope[envSource]
	if source.IsNull() {
		return fmt.Errorf("value.source is null: Debezium always sets it")
	}
	if err := s.pick(source, "value.source", sourceNames[:], pl.source[:], s.source[:]); err != nil {
		return err
	}
	if err := s.origin(c, &pl.memories); err != nil {
		return err
	}
	return s.rows(c)
}

// operation reads op; the operations that are no change of a row are refused by name.
func (s *scratch) operation(v *connector.Value) (Operation, error) {
	if v.IsNull() {
		return 0, fmt.Errorf("value.op is null: Debezium always sets it")
	}
	at, err := s.text(v, "value.op")
	if err != nil {
		return 0, err
	}
	switch op := string(s.buf[at.from:at.to]); op {
	case "c":
		return Insert, nil
	case "u":
		return Update, nil
	case "d":
		return Delete, nil
	case "r":
		return Snapshot, nil
	case "t":
		return 0, fmt.Errorf(`value.op is "t": truncating a table is not a change of a row; set skipped.operations=t in Debezium`)
	case "m":
		return 0, fmt.Errorf(`value.op is "m": a logical message is not a change of a row; set skipped.operations=m in Debezium`)
	default:
		return 0, fmt.Errorf("value.op is %q: expected c, u, d or r", clip(op))
	}
}

// origin reads the source block. All texts go through one buffer, so that the Change costs one
// allocation for all of them.
func (s *scratch) origin(c *Change, known *memories) error {
	from, snapshot, err := 0, false, error(nil)
	recalled := known.of(&s.source)
	if recalled != nil {
		from, snapshot = numRecalled, recalled.snapshot
	} else if snapshot, err = s.snapshot(); err != nil {
		return err
	}
	var at [numSource]span
	for i := from; i < numSource; i++ {
		if !sourceIsText[i] || s.source[i].IsNull() {
			continue
		}
		if at[i], err = s.text(s.source[i], sourcePaths[i]); err != nil {
			return err
		}
	}
	hex, err := s.postgresLSN()
	if err != nil {
		return err
	}
	all := string(s.buf)
	get := func(i int) string { return all[at[i].from:at[i].to] }
	if recalled != nil {
		get = func(i int) string {
			if i < numRecalled {
				return recalled.text[i]
			}
			return all[at[i].from:at[i].to]
		}
	}

	c.Snapshot = snapshot || c.Operation == Snapshot
	c.Connector, c.Server = get(srcConnector), get(srcName)
	c.Database, c.Schema, c.Table = get(srcDB), get(srcSchema), get(srcTable)
	if err := s.position(c, get, all[hex.from:hex.to]); err != nil {
		return err
	}
	if err := s.committed(c); err != nil {
		return err
	}
	if recalled == nil {
		known.learn(&s.source, func(i int) string { return strings.Clone(get(i)) }, snapshot)
	}
	return nil
}

// committed reads the time of the commit, and holds the names against being empty.
func (s *scratch) committed(c *Change) error {
	for i, name := range [...]string{srcName: c.Server, srcDB: c.Database, srcSchema: c.Schema, srcTable: c.Table} {
		if name == "" && i != srcConnector {
			return fmt.Errorf("%s is empty or missing", sourcePaths[i])
		}
	}
	if s.source[srcTsMs].IsNull() {
		return fmt.Errorf("value.source.ts_ms is null or missing: it is the time of the commit")
	}
	ms, err := s.integer(s.source[srcTsMs], "value.source.ts_ms")
	if err != nil {
		return err
	}
	c.CommittedAt = time.UnixMilli(ms).UTC()
	return nil
}

func (s *scratch) position(c *Change, get func(int) string, postgres string) error {
	p := &c.Position
	switch c.Connector {
	case "sqlserver":
		p.CommitLSN, p.HasCommitLSN = get(srcCommitLSN), !s.source[srcCommitLSN].IsNull()
		p.ChangeLSN, p.HasChangeLSN = get(srcChangeLSN), !s.source[srcChangeLSN].IsNull()
		if v := s.source[srcSerial]; !v.IsNull() {
			n, err := s.integer(v, "value.source.event_serial_no")
			if err != nil {
				return err
			}
			p.EventSerialNo, p.HasEventSerialNo = n, true
		}
	case "postgresql":
		p.CommitLSN, p.HasCommitLSN = postgres, postgres != ""
	case "":
		return fmt.Errorf("value.source.connector is empty or missing")
	default:
		return fmt.Errorf("value.source.connector is %q: only sqlserver and postgresql are supported, "+
			"since the order of changes needs a position whose meaning is known", clip(c.Connector))
	}
	if !p.HasCommitLSN && !c.Snapshot {
		field := "commit_lsn"
		if c.Connector == "postgresql" {
			field = "lsn"
		}
		return fmt.Errorf("value.source.%s is null or missing on a streamed change: without it nothing can tell which of two changes is newer", field)
	}
	return nil
}

// postgresLSN prints PostgreSQL's lsn as 16 hex digits: of fixed width, so that text order is log order.
func (s *scratch) postgresLSN() (span, error) {
	v := s.source[srcLSN]
	if v.IsNull() {
		return span{}, nil
	}
	lsn, err := s.integer(v, "value.source.lsn")
	if err != nil {
		return span{}, err
	}
	from := len(s.buf)
	s.buf = fmt.Appendf(s.buf, "%016x", uint64(lsn))
	return span{from, len(s.buf)}, nil
}

// snapshot reads source.snapshot: Debezium's names for the kinds of snapshot reads, or
// "false"; its early versions sent a boolean.
func (s *scratch) snapshot() (bool, error) {
	v := s.source[srcSnapshot]
	if v.IsNull() {
		return false, nil
	}
	if typeOf(v) == connector.Boolean {
		b, err := v.Native()
		return b == true, err
	}
	from := len(s.buf)
	at, err := s.text(v, "value.source.snapshot")
	if err != nil {
		return false, err
	}
	streamed := string(s.buf[at.from:at.to]) == "false"
	s.buf = s.buf[:from]
	return !streamed, nil
}

// rows checks that the event carries the images that its operation must have.
func (s *scratch) rows(c *Change) error {
	var err error
	if c.Before, err = image(s.envelope[envBefore], "value.before"); err != nil {
		return err
	}
	if c.After, err = image(s.envelope[envAfter], "value.after"); err != nil {
		return err
	}
	if c.Operation == Delete {
		if c.Before.IsNull() && c.Key.IsNull() {
			return fmt.Errorf("value.before is null and the record has no key: nothing says which row was deleted")
		}
		return nil
	}
	if c.After.IsNull() {
		return fmt.Errorf("value.after is null, op %s: it must hold the row", c.Operation)
	}
	return nil
}

func image(v *connector.Value, path string) (connector.Value, error) {
	if v.IsNull() {
		return *v, nil
	}
	row, err := structured(v)
	if err != nil {
		return row, fmt.Errorf("%s: %w", path, err)
	}
	return row, nil
}
