package task

import (
	"fmt"
	"hash/maphash"
	"strings"
	"testing"
	"time"
)

// transcript plays commands against a scheduler and writes down what is handed out:
// "add k1 k2" queues messages, "next" hands out, "done 0" settles the delivery that began with offset 0,
// "retry 0 5" puts it back to be tried 5 s later, "tick 5" lets time pass.
type transcript struct {
	s    *scheduler
	q    *queue
	now  time.Time
	next int64
	out  map[int64]*delivery
	log  strings.Builder
}

func play(l limits, commands string) string {
	t := &transcript{s: newScheduler(l, maphash.MakeSeed()), now: time.Unix(0, 0), out: make(map[int64]*delivery)}
	t.q = t.s.open(part0)
	t.q.fenced = false
	for _, line := range strings.Split(strings.TrimSpace(commands), "\n") {
		t.command(strings.Fields(line))
	}
	return t.log.String()
}

func (t *transcript) command(words []string) {
	var offset, seconds int64
	if len(words) > 1 {
		_, _ = fmt.Sscan(strings.Join(words[1:], " "), &offset, &seconds)
	}
	switch words[0] {
	case "add":
		for _, key := range words[1:] {
			it := &item{Message: Message{Partition: part0, Offset: t.next, Key: []byte(key)}, size: 1, at: t.now}
			t.s.add(t.q, it)
			t.next++
		}
	case "next":
		d := t.s.next(t.now, true)
		if d == nil {
			t.log.WriteString("nothing\n")
			return
		}
		t.out[d.items[0].Offset] = d
		for _, it := range d.items {
			fmt.Fprintf(&t.log, "%d:%s ", it.Offset, it.Key)
		}
		t.log.WriteString("\n")
	case "done":
		t.s.settle(t.out[offset], t.out[offset].items)
	case "retry":
		t.s.retry(t.out[offset], t.now.Add(time.Duration(seconds)*time.Second))
	case "tick":
		t.now = t.now.Add(time.Duration(offset) * time.Second)
	}
}

func TestWhatIsHandedOutNext(t *testing.T) {
	for _, c := range []struct {
		name     string
		limits   limits
		commands string
		want     string
	}{
		{"a batch holds the oldest messages of free keys, several of one key in order", limits{maxInFlight: 4, maxRecords: 3, maxBytes: 100}, `
			add a b a c
			next
			next
			next`, "0:a 1:b 2:a \n3:c \nnothing\n"},
		{"a key waits while a delivery holds one of its messages, others pass", limits{maxInFlight: 4, maxRecords: 1, maxBytes: 100}, `
			add a a b
			next
			next
			next
			done 0
			next`, "0:a \n2:b \nnothing\n1:a \n"},
		{"a failed delivery keeps its key and gives its slot back", limits{maxInFlight: 1, maxRecords: 1, maxBytes: 100}, `
			add a a b
			next
			next
			retry 0 5
			next
			done 2
			next
			tick 5
			next`, "0:a \nnothing\n2:b \nnothing\n0:a \n"},
		{"a batch is cut by bytes", limits{maxInFlight: 4, maxRecords: 10, maxBytes: 2}, `
			add a b c
			next
			next`, "0:a 1:b \n2:c \n"},
		{"one that is larger than the limit goes alone", limits{maxInFlight: 4, maxRecords: 10, maxBytes: 0}, `
			add a b
			next
			next`, "0:a \n1:b \n"},
		{"lingering waits until the batch is full or old enough", limits{maxInFlight: 4, maxRecords: 2, maxBytes: 100, linger: 10 * time.Second}, `
			add a
			next
			add b
			next
			add c
			next
			tick 10
			next`, "nothing\n0:a 1:b \nnothing\n2:c \n"},
		{"ordering by partition takes everything as one key", limits{ordering: ByPartition, maxInFlight: 4, maxRecords: 2, maxBytes: 100}, `
			add a b c
			next
			next
			done 0
			next`, "0:a 1:b \nnothing\n2:c \n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := play(c.limits, c.commands); got != c.want {
				t.Errorf("handed out\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestAKeyIsTheSameUnderAnotherSchemaID(t *testing.T) {
	s := newScheduler(limits{}, maphash.MakeSeed())
	id := func(key string) uint64 { return s.keyID(&Message{Key: []byte(key)}) }
	if id("\x00\x00\x00\x00\x01abc") != id("\x00\x00\x00\x01\x00abc") {
		t.Error("a key registered under another id is another key")
	}
	if id("abc") == id("abd") {
		t.Error("different keys are one")
	}
	if s.keyID(&Message{}) != s.keyID(&Message{Key: nil}) {
		t.Error("messages without a key are not kept in order")
	}
}

// BenchmarkSchedule is one message from add to settled, in batches of 50 over 1,000 keys.
func BenchmarkSchedule(b *testing.B) {
	s := newScheduler(limits{maxInFlight: 64, maxRecords: 50, maxBytes: 1 << 20}, maphash.MakeSeed())
	q := s.open(part0)
	q.fenced = false
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key-%d", i)
	}
	slab := make([]item, 500)
	now := time.Now()
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += len(slab) {
		clear(slab)
		for j := range slab {
			slab[j] = item{Message: Message{Partition: part0, Offset: int64(i + j), Key: keys[(i+j*7)%len(keys)]}, size: 700}
			s.add(q, &slab[j])
		}
		for d := s.next(now, true); d != nil; d = s.next(now, true) {
			s.settle(d, d.items)
		}
	}
}
