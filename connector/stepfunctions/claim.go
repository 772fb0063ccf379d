package stepfunctions

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/debezium"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// claim is a column that an input leaves to an object of S3. The object's key is made of its content, so
// storing it again changes nothing and the input stays byte-stable (invariant 4).
type claim struct {
	row, column string // row is before or after
	key         string // of the object
	sum         [sha256.Size]byte
	content     []byte // the JSON text that the column would have had in the input
}

// claimPlan moves columns of one change out of its input. Without chosen columns it only lists them.
type claimPlan struct {
	bucket, prefix string

	columns []columnSize
	chosen  map[columnName]bool
	claims  []claim
}

type columnName struct{ row, column string }

type columnSize struct {
	columnName
	size int // of its value, as a JSON string literal
}

// column takes in the text of a column, which begins at from; kept is false when it is moved.
func (p *claimPlan) column(out []byte, from int, name columnName) ([]byte, bool) {
	text := out[from:]
	if p.chosen == nil {
		p.columns = append(p.columns, columnSize{name, jsontext.LiteralSize(text)})
		return out, true
	}
	if !p.chosen[name] {
		return out, true
	}
	sum := sha256.Sum256(text)
	p.claims = append(p.claims, claim{
		row: name.row, column: name.column, key: p.prefix + hex.EncodeToString(sum[:]), sum: sum, content: slices.Clone(text),
	})
	return out[:from], false
}

// append appends the claims as a JSON list.
func (p *claimPlan) append(dst []byte) []byte {
	dst = append(dst, '[')
	for i := range p.claims {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.claims[i].append(dst, p.bucket)
	}
	return append(dst, ']')
}

func (c *claim) append(dst []byte, bucket string) []byte {
	dst = append(dst, `{"column":`...)
	dst = jsontext.AppendString(dst, c.column)
	dst = append(dst, `,"row":`...)
	dst = jsontext.AppendString(dst, c.row)
	dst = append(dst, `,"bucket":`...)
	dst = jsontext.AppendString(dst, bucket)
	dst = append(dst, `,"key":`...)
	dst = jsontext.AppendString(dst, c.key)
	dst = append(dst, `,"sha256":"`...)
	dst = hex.AppendEncode(dst, c.sum[:])
	dst = append(dst, `","bytes":`...)
	dst = strconv.AppendInt(dst, int64(len(c.content)), 10)
	return append(dst, '}')
}

// choose picks the largest columns until they make up for excess bytes, and one more than the time before;
// it is false when no further column would help. Of equal ones the first in the input is taken.
func (p *claimPlan) choose(excess int) bool {
	if p.chosen == nil {
		p.chosen = map[columnName]bool{}
		slices.SortStableFunc(p.columns, func(a, b columnSize) int { return b.size - a.size })
	}
	p.claims = nil
	before := len(p.chosen)
	for _, c := range p.columns[before:] {
		gain := c.size - p.cost(c.columnName)
		if gain <= 0 {
			break
		}
		p.chosen[c.columnName] = true
		if excess -= gain; excess <= 0 {
			break
		}
	}
	return len(p.chosen) > before
}

// cost is about what the claim of a column adds to an input.
func (p *claimPlan) cost(name columnName) int {
	c := claim{row: name.row, column: name.column, key: p.prefix + hex.EncodeToString(make([]byte, sha256.Size)), content: make([]byte, 0)}
	return jsontext.LiteralSize(c.append(nil, p.bucket)) + len(strconv.Itoa(maxInput)) - len(name.column)
}

// claim moves the largest columns of an oversized change out of p, until the rest fits. A change that does not fit
// without them either stays whole. It stores nothing: Deliver does, before the start.
func (s *Sink) claim(p *prepared, r *connector.Record, c *debezium.Change) error {
	plan := claimPlan{bucket: s.settings.claims.bucket, prefix: s.settings.claims.prefix}
	var err error
	if p.literal, err = s.encoder.appendChange(p.literal[:0], r, c, &plan); err != nil {
		return err
	}
	for plan.choose(p.alone() - maxInput) {
		if p.literal, err = s.encoder.appendChange(p.literal[:0], r, c, &plan); err != nil {
			return err
		}
		if p.alone() <= maxInput {
			p.claims = plan.claims
			return nil
		}
	}
	p.literal, err = s.encoder.appendChange(p.literal[:0], r, c, nil)
	return err
}
