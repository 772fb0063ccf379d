package task

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// metadata is what a commit tells the partition's next owner besides the offset: it makes a batch that
// was perhaps started form again exactly, and keeps what was settled above the offset from being started again.
//
// It travels as text in Kafka's commit metadata (at most 4,096 bytes): the mark, then base64 of
// varints that count from the committed offset.
type metadata struct {
	topicID string // of the topic that the offsets belong to
	// aloneBelow: records below it, from the committed offset on, may have been started as batches of
	// one without an intent, so they are handed out alone again. 0 for none, unbounded for all.
	aloneBelow int64
	settled    []offsetRange
	intents    [][]int64 // the offsets of each named batch that may have been started
}

const (
	metadataMark  = "sc1:"
	unbounded     = math.MaxInt64
	metadataLimit = 3000      // bytes before base64: under Kafka's 4,096 with the mark
	intentLimit   = 2500      // new intents are taken up to here, so that what is taken always fits
	rememberLimit = 1000      // what may be forgotten is taken up to here, so that there is room for intents
	maxIntended   = 1_000_000 // offsets of all intents together: a few bytes may name any number
)

// errForeignMetadata says that a commit's metadata is not ours.
var errForeignMetadata = errors.New("commit metadata was not written by stepconnect")

// encode writes the metadata of a commit at offset base.
func (m *metadata) encode(base int64) string {
	b := m.append(make([]byte, 0, 128), base)
	return metadataMark + base64.RawStdEncoding.EncodeToString(b)
}

// size is the length of the encoding before base64.
func (m *metadata) size(base int64) int { return len(m.append(make([]byte, 0, 512), base)) }

// intended is how many offsets the intents name.
func (m *metadata) intended() (n int) {
	for _, offsets := range m.intents {
		n += len(offsets)
	}
	return n
}

// remember adds settled ranges as far as there is room for them, the longest first.
func (m *metadata) remember(ranges []offsetRange, base int64) {
	if len(ranges) == 0 {
		return
	}
	slices.SortStableFunc(ranges, func(a, b offsetRange) int { return cmp.Compare(b.to-b.from, a.to-a.from) })
	room := rememberLimit - m.size(base)
	for _, r := range ranges {
		if room -= uvarintLen(r.to-base) + uvarintLen(r.to-r.from); room < 0 {
			break
		}
		m.settled = append(m.settled, r)
	}
	slices.SortFunc(m.settled, func(a, b offsetRange) int { return cmp.Compare(a.from, b.from) })
}

// uvarintLen is how many bytes v takes as a varint.
func uvarintLen(v int64) int { return (bits.Len64(uint64(v)|1) + 6) / 7 }

func (m *metadata) append(b []byte, base int64) []byte {
	b = binary.AppendUvarint(b, uint64(len(m.topicID)))
	b = append(b, m.topicID...)
	switch {
	case m.aloneBelow == unbounded:
		b = binary.AppendUvarint(b, 1)
	case m.aloneBelow > base:
		b = binary.AppendUvarint(b, uint64(m.aloneBelow-base)+1)
	default:
		b = binary.AppendUvarint(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(m.settled)))
	at := base
	for _, r := range m.settled {
		b = binary.AppendUvarint(b, uint64(r.from-at))
		b = binary.AppendUvarint(b, uint64(r.to-r.from))
		at = r.to
	}
	b = binary.AppendUvarint(b, uint64(len(m.intents)))
	for _, offsets := range m.intents {
		b = appendOffsets(b, base, offsets)
	}
	return b
}

// appendOffsets writes ascending offsets as runs: a gap and a length each.
func appendOffsets(b []byte, base int64, offsets []int64) []byte {
	runs := 0
	for i := range offsets {
		if i == 0 || offsets[i] != offsets[i-1]+1 {
			runs++
		}
	}
	b = binary.AppendUvarint(b, uint64(runs))
	at := base
	for i := 0; i < len(offsets); {
		j := i + 1
		for j < len(offsets) && offsets[j] == offsets[j-1]+1 {
			j++
		}
		b = binary.AppendUvarint(b, uint64(offsets[i]-at))
		b = binary.AppendUvarint(b, uint64(j-i))
		at = offsets[j-1]
		i = j
	}
	return b
}

// parseMetadata reads the metadata of a commit at offset base. Empty text is errForeignMetadata too:
// somebody else committed, or nobody did.
func parseMetadata(text string, base int64) (metadata, error) {
	rest, ok := strings.CutPrefix(text, metadataMark)
	if !ok {
		return metadata{}, errForeignMetadata
	}
	b, err := base64.RawStdEncoding.DecodeString(rest)
	if err != nil {
		return metadata{}, fmt.Errorf("commit metadata is damaged: %w", err)
	}
	r := varints{b: b, room: maxIntended}
	var m metadata
	m.topicID = string(r.bytes(r.next()))
	switch v := r.next(); v {
	case 0:
	case 1:
		m.aloneBelow = unbounded
	default:
		m.aloneBelow = r.offset(base, v-1)
	}
	at := base
	for n := r.count(); n > 0; n-- {
		from := r.offset(at, r.next())
		at = r.offset(from, r.next())
		m.settled = append(m.settled, offsetRange{from, at})
	}
	for n := r.count(); n > 0; n-- {
		m.intents = append(m.intents, r.offsets(base))
	}
	if r.bad || len(r.b) > 0 {
		return metadata{}, errors.New("commit metadata is damaged: it does not read as its version says")
	}
	return m, nil
}

// varints reads what append wrote; after the first fault bad is set and everything reads as 0.
type varints struct {
	b    []byte
	bad  bool
	room uint64 // how many offsets may still be named
}

func (r *varints) next() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || r.bad {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *varints) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// count reads a number of things that take at least a byte each.
func (r *varints) count() uint64 {
	n := r.next()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return n
}

func (r *varints) offset(base int64, delta uint64) int64 {
	if delta > uint64(math.MaxInt64-base-1) {
		r.bad = true
		return base
	}
	return base + int64(delta)
}

func (r *varints) offsets(base int64) []int64 {
	var out []int64
	at := base
	for n := r.count(); n > 0; n-- {
		gap := r.next()
		at = r.offset(at, gap)
		length := r.next()
		if gap == 0 && len(out) > 0 || length == 0 || length > r.room {
			r.bad = true
			return nil
		}
		r.room -= length
		for range length {
			out = append(out, at)
			at++
		}
		at--
	}
	if len(out) == 0 {
		r.bad = true
	}
	return out
}

// OwnMetadata tells whether the metadata of a commit is ours: of a task, or CleanMetadata.
func OwnMetadata(text string) bool { return strings.HasPrefix(text, metadataMark) }

// CleanMetadata is the text to commit with an offset that somebody else than a task sets for a topic with
// that id: nothing above the offset has been started.
func CleanMetadata(topicID string) string {
	m := metadata{topicID: topicID}
	return m.encode(0)
}
