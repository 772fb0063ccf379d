package consorcio

import (
	"bytes"
	"testing"
)

func TestTheSameSeedGivesTheSameEventsOfEveryKind(t *testing.T) {
	a, b := events(t, 7, 400), events(t, 7, 400)
	seen := map[string]int{}
	for i, e := range a {
		if !bytes.Equal(e.Key, b[i].Key) || !bytes.Equal(e.Value, b[i].Value) {
			t.Fatalf("event %d differs between two companies of one seed", i)
		}
		switch {
		case e.Change == nil:
			seen["tombstone"]++
		case e.Headers != nil:
			seen["key change"]++
		default:
			seen[e.Change.Table+" "+e.Change.Operation]++
		}
	}
	for _, kind := range []string{
		"Clientes insert", "Clientes update", "Clientes delete", "Pedidos insert", "Pedidos update", "Pedidos delete",
		"Produtos insert", "Produtos update", "Produtos delete", "tombstone", "key change",
	} {
		if seen[kind] == 0 {
			t.Errorf("no %s among %d events: %v", kind, len(a), seen)
		}
	}
}

func events(t *testing.T, seed uint64, n int) []Event {
	t.Helper()
	ids := 0
	c, err := New(seed, func(string, string) (int, error) { ids++; return ids, nil })
	if err != nil {
		t.Fatal(err)
	}
	var out []Event
	for len(out) < n {
		es, err := c.Transaction()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, es...)
	}
	return out
}
