package task

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func TestMetadataReadsBackWhatWasWritten(t *testing.T) {
	for name, m := range map[string]metadata{
		"nothing but the topic":   {topicID: "AAAAAAAAAAAAAAAAAAAAAA"},
		"no topic id":             {},
		"records started alone":   {topicID: "x", aloneBelow: unbounded},
		"some records alone":      {topicID: "x", aloneBelow: 1234},
		"settled ranges":          {topicID: "x", settled: []offsetRange{{1001, 1001}, {1003, 1500}}},
		"a batch with holes":      {topicID: "x", intents: [][]int64{{1000, 1001, 1005, 1007, 1008}}},
		"batches that interleave": {topicID: "x", intents: [][]int64{{1000, 1004}, {1001, 1002}, {5_000_000_000}}},
		"everything at once":      {topicID: "x", aloneBelow: 1100, settled: []offsetRange{{1200, 1300}}, intents: [][]int64{{1100, 1101}}},
	} {
		t.Run(name, func(t *testing.T) {
			text := m.encode(1000)
			back, err := parseMetadata(text, 1000)
			if err != nil || !reflect.DeepEqual(back, m) {
				t.Fatalf("got %+v, %v; want %+v", back, err, m)
			}
		})
	}
}

func TestMetadataOfOthersIsToldFromDamage(t *testing.T) {
	for _, text := range []string{"", "somebody else's", "sc0:AAAA"} {
		if _, err := parseMetadata(text, 0); !errors.Is(err, errForeignMetadata) {
			t.Errorf("%q: %v, want foreign", text, err)
		}
	}
	for _, text := range []string{"sc1:", "sc1:!", "sc1:AQ", "sc1://///////////w"} {
		if _, err := parseMetadata(text, 0); err == nil || errors.Is(err, errForeignMetadata) {
			t.Errorf("%q: %v, want damaged", text, err)
		}
	}
}

// A batch of 50 that a key-ordered hand-out took with holes must be cheap: 64 in flight have to fit.
func TestSixtyFourBatchesOfFiftyFitIntoOneCommit(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	m := metadata{topicID: "AAAAAAAAAAAAAAAAAAAAAA"}
	offset := int64(10_000_000)
	for range 64 {
		var b []int64
		for range 50 {
			if rng.IntN(10) == 0 {
				offset += int64(rng.IntN(3))
			}
			offset++
			b = append(b, offset)
		}
		m.intents = append(m.intents, b)
	}
	if n := m.size(10_000_000); n > intentLimit {
		t.Fatalf("64 batches take %d bytes, the limit is %d", n, intentLimit)
	}
}

func TestAFewBytesDoNotNameOffsetsWithoutBound(t *testing.T) {
	var b []byte
	b = binary.AppendUvarint(b, 0) // no topic's id
	b = binary.AppendUvarint(b, 0)
	b = binary.AppendUvarint(b, 0)
	const intents = 500
	b = binary.AppendUvarint(b, intents)
	for range intents {
		b = binary.AppendUvarint(b, 1)
		b = binary.AppendUvarint(b, 0)
		b = binary.AppendUvarint(b, 90_000)
	}
	if _, err := parseMetadata(metadataMark+base64.RawStdEncoding.EncodeToString(b), 0); err == nil {
		t.Errorf("%d bytes name %d offsets, and are taken", len(b), intents*90_000)
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add((&metadata{topicID: "x", aloneBelow: 7, settled: []offsetRange{{9, 12}}, intents: [][]int64{{5, 6, 8}}}).encode(5), int64(5))
	f.Add("sc1:////", int64(0))
	f.Fuzz(func(t *testing.T, text string, base int64) {
		if base < 0 {
			base = -(base + 1)
		}
		m, err := parseMetadata(text, base)
		if err != nil {
			return
		}
		for _, b := range m.intents {
			for i, o := range b {
				if o < base || i > 0 && o <= b[i-1] {
					t.Fatalf("intent %v is not ascending from %d", b, base)
				}
			}
		}
	})
}

func TestWhatMayBeForgottenIsKeptLongestFirstWithinItsRoom(t *testing.T) {
	m := metadata{topicID: "x", settled: []offsetRange{{1100, 1200}}}
	var may []offsetRange
	for i := range int64(2000) {
		may = append(may, offsetRange{2000 + 10*i, 2000 + 10*i + i%3})
	}
	m.remember(may, 1000)
	if n := m.size(1000); n > rememberLimit || n < rememberLimit/2 {
		t.Errorf("it takes %d bytes, the limit is %d", n, rememberLimit)
	}
	if !slices.IsSortedFunc(m.settled, func(a, b offsetRange) int { return cmp.Compare(a.from, b.from) }) || m.settled[0] != (offsetRange{1100, 1200}) {
		t.Errorf("not in order, or what must be kept is gone: %v", m.settled)
	}
	for _, r := range m.settled[1:] {
		if r.to-r.from != 2 {
			t.Fatalf("%v is kept where longer ones had no room", r)
		}
	}
	if back, err := parseMetadata(m.encode(1000), 1000); err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("reads back as %+v, %v", back, err)
	}
}
