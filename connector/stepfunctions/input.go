package stepfunctions

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/debezium"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// inputFormat is the shape of one change in an input (input.format).
type inputFormat string

const (
	formatChange   inputFormat = "change"
	formatFlat     inputFormat = "flat"
	formatEnvelope inputFormat = "envelope"
)

// beforeMode says what of the row before the change goes into an input (input.before).
type beforeMode string

const (
	beforeAlways  beforeMode = "always"
	beforeChanged beforeMode = "changed"
	beforeNever   beforeMode = "never"
)

// encoder writes changes as JSON. What it writes is a function of the record and of its own
// fields: no clock, attempt or worker goes into an input, so that a repeat of a start is byte
// for byte the same (invariant 4). It is safe for concurrent use.
type encoder struct {
	format inputFormat
	before beforeMode
	values connector.Format
	epochs map[string]int64 // by source.name; 0 for the others

	columns       *columnPolicy // nil: every column as it is
	changedFields bool          // name the columns that an update changed
}

// appendChange appends the JSON object of one change to dst, as it stands inside a JSON string literal: an input is text
// in a request. An error, about bytes that are not what their schema says, is final for the record. plan moves
// columns away; nil moves none.
func (e *encoder) appendChange(dst []byte, r *connector.Record, c *debezium.Change, plan *claimPlan) ([]byte, error) {
	t := e.columns.of(c)
	from, err := len(dst), error(nil)
	switch e.format {
	case formatFlat:
		dst, err = e.appendFlat(dst, r, c, t, plan)
	case formatEnvelope:
		dst, err = e.appendEnvelope(dst, r, c, t)
	default:
		return e.appendNested(dst, r, c, t, plan)
	}
	if err != nil {
		return dst, err
	}
	return jsontext.Literalize(dst, from), nil
}

const (
	rowBefore = "before"
	rowAfter  = "after"
)

// edit gives what writes the columns of a row; nil when they are written as they are.
func (e *encoder) edit(row string, t *tablePolicy, plan *claimPlan) debezium.Edit {
	if t == nil && plan == nil {
		return nil
	}
	return func(dst []byte, column string, v connector.Value) ([]byte, bool, error) {
		out, kept, err := t.appendValue(dst, t.of(column), v, &e.values)
		if err != nil || !kept || plan == nil {
			return out, kept, err
		}
		out, kept = plan.column(out, len(dst), columnName{row, column})
		return out, kept, nil
	}
}

// appendNested writes a literal in the first place, but for what few changes have.
func (e *encoder) appendNested(dst []byte, r *connector.Record, c *debezium.Change, t *tablePolicy, plan *claimPlan) ([]byte, error) {
	dst = append(dst, `{\"operation\":\"`...)
	dst = append(dst, c.Operation.String()...)
	dst = append(dst, `\",\"database\":`...)
	dst = jsontext.AppendStringLiteral(dst, c.Database)
	dst = append(dst, `,\"schema\":`...)
	dst = jsontext.AppendStringLiteral(dst, c.Schema)
	dst = append(dst, `,\"table\":`...)
	dst = jsontext.AppendStringLiteral(dst, c.Table)
	dst = append(dst, `,\"key\":`...)
	from := len(dst)
	dst, err := e.appendKey(dst, c, t)
	if err != nil {
		return dst, err
	}
	dst = jsontext.Literalize(dst, from)
	var missing []string
	if e.before != beforeNever {
		dst = append(dst, `,\"before\":`...)
		if dst, missing, err = e.appendBefore(dst, c, e.edit(rowBefore, t, plan)); err != nil {
			return dst, fmt.Errorf("value.before: %w", err)
		}
	}
	dst = append(dst, `,\"after\":`...)
	dst, missingNow, err := debezium.AppendRowLiteral(dst, c.After, &e.values, e.edit(rowAfter, t, plan))
	if err != nil {
		return dst, fmt.Errorf("value.after: %w", err)
	}
	from = len(dst)
	if !c.After.IsNull() {
		// What counts is the row that the destination is to have: a column that only the former
		// row lacks has a new value, which must not be taken for one to keep.
		missing = missingNow
	}
	if missing = t.visible(missing); missing != nil {
		dst = append(dst, `,"unavailable":`...)
		dst = appendNames(dst, missing)
	}
	if dst, err = e.appendChanged(dst, `,"changed":`, c, t); err != nil {
		return dst, err
	}
	if dst = appendClaims(dst, `,"claims":`, plan); len(dst) > from {
		dst = jsontext.Literalize(dst, from)
	}
	dst = append(dst, `,\"position\":{\"epoch\":`...)
	dst = e.appendPosition(dst, c, &nestedNames)
	dst = append(dst, `},\"committed_at\":\"`...)
	dst = c.AppendCommittedAt(dst)
	dst = append(dst, `\",\"snapshot\":`...)
	dst = strconv.AppendBool(dst, c.Snapshot)
	dst = append(dst, `,\"kafka\":`...)
	dst = appendKafka(dst, r, &nestedNames)
	return append(dst, '}'), nil
}

// names are those of the members that several shapes have, as they stand in the text: JSON or a literal of it.
type names struct {
	literal                  bool
	commit, change, serial   string
	topic, partition, offset string
}

var (
	nestedNames = names{true, `,\"commit_lsn\":`, `,\"change_lsn\":`, `,\"event_serial_no\":`, `{\"topic\":`, `,\"partition\":`, `,\"offset\":`}
	flatNames   = names{false, `,"__commit_lsn":`, `,"__change_lsn":`, `,"__event_serial_no":`, `{"topic":`, `,"partition":`, `,"offset":`}
)

func (n *names) text(dst []byte, s string) []byte {
	if n.literal {
		return jsontext.AppendStringLiteral(dst, s)
	}
	return jsontext.AppendString(dst, s)
}

// appendBefore writes the former row as a literal.
func (e *encoder) appendBefore(dst []byte, c *debezium.Change, edit debezium.Edit) ([]byte, []string, error) {
	if e.before != beforeChanged {
		return debezium.AppendRowLiteral(dst, c.Before, &e.values, edit)
	}
	out, missing, err := debezium.AppendChanged(dst, c.Before, c.After, &e.values, edit)
	if err != nil {
		return dst, nil, err
	}
	return jsontext.Literalize(out, len(dst)), missing, nil
}

// appendChanged names the columns that an update changed, where both rows are known.
func (e *encoder) appendChanged(dst []byte, name string, c *debezium.Change, t *tablePolicy) ([]byte, error) {
	if !e.changedFields || c.Operation != debezium.Update {
		return dst, nil
	}
	changed, ok, err := debezium.ChangedColumns(c.Before, c.After, &e.values)
	if err != nil {
		return dst, fmt.Errorf("value: %w", err)
	}
	if !ok {
		return dst, nil
	}
	return appendNames(append(dst, name...), t.visible(changed)), nil
}

func appendClaims(dst []byte, name string, plan *claimPlan) []byte {
	if plan == nil || plan.claims == nil {
		return dst
	}
	return plan.append(append(dst, name...))
}

func (e *encoder) appendKey(dst []byte, c *debezium.Change, t *tablePolicy) ([]byte, error) {
	if c.Key.IsNull() {
		return append(dst, "null"...), nil
	}
	out, err := t.appendKey(dst, c.Key, &e.values)
	if err != nil {
		return dst, fmt.Errorf("key: %w", err)
	}
	return out, nil
}

// appendPosition appends the parts of the position, the epoch's name having been written.
func (e *encoder) appendPosition(dst []byte, c *debezium.Change, n *names) []byte {
	p := &c.Position
	text := func(dst []byte, s string, has bool) []byte {
		if !has {
			return append(dst, "null"...)
		}
		return n.text(dst, s)
	}
	dst = strconv.AppendInt(dst, e.epochs[c.Server], 10)
	dst = text(append(dst, n.commit...), p.CommitLSN, p.HasCommitLSN)
	dst = text(append(dst, n.change...), p.ChangeLSN, p.HasChangeLSN)
	dst = append(dst, n.serial...)
	if !p.HasEventSerialNo {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, p.EventSerialNo, 10)
}

// appendKafka writes the consumed coordinates, whatever transforms did to the topic.
func appendKafka(dst []byte, r *connector.Record, n *names) []byte {
	dst = n.text(append(dst, n.topic...), r.Origin.Topic)
	dst = strconv.AppendInt(append(dst, n.partition...), int64(r.Origin.Partition), 10)
	dst = strconv.AppendInt(append(dst, n.offset...), r.Origin.Offset, 10)
	return append(dst, '}')
}

// appendFlat writes the row's columns at the top, after's or for a delete before's, and
// everything else under names that begin with two underscores.
func (e *encoder) appendFlat(dst []byte, r *connector.Record, c *debezium.Change, t *tablePolicy, plan *claimPlan) ([]byte, error) {
	row, name, path := c.After, rowAfter, "value.after"
	if c.Operation == debezium.Delete {
		row, name, path = c.Before, rowBefore, "value.before"
	}
	if name, clash := reserved(row); clash {
		return dst, fmt.Errorf("%s: column %s: input.format=flat keeps names that begin with __ for itself; use input.format=change", path, name)
	}
	var missing []string
	var err error
	if row.IsNull() {
		dst = append(dst, '{')
	} else {
		if dst, missing, err = debezium.AppendRow(dst, row, &e.values, e.edit(name, t, plan)); err != nil {
			return dst, fmt.Errorf("%s: %w", path, err)
		}
		dst = dst[:len(dst)-1]
	}
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, `"__operation":"`...)
	dst = append(dst, c.Operation.String()...)
	dst = append(dst, `","__database":`...)
	dst = jsontext.AppendString(dst, c.Database)
	dst = append(dst, `,"__schema":`...)
	dst = jsontext.AppendString(dst, c.Schema)
	dst = append(dst, `,"__table":`...)
	dst = jsontext.AppendString(dst, c.Table)
	dst = append(dst, `,"__key":`...)
	if dst, err = e.appendKey(dst, c, t); err != nil {
		return dst, err
	}
	if missing = t.visible(missing); missing != nil {
		dst = append(dst, `,"__unavailable":`...)
		dst = appendNames(dst, missing)
	}
	if dst, err = e.appendChanged(dst, `,"__changed":`, c, t); err != nil {
		return dst, err
	}
	dst = appendClaims(dst, `,"__claims":`, plan)
	dst = append(dst, `,"__epoch":`...)
	dst = e.appendPosition(dst, c, &flatNames)
	dst = append(dst, `,"__committed_at":"`...)
	dst = c.AppendCommittedAt(dst)
	dst = append(dst, `","__snapshot":`...)
	dst = strconv.AppendBool(dst, c.Snapshot)
	dst = append(dst, `,"__kafka":`...)
	dst = appendKafka(dst, r, &flatNames)
	return append(dst, '}'), nil
}

// reserved finds a column whose name the flat format needs.
func reserved(row connector.Value) (string, bool) {
	if s := row.Schema(); s != nil {
		for i := range s.Fields {
			if strings.HasPrefix(s.Fields[i].Name, "__") {
				return s.Fields[i].Name, true
			}
		}
		return "", false
	}
	native, _ := row.Native()
	if m, ok := native.(*connector.MapValue); ok {
		for i := range m.Entries {
			if name, _ := m.Entries[i].Key.(string); strings.HasPrefix(name, "__") {
				return name, true
			}
		}
	}
	return "", false
}

// appendEnvelope passes Debezium's envelope on as it is, placeholders of unavailable columns
// included, but for columns that a policy hides.
func (e *encoder) appendEnvelope(dst []byte, r *connector.Record, c *debezium.Change, t *tablePolicy) ([]byte, error) {
	dst = append(dst, `{"key":`...)
	dst, err := e.appendKey(dst, c, t)
	if err != nil {
		return dst, err
	}
	dst = append(dst, `,"envelope":`...)
	if t == nil {
		dst, err = c.Envelope.AppendJSON(dst, &e.values)
	} else {
		dst, err = e.appendEditedEnvelope(dst, c, t)
	}
	if err != nil {
		return dst, fmt.Errorf("value: %w", err)
	}
	if dst, err = e.appendChanged(dst, `,"changed":`, c, t); err != nil {
		return dst, err
	}
	dst = append(dst, `,"epoch":`...)
	dst = strconv.AppendInt(dst, e.epochs[c.Server], 10)
	dst = append(dst, `,"kafka":`...)
	dst = appendKafka(dst, r, &flatNames)
	return append(dst, '}'), nil
}

func (e *encoder) appendEditedEnvelope(dst []byte, c *debezium.Change, t *tablePolicy) ([]byte, error) {
	return debezium.AppendWhole(dst, c.Envelope, func(dst []byte, field string, v connector.Value) ([]byte, bool, error) {
		if field != rowBefore && field != rowAfter {
			out, err := debezium.AppendValue(dst, v, &e.values)
			return out, true, err
		}
		out, err := debezium.AppendWhole(dst, v, e.edit(field, t, nil))
		return out, true, err
	})
}

func appendNames(dst []byte, names []string) []byte {
	dst = append(dst, '[')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsontext.AppendString(dst, name)
	}
	return append(dst, ']')
}

// inputHead and inputTail enclose the changes of an input, which commas separate; as literals, like the changes.
func inputHead(domain string) []byte {
	head := append([]byte(nil), `{"domain":`...)
	head = jsontext.AppendString(head, domain)
	return jsontext.Literalize(append(head, `,"changes":[`...), 0)
}

const inputTail = `]}`
