package connectortest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stepconnect/stepconnect/connector"
)

// soon is how long a cancelled delivery may still take.
const soon = 5 * time.Second

// leaks fails the test when goroutines of the sink outlive its Close.
func leaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

func (s Subject) records(n int, key func(i int) string) []*connector.Record {
	records := make([]*connector.Record, n)
	for i := range records {
		records[i] = s.Record(key(i), int64(100+i))
	}
	return records
}

func ownKey(i int) string { return fmt.Sprintf("key-%d", i) }

func offsets(records []*connector.Record) []int64 {
	o := make([]int64, len(records))
	for i, r := range records {
		o[i] = r.Origin.Offset
	}
	return o
}

func inOrder(t *testing.T, s Subject) {
	sink := start(t, s)
	records := s.records(20, ownKey)
	batches, err := Calls(sink, records)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := sink.Deliver(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := s.Delivered(), offsets(records); !slices.Equal(got, want) {
		t.Errorf("the destination holds %v, want %v", got, want)
	}
}

func twice(t *testing.T, s Subject) {
	sink := start(t, s)
	batches, err := Calls(sink, s.records(3, ownKey))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, b := range batches {
			if err := sink.Deliver(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, o := range []int64{100, 101, 102} {
		if !slices.Contains(s.Delivered(), o) {
			t.Errorf("offset %d is not at the destination", o)
		}
	}
}

func refused(t *testing.T, s Subject) {
	if s.Refuse == nil {
		t.Skip("the destination cannot refuse single records")
	}
	sink := start(t, s)
	s.Refuse(103)
	records := s.records(8, ownKey)
	batches, err := Calls(sink, records)
	if err != nil {
		t.Fatal(err)
	}
	failed := map[int64]error{}
	for _, b := range batches {
		bisect(t, sink, b, failed)
	}
	for _, o := range offsets(records) {
		err, undelivered := failed[o]
		switch there := slices.Contains(s.Delivered(), o); {
		case o != 103 && (undelivered || !there):
			t.Errorf("offset %d: reported as %v, at the destination: %v", o, err, there)
		case o == 103 && !undelivered:
			t.Errorf("offset %d was refused and is reported as delivered", o)
		}
	}
	if class, _ := connector.Classify(failed[103]); class != connector.ClassRejected {
		t.Errorf("the refused record has class %v, want a rejection: %v", class, failed[103])
	}
}

// bisect delivers a batch and, when all of it is rejected, its halves, as the host does.
func bisect(t *testing.T, sink connector.Sink, batch []*connector.Record, failed map[int64]error) {
	err := sink.Deliver(t.Context(), batch)
	class, _ := connector.Classify(err)
	if !errors.As(err, new(*connector.PartialError)) && class == connector.ClassRejected && len(batch) > 1 {
		half := len(batch) / 2
		bisect(t, sink, Freeze(batch[:half]...), failed)
		bisect(t, sink, Freeze(batch[half:]...), failed)
		return
	}
	for o, err := range Undelivered(batch, err) {
		failed[o] = err
	}
}

func concurrently(t *testing.T, s Subject) {
	const keys, each = 8, 6
	sink := start(t, s)
	var all sync.WaitGroup
	for k := range keys {
		all.Go(func() {
			for i := range each {
				r := s.Record(ownKey(k), int64(1000*k+i))
				batches, err := Calls(sink, []*connector.Record{r})
				if err != nil || len(batches) != 1 {
					t.Errorf("cutting one record: %d calls, %v", len(batches), err)
					return
				}
				if err := sink.Deliver(t.Context(), batches[0]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	last := map[int64]int64{}
	got := s.Delivered()
	for _, o := range got {
		if key := o / 1000; o < last[key] {
			t.Errorf("key %d: offset %d came after %d", key, o, last[key])
		} else {
			last[key] = o
		}
	}
	if len(got) != keys*each {
		t.Errorf("the destination holds %d records, want %d", len(got), keys*each)
	}
}

func cancelled(t *testing.T, s Subject) {
	if s.Stall == nil {
		t.Skip("the destination cannot stall")
	}
	sink := start(t, s)
	release := s.Stall()
	defer release()
	batches, err := Calls(sink, s.records(1, ownKey))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- sink.Deliver(ctx, batches[0]) }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a delivery without an answer counts as delivered")
		}
		if class, _ := connector.Classify(err); class == connector.ClassRejected {
			t.Errorf("an interrupted delivery is rejected, so lost: %v", err)
		}
	case <-time.After(soon):
		t.Errorf("still delivering %s after its context ended", soon)
		release()
		t.Logf("it ended at last: %v", <-ended)
	}
}

func beginsCancelled(t *testing.T, s Subject) {
	sink := start(t, s)
	batches, err := Calls(sink, s.records(1, ownKey))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sink.Deliver(ctx, batches[0]); err == nil {
		t.Error("no error")
	}
	if got := s.Delivered(); len(got) != 0 {
		t.Errorf("the destination holds %v", got)
	}
}

func cuts(t *testing.T, s Subject) {
	sink := start(t, s)
	cutter, ok := sink.(connector.Cutter)
	if !ok {
		t.Skip("the sink does not cut")
	}
	records := s.records(30, func(i int) string { return ownKey(i % 3) })
	calls, err := cutter.Cut(records)
	if err != nil {
		t.Fatal(err)
	}
	var all []int64
	last := map[string]int64{}
	for i, call := range calls {
		got := offsets(call.Records)
		if len(got) == 0 || !slices.IsSorted(got) {
			t.Errorf("call %d holds the offsets %v", i, got)
		}
		all = append(all, got...)
		for _, r := range call.Records {
			key := string(r.Origin.Key)
			if r.Origin.Offset < last[key] {
				t.Errorf("key %q: offset %d comes after %d", key, r.Origin.Offset, last[key])
			}
			last[key] = r.Origin.Offset
		}
	}
	slices.Sort(all)
	if want := offsets(records); !slices.Equal(all, want) {
		t.Errorf("the calls hold %v, want %v", all, want)
	}
}

func cutIsPure(t *testing.T, s Subject) {
	sink := start(t, s)
	cutter, ok := sink.(connector.Cutter)
	if !ok {
		t.Skip("the sink does not cut")
	}
	shape := func() [][]int64 {
		calls, err := cutter.Cut(s.records(30, ownKey))
		if err != nil {
			t.Fatal(err)
		}
		var o [][]int64
		for _, c := range calls {
			o = append(o, offsets(c.Records))
		}
		return o
	}
	first, again := shape(), shape()
	if !slices.EqualFunc(first, again, slices.Equal[[]int64]) {
		t.Errorf("cut as %v, then as %v", first, again)
	}
	if got := s.Delivered(); len(got) != 0 {
		t.Errorf("the destination holds %v", got)
	}
}
