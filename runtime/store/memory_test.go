package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *MemoryLog {
	t.Helper()
	l, err := OpenMemoryLog(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func appendAll(t *testing.T, l Log, entries ...Entry) int64 {
	t.Helper()
	o, err := l.Append(t.Context(), entries...)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestReadGivesWhatWasAppendedInOrderFromAnyOffset(t *testing.T) {
	l := open(t, "")
	if o := appendAll(t, l, Tombstone("a"), Tombstone("b"), Tombstone("c")); o != 2 {
		t.Errorf("last offset %d", o)
	}
	for from := range int64(3) {
		got, next, err := l.Read(t.Context(), from)
		if err != nil || next != 3 || len(got) != int(3-from) || got[0].Offset != from {
			t.Errorf("from %d: %v, next %d, %v", from, got, next, err)
		}
	}
	if _, _, err := l.Read(t.Context(), 4); err == nil {
		t.Error("reading past the end must fail")
	}
}

func TestReadWaitsForTheNextEntryAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, "")
		got := make(chan []Entry)
		go func() {
			e, _, _ := l.Read(t.Context(), 0)
			got <- e
		}()
		synctest.Wait()
		appendAll(t, l, Tombstone("a"))
		if e := <-got; len(e) != 1 {
			t.Error(e)
		}
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, _, err := l.Read(ctx, 1)
			failed <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestALongRunningLogKeepsOnlyTheLastEntryOfEachKey(t *testing.T) {
	l := open(t, "")
	var want State
	for i := range 20_000 {
		e := TaskStatusEntry(TaskKey{"c", i % 10}, Status{State: "RUNNING", Generation: int64(i)})
		e.Offset = appendAll(t, l, e)
		want, _ = Reduce(want, e)
	}
	entries, next, err := l.Read(t.Context(), 0)
	if err != nil || next != 20_000 || len(entries) > 2_000 {
		t.Fatalf("%d entries, next %d, %v", len(entries), next, err)
	}
	got, _ := Fold(State{}, entries)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTheFileKeepsReplayEpochsAdoptionsAndOperationsOnDeadLettersAndNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "connect.offsets")
	l := open(t, path)
	appendAll(t, l, ConnectorEntry("c", map[string]*string{"password": ptr("geheim")}))
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was written although there is nothing to keep")
	}
	appendAll(t, l, ReplayEntry("c", []Replay{{Topic: "t", Epoch: 1, Below: 10}}), ReplayEntry("d", nil))
	appendAll(t, l, ReplayEntry("c", []Replay{{Topic: "t", Epoch: 2, Below: 12}}), Tombstone("replay-d"))
	appendAll(t, l, AdoptionEntry(AdoptionKey{"c", "t", 1}, Adoption{TopicID: "x"}), AdoptionEntry(AdoptionKey{"c", "t", 2}, Adoption{}), Tombstone("adopted-t/2/c"))
	ops := []DeadLetterOperation{{ID: "x", Action: ReplayLetters, Topic: "d", Bounds: []LetterBound{{0, 9}}}}
	appendAll(t, l, DeadLetterEntry("c", ops), DeadLetterProgressEntry("c", DeadLetterProgress{ID: "x", State: "RUNNING"}))

	again := open(t, path)
	entries, _, err := again.Read(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	got, warnings := Fold(State{}, entries)
	want := State{Replays: map[string][]Replay{"c": {{Topic: "t", Epoch: 2, Below: 12}}}, Adoptions: map[AdoptionKey]Adoption{{"c", "t", 1}: {TopicID: "x"}}, DeadLetters: map[string][]DeadLetterOperation{"c": ops}}
	if d := cmp.Diff(want, got); d != "" || len(warnings) > 0 {
		t.Error(d, warnings)
	}
	if b, err := os.ReadFile(path); err != nil || strings.Contains(string(b), "geheim") {
		t.Errorf("%s %v", b, err)
	}
	if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
		t.Error("left behind:", left, err)
	}
}

func TestAFileOfKafkaConnectIsNotOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "connect.offsets")
	java := []byte{0xac, 0xed, 0x00, 0x05, 's', 'r'}
	if err := os.WriteFile(path, java, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenMemoryLog(path); err == nil || !strings.Contains(err.Error(), "name another file") {
		t.Error(err)
	}
}

func TestAnEmptyFileIsTakenAsANewOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "connect.offsets")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestAnAppendThatCannotBeKeptIsNotVisible(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	l := open(t, filepath.Join(dir, "connect.offsets"))
	if _, err := l.Append(t.Context(), ReplayEntry("c", nil)); err == nil || !strings.Contains(err.Error(), "offset.storage.file.filename") {
		t.Errorf("got %v", err)
	}
	if end, err := l.End(t.Context()); end != 0 || err != nil {
		t.Errorf("end %d, %v", end, err)
	}
}

func TestTheCallersBytesAreNotKept(t *testing.T) {
	l := open(t, "")
	e := ConnectorEntry("c", nil)
	appendAll(t, l, e)
	copy(e.Key, "XXXXXXXXXX")
	got, _, err := l.Read(t.Context(), 0)
	if err != nil || string(got[0].Key) != "connector-c" {
		t.Error(got, err)
	}
}

func BenchmarkMemoryLogAppend(b *testing.B) {
	l, err := OpenMemoryLog("")
	if err != nil {
		b.Fatal(err)
	}
	var entries []Entry
	for i := range 64 {
		entries = append(entries, TaskStatusEntry(TaskKey{fmt.Sprint("c", i), 0}, Status{State: "RUNNING"}))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := l.Append(b.Context(), entries[i%64]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
