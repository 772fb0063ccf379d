package task

import (
	"math/rand/v2"
	"testing"
)

func TestReadyKeysComeByTheirFirstMessage(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		q := &queue{}
		ready := map[*keyQueue]bool{}
		offset := int64(0)
		push := func(kq *keyQueue, offset int64) {
			kq.head = &item{Message: Message{Offset: offset}}
			kq.tail = kq.head
			if rng.IntN(3) == 0 { // another message of the key behind it
				kq.tail = &item{Message: Message{Offset: offset + int64(rng.IntN(40))}}
				kq.head.next = kq.tail
			}
			q.ready.push(kq)
			ready[kq] = true
		}
		for range 300 {
			offset += int64(1 + rng.IntN(3))
			switch {
			case rng.IntN(2) == 0: // of a message that has just been received
				push(&keyQueue{index: notReady}, offset)
			case rng.IntN(3) == 0: // freed with one that has waited
				push(&keyQueue{index: notReady}, offset-int64(rng.IntN(100)))
			}
			var taken []*keyQueue
			for range rng.IntN(4) {
				if q.ready.empty() {
					break
				}
				kq := q.ready.first()
				want := kq.head
				for other := range ready {
					if other.head.Offset < want.Offset {
						t.Fatalf("seed %d: %d comes before %d", seed, want.Offset, other.head.Offset)
					}
				}
				if got := q.ready.takeFirst(q); got != want {
					t.Fatalf("seed %d: took %d, first was %d", seed, got.Offset, want.Offset)
				}
				if kq.head == nil {
					delete(ready, kq)
				}
				taken = append(taken, kq)
			}
			for _, kq := range taken {
				q.ready.withdraw(kq)
				delete(ready, kq)
				if kq.index != notReady {
					t.Fatalf("seed %d: a key that was taken is still ready", seed)
				}
			}
			if q.ready.empty() != (len(ready) == 0) {
				t.Fatalf("seed %d: %d keys are ready, empty says %v", seed, len(ready), q.ready.empty())
			}
		}
	}
}
