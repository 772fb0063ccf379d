package avro

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Limits on foreign bytes. A value beyond them is refused, whatever its schema.
const (
	// maxDepth is how deep records, arrays, maps and unions of branches may nest in data.
	maxDepth = 128
	// maxEmpty is how many parts without any bytes one value may have: elements of arrays, which
	// only their count limits, and records, of which a schema can nest 2^n in n lines.
	maxEmpty = 1 << 16
	// maxSlots is how many fields the records and unions of one value may have together, whether they take bytes or
	// not: a union of 1,000 types takes a byte for 1,000 fields, of which all but one are null.
	maxSlots = 1 << 23
	// maxJSON is the most bytes of JSON that one value may become.
	maxJSON = 256 << 20
)

// pass is the state of one walk over a value's bytes.
type pass struct {
	in    []byte
	depth int
	empty int
	slots int
}

// long reads a zig-zag varint of at most 64 bits.
func long(in []byte, pos int) (v int64, next int, err *DataError) {
	if len(in)-pos < 10 {
		return longAtEnd(in, pos)
	}
	if b := in[pos]; b < 0x80 {
		return unzigzag(uint64(b)), pos + 1, nil
	}
	w := binary.LittleEndian.Uint64(in[pos:])
	if last := ^w & 0x8080808080808080; last != 0 {
		w &= last ^ (last - 1) // the bytes up to the first without a continuation bit
		return unzigzag(pack(w)), pos + bits.TrailingZeros64(last)/8 + 1, nil
	}
	b, c := uint64(in[pos+8]), uint64(in[pos+9])
	switch {
	case b < 0x80:
		return unzigzag(pack(w) | b<<56), pos + 9, nil
	case c > 1:
		return 0, pos, faultf(pos, "number longer than 64 bits")
	}
	return unzigzag(pack(w) | (b&0x7f)<<56 | c<<63), pos + 10, nil
}

// pack puts together the low seven bits of eight bytes.
func pack(w uint64) uint64 {
	w = w&0x007f007f007f007f | w&0x7f007f007f007f00>>1
	w = w&0x00003fff00003fff | w&0x3fff00003fff0000>>2
	return w&0x000000000fffffff | w&0x0fffffff00000000>>4
}

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// longAtEnd is long where fewer bytes are left than the longest number has.
func longAtEnd(in []byte, pos int) (v int64, next int, err *DataError) {
	var u uint64
	for i, shift := pos, uint(0); i < len(in); i, shift = i+1, shift+7 {
		b := in[i]
		u |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return unzigzag(u), i + 1, nil
		}
	}
	return 0, pos, faultf(pos, "data ends inside a number")
}

// span reads a length and gives where its bytes begin and end.
func span(in []byte, pos int) (from, to int, err *DataError) {
	n, from, err := long(in, pos)
	switch {
	case err != nil:
		return pos, pos, err
	case n < 0:
		return pos, pos, faultf(pos, "negative length %d", n)
	case n > int64(len(in)-from):
		return pos, pos, faultf(pos, "length %d is more than the %d bytes that are left", n, len(in)-from)
	}
	return from, from + int(n), nil
}

// fixed checks that size bytes are left.
func fixed(in []byte, pos, size int) *DataError {
	if len(in)-pos < size {
		return faultf(pos, "data ends: %d bytes needed, %d left", size, len(in)-pos)
	}
	return nil
}

// enter begins a record, array, map or union, which has so many fields.
func (p *pass) enter(pos, slots int) *DataError {
	if p.slots += slots; p.slots > maxSlots {
		return faultf(pos, "records and unions with more than %d fields in all", maxSlots)
	}
	if p.depth++; p.depth > maxDepth {
		return faultf(pos, "nested deeper than %d", maxDepth)
	}
	return nil
}

func (p *pass) leave() { p.depth-- }

// part is called after each element of an array and each record, which went from one position to
// another.
func (p *pass) part(from, to int) *DataError {
	if from == to {
		if p.empty++; p.empty > maxEmpty {
			return faultf(from, "more than %d parts without bytes", maxEmpty)
		}
	}
	return nil
}

// block is the head of a block of array elements or map entries.
type block struct {
	count int64
	end   int // where the block ends, if its writer said so; else -1
}

// block reads the head of the next block; a count of 0 is the end of the array or map.
func (p *pass) block(pos int) (block, int, *DataError) {
	count, next, err := long(p.in, pos)
	if err != nil || count >= 0 {
		return block{count: count, end: -1}, next, err
	}
	if count == math.MinInt64 {
		return block{}, pos, faultf(pos, "block count %d", count)
	}
	_, end, err := span(p.in, next)
	if err != nil {
		return block{}, pos, err
	}
	_, next, _ = long(p.in, next)
	return block{count: -count, end: end}, next, nil
}

// closed checks, after the last element of b, that it ended where its head said.
func (b block) closed(pos int) *DataError {
	if b.end >= 0 && b.end != pos {
		return faultf(pos, "block ends at byte %d, its head says %d", pos, b.end)
	}
	return nil
}
