package stepfunctions

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/debezium"
)

// treatment is what an input holds of a column. Where several fit, the one that shows least is taken.
type treatment uint8

const (
	shown    treatment = iota
	hashed             // the HMAC-SHA-256 of its text, in hexadecimal digits
	masked             // asterisks, always as many: a mask tells no length
	excluded           // nothing
)

const mask = `"********"`

// columnPolicy says what inputs hold of the columns of each table, in rows and keys (LGPD: what is not
// needed is not handed on). It is a function of names alone, so inputs stay byte-stable, and NULL stays
// NULL. It is safe for concurrent use.
type columnPolicy struct {
	include []columnPattern // nil: every column
	rules   [excluded + 1][]columnPattern
	macs    *sync.Pool // of hash.Hash, with the key of columns.hash

	tables sync.Map // routeKey -> *tablePolicy, nil for tables that no pattern concerns
	known  atomic.Int64
}

func newMACs(secret string) *sync.Pool {
	return &sync.Pool{New: func() any { return hmac.New(sha256.New, []byte(secret)) }}
}

// columnPattern is "table.column", before which the schema and the database may stand, with the wildcards * and ?.
type columnPattern struct {
	table  tablePattern
	column string
}

func parseColumnPattern(text string) (columnPattern, error) {
	part := strings.Split(strings.ToLower(text), ".")
	if len(part) < 2 || len(part) > 4 {
		return columnPattern{}, errors.New(text + " is neither table.column nor schema.table.column nor database.schema.table.column")
	}
	for _, p := range part {
		if p == "" {
			return columnPattern{}, fmt.Errorf("%q has an empty part", text)
		}
		if _, err := path.Match(p, ""); err != nil {
			return columnPattern{}, fmt.Errorf("%q: %w", text, err)
		}
	}
	at := func(fromEnd int) string {
		if fromEnd > len(part) {
			return "*"
		}
		return part[len(part)-fromEnd]
	}
	return columnPattern{tablePattern{at(4), at(3), at(2)}, at(1)}, nil
}

// of gives what concerns the table of a change; nil when nothing does.
func (p *columnPolicy) of(c *debezium.Change) *tablePolicy {
	if p == nil {
		return nil
	}
	k := routeKey{"", c.Database, c.Schema, c.Table}
	if t, ok := p.tables.Load(k); ok {
		return t.(*tablePolicy)
	}
	t := p.forTable(k)
	if p.known.Add(1) <= maxRoutes {
		// The change's strings share one allocation: keep copies of the parts only.
		p.tables.Store(routeKey{"", strings.Clone(k.database), strings.Clone(k.schema), strings.Clone(k.table)}, t)
	}
	return t
}

func (p *columnPolicy) forTable(k routeKey) *tablePolicy {
	t := &tablePolicy{limited: p.include != nil, macs: p.macs}
	columns := func(patterns []columnPattern) (names []string) {
		for _, c := range patterns {
			if c.table.matches(k) {
				names = append(names, c.column)
			}
		}
		return names
	}
	concerned := t.limited
	t.include = columns(p.include)
	for how := range p.rules {
		t.rules[how] = columns(p.rules[how])
		concerned = concerned || t.rules[how] != nil
	}
	if !concerned {
		return nil
	}
	return t
}

// tablePolicy is a columnPolicy for one table. nil shows everything.
type tablePolicy struct {
	limited bool // to the columns in include
	include []string
	rules   [excluded + 1][]string
	macs    *sync.Pool

	columns atomic.Pointer[map[string]treatment] // of rows; copied on write
	mu      sync.Mutex                           // held by the writer of columns
}

// of gives the treatment of a row's column.
func (t *tablePolicy) of(column string) treatment {
	if t == nil {
		return shown
	}
	if known := t.columns.Load(); known != nil {
		if how, ok := (*known)[column]; ok {
			return how
		}
	}
	how := t.ofKey(column)
	if t.limited && !matchesAny(t.include, column) {
		how = excluded
	}
	t.remember(column, how)
	return how
}

func (t *tablePolicy) remember(column string, how treatment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[string]treatment{}
	if known := t.columns.Load(); known != nil {
		if len(*known) >= maxColumns {
			return
		}
		next = maps.Clone(*known)
	}
	next[strings.Clone(column)] = how
	t.columns.Store(&next)
}

// maxColumns is the most columns that a table can have (SQL Server, wide tables apart); beyond it they are
// decided anew for each change.
const maxColumns = 1024

// ofKey gives the treatment of a key's column: columns.include does not thin out keys, which would
// then name no row (Debezium's column.include.list keeps keys whole too).
func (t *tablePolicy) ofKey(column string) treatment {
	for how := excluded; how > shown; how-- {
		if matchesAny(t.rules[how], column) {
			return how
		}
	}
	return shown
}

func matchesAny(patterns []string, column string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, column) })
}

// visible leaves out the names that an input does not hold.
func (t *tablePolicy) visible(columns []string) []string {
	if t == nil {
		return columns
	}
	var left []string
	for _, c := range columns {
		if t.of(c) != excluded {
			left = append(left, c)
		}
	}
	return left
}

// appendValue appends what an input holds of a value; kept is false when that is nothing.
func (t *tablePolicy) appendValue(dst []byte, how treatment, v connector.Value, f *connector.Format) (out []byte, kept bool, err error) {
	switch {
	case how == excluded:
		return dst, false, nil
	case how == shown, v.IsNull():
		out, err = debezium.AppendValue(dst, v, f)
	case how == masked:
		dst = append(dst, mask...)
		out = dst
	default:
		out, err = t.appendHash(dst, v, f)
	}
	return out, true, err
}

// appendHash appends the HMAC of a value's text: of the characters of a JSON string, of the JSON text of
// anything else. So a decimal has one hash, whatever value.decimal.format says, and so has a 64-bit integer.
func (t *tablePolicy) appendHash(dst []byte, v connector.Value, f *connector.Format) ([]byte, error) {
	text, err := debezium.AppendValue(nil, v, f)
	if err != nil {
		return dst, err
	}
	if text[0] == '"' {
		var plain string
		if err := json.Unmarshal(text, &plain); err != nil {
			return dst, err
		}
		text = []byte(plain)
	}
	h := t.macs.Get().(hash.Hash)
	defer t.macs.Put(h)
	h.Reset()
	_, _ = h.Write(text) // never fails (package hash)
	var sum [sha256.Size]byte
	return append(hex.AppendEncode(append(dst, '"'), h.Sum(sum[:0])), '"'), nil
}

var errKeyWithoutColumns = errors.New("the record's key is no struct, so columns.* cannot be applied to it: keep Debezium's key")

// appendKey appends a record's key, which may hold what its columns must not show.
func (t *tablePolicy) appendKey(dst []byte, key connector.Value, f *connector.Format) ([]byte, error) {
	if !t.hides() {
		return debezium.AppendValue(dst, key, f)
	}
	if !hasColumns(key) {
		return dst, errKeyWithoutColumns
	}
	return debezium.AppendWhole(dst, key, func(dst []byte, column string, v connector.Value) ([]byte, bool, error) {
		return t.appendValue(dst, t.ofKey(column), v, f)
	})
}

// hides says that some column is not shown as it is.
func (t *tablePolicy) hides() bool {
	return t != nil && slices.ContainsFunc(t.rules[:], func(names []string) bool { return names != nil })
}

func hasColumns(v connector.Value) bool {
	if s := v.Schema(); s != nil {
		return s.Type == connector.Struct
	}
	native, err := v.Native()
	if err != nil {
		return false
	}
	switch native.(type) {
	case *connector.MapValue, *connector.StructValue:
		return true
	}
	return false
}
