package debezium

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
)

// origin is all that a Change says of where it is from.
func origin(c *Change) string {
	return fmt.Sprint(c.Operation, c.Snapshot, c.Connector, c.Server, c.Database, c.Schema, c.Table, c.Position, c.CommittedAt)
}

func TestWhatOneEventSaidIsNeverTakenForAnother(t *testing.T) {
	v := loadVectors(t)
	var records []*connector.Record
	want := map[*connector.Record]string{}
	for _, c := range v.Cases {
		for form, r := range forms(t, v.record(t, c.Name)) {
			got, err := NewParser().Parse(r)
			if err != nil {
				continue // no change of a row
			}
			if form == "lazy" && got.Operation != Tombstone && got.Table == "" {
				t.Fatalf("%s has no table", c.Name)
			}
			records = append(records, r)
			want[r] = origin(&got)
		}
	}
	p := NewParser()
	var all sync.WaitGroup
	for seed := range uint64(4) {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 1))
			for range 20 * len(records) {
				r := records[rnd.IntN(len(records))]
				if rnd.IntN(2) == 0 {
					r = records[0] // so that something is worth remembering
				}
				got, err := p.Parse(r)
				if err != nil || origin(&got) != want[r] {
					t.Errorf("%s, %v; want %s", origin(&got), err, want[r])
					return
				}
			}
		})
	}
	all.Wait()
}

func TestEventsOfOneSchemaAreRememberedAndOfSeveralTablesForgotten(t *testing.T) {
	v, p := loadVectors(t), NewParser()
	r := v.record(t, "clientes-u")
	for range 3 {
		if _, err := p.Parse(r); err != nil {
			t.Fatal(err)
		}
	}
	envelope, err := p.plans.of(&r.Value)
	if err != nil {
		t.Fatal(err)
	}
	if known := envelope.memories.last.Load(); known == nil || known.text[srcTable] != "Clientes" || envelope.memories.learned.Load() != 1 {
		t.Errorf("%+v learned %d times", known, envelope.memories.learned.Load())
	}
	snapshot := v.record(t, "clientes-r-first")
	for range 3 * maxMemories {
		for _, r := range []*connector.Record{r, snapshot} {
			if _, err := p.Parse(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := envelope.memories.learned.Load(); n > maxMemories+1 {
		t.Errorf("learned %d times", n)
	}
}
