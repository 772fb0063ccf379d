package stepfunctions

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stepconnect/stepconnect/connector"
)

// calls shows calls as the offsets that they hold.
func calls(cut []connector.Call) string {
	var b strings.Builder
	for _, c := range cut {
		b.WriteString("[")
		for i, r := range c.Records {
			if i > 0 {
				b.WriteString(" ")
			}
			fmt.Fprint(&b, r.Origin.Offset)
		}
		b.WriteString("]")
	}
	return b.String()
}

func updates(n int) []*connector.Record {
	var records []*connector.Record
	for i := range n {
		records = append(records, change("Clientes", "u", fmt.Sprint("k", i), int64(i)))
	}
	return records
}

func TestCallsHoldAsManyChangesAsTheTypeAndTheConfigurationAllow(t *testing.T) {
	for name, tc := range map[string]struct {
		pairs []string
		want  string
		named bool
	}{
		"standard, by default one":  {[]string{"execution.type", "standard"}, "[0][1][2][3][4]", true},
		"standard, two":             {[]string{"execution.type", "standard", "batch.max.records", "2"}, "[0 1][2 3][4]", true},
		"express, by default 100":   {[]string{"execution.type", "express"}, "[0 1 2 3 4]", false},
		"express, three":            {[]string{"execution.type", "express", "batch.max.records", "3"}, "[0 1 2][3 4]", false},
		"the domain's own type":     {[]string{"execution.type", "standard", "domain.clientes.execution.type", "express"}, "[0 1 2 3 4]", false},
		"named by change, only one": {[]string{"execution.type", "express", "execution.name", "change"}, "[0][1][2][3][4]", false},
		"by bytes":                  {[]string{"execution.type", "express", "batch.max.bytes", "1200"}, "[0 1][2 3][4]", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, newTask(t).TaskContext, settingsFor(nil, tc.pairs...))
			cut, err := s.Cut(updates(5))
			if err != nil || calls(cut) != tc.want {
				t.Fatalf("%s, %v; want %s", calls(cut), err, tc.want)
			}
			if got, largest := s.BatchMaxRecords(), len(cut[0].Records); got < largest || got == 1 && largest != 1 {
				t.Errorf("BatchMaxRecords is %d, a call holds %d", got, largest)
			}
			for _, c := range cut {
				if c.Named != tc.named {
					t.Errorf("named %v, want %v", c.Named, tc.named)
				}
			}
		})
	}
}

func TestEachDestinationHasItsCallsAndKeysKeepTheirOrder(t *testing.T) {
	s := newSink(t, newTask(t).TaskContext, settingsFor(nil, "execution.type", "express",
		"domains", "exclusoes,clientes", "domain.exclusoes.topics", "clientes-alteracoes", "domain.exclusoes.operations", "delete",
		"domain.exclusoes.state.machine.arn", testARN+"Exclusoes"))
	for name, tc := range map[string]struct {
		records []*connector.Record
		want    string
	}{
		"different keys": {[]*connector.Record{
			change("Clientes", "u", "a", 1), change("Clientes", "d", "b", 2), change("Clientes", "u", "c", 3), change("Clientes", "d", "d", 4)}, "[1 3][2 4]"},
		"one key that changes its destination": {[]*connector.Record{
			change("Clientes", "u", "a", 1), change("Clientes", "d", "b", 2), change("Clientes", "u", "b", 3), change("Clientes", "d", "b", 4), change("Clientes", "u", "c", 5)}, "[1][2][3 5][4]"},
		"there and back": {[]*connector.Record{
			change("Clientes", "d", "a", 1), change("Clientes", "u", "a", 2), change("Clientes", "d", "a", 3)}, "[1][2][3]"},
		"a key under two schema ids": {[]*connector.Record{
			change("Clientes", "d", "\x00\x00\x00\x00\x01a", 1), change("Clientes", "u", "\x00\x00\x00\x00\x02a", 2), change("Clientes", "d", "\x00\x00\x00\x00\x01a", 3)}, "[1][2][3]"},
	} {
		t.Run(name, func(t *testing.T) {
			if cut, err := s.Cut(tc.records); err != nil || calls(cut) != tc.want {
				t.Errorf("%s, %v; want %s", calls(cut), err, tc.want)
			}
		})
	}
}

func TestCutsKeepEveryPromise(t *testing.T) {
	s := newSink(t, newTask(t).TaskContext, settingsFor(nil, "execution.type", "express", "batch.max.records", "4", "batch.max.bytes", "1600",
		"domains", "exclusoes,clientes", "domain.exclusoes.topics", "clientes-alteracoes", "domain.exclusoes.operations", "delete",
		"domain.exclusoes.state.machine.arn", testARN+"Exclusoes"))
	rapid.Check(t, func(t *rapid.T) {
		var records []*connector.Record
		for i := range rapid.IntRange(1, 40).Draw(t, "records") {
			key := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "key")
			op := rapid.SampledFrom([]string{"c", "u", "d"}).Draw(t, "op")
			records = append(records, change("Clientes", op, key, int64(i)))
		}
		cut, err := s.Cut(records)
		if err != nil {
			t.Fatal(err)
		}
		seen, last := 0, map[string]int64{}
		for _, c := range cut {
			size, domains := 0, map[*domain]bool{}
			for _, r := range c.Records {
				p := r.Prepared.(*prepared)
				domains[p.domain] = true
				size += len(p.literal) + 1
				if key := string(r.Origin.Key); last[key] > r.Origin.Offset {
					t.Fatalf("key %s goes back in %s", key, calls(cut))
				} else {
					last[key] = r.Origin.Offset
				}
				seen++
			}
			for d := range domains {
				size += d.overhead - 1
			}
			if len(domains) != 1 || len(c.Records) > 4 || len(c.Records) > 1 && size > 1600 {
				t.Fatalf("a call of %d records, %d bytes, %d domains", len(c.Records), size, len(domains))
			}
		}
		if seen != len(records) {
			t.Fatalf("%d of %d records are in calls", seen, len(records))
		}
	})
}

// quotes makes a change whose JSON grows when it becomes a string literal.
func quotes(n int, offset int64) *connector.Record {
	r := change("Clientes", "c", "k", offset)
	native, _ := r.Value.Native()
	for i, e := range native.(*connector.MapValue).Entries {
		if e.Key == "after" {
			native.(*connector.MapValue).Entries[i].Value = object("nota", strings.Repeat(`"`, n))
		}
	}
	return r
}

func TestTheLimitIsMeasuredOnTheInputAsAStringLiteral(t *testing.T) {
	s := newSink(t, newTask(t).TaskContext, settingsFor(nil, "execution.type", "standard"))
	// A quote is \" in JSON and \\\" in a literal of it.
	overhead := func() int {
		r := quotes(0, 1)
		if _, err := s.Cut([]*connector.Record{r}); err != nil {
			t.Fatal(err)
		}
		return r.Prepared.(*prepared).alone()
	}()
	most := (maxInput - overhead) / 4
	if cut, err := s.Cut([]*connector.Record{quotes(most, 1)}); err != nil || len(cut) != 1 {
		t.Errorf("%d quotes fit: %d calls, %v", most, len(cut), err)
	}
	cut, err := s.Cut([]*connector.Record{change("Clientes", "u", "a", 1), quotes(most+1, 2), change("Clientes", "u", "b", 3)})
	partial, _ := errors.AsType[*connector.PartialError](err)
	if calls(cut) != "[1][3]" || partial == nil || len(partial.Failed) != 1 {
		t.Fatalf("%s, %v", calls(cut), err)
	}
	if class, _ := connector.Classify(partial.Failed[1]); class != connector.ClassRejected || !strings.Contains(partial.Failed[1].Error(), "262144") {
		t.Errorf("class %v: %v", class, partial.Failed[1])
	}
	failing := newSink(t, newTask(t).TaskContext, settingsFor(nil, "execution.type", "standard", "oversize.policy", "fail"))
	_, err = failing.Cut([]*connector.Record{quotes(most+1, 2)})
	partial, _ = errors.AsType[*connector.PartialError](err)
	if partial == nil {
		t.Fatalf("%v", err)
	}
	if class, _ := connector.Classify(partial.Failed[0]); class != connector.ClassFatal {
		t.Errorf("oversize.policy=fail gives class %v", class)
	}
}

func TestAChangeThatCannotBeReadIsRejectedAndTheOthersGoOn(t *testing.T) {
	s := newSink(t, newTask(t).TaskContext, settingsFor(nil, "execution.type", "express"))
	bad := change("Clientes", "x", "b", 2)
	cut, err := s.Cut([]*connector.Record{change("Clientes", "u", "a", 1), bad, change("Clientes", "u", "c", 3)})
	partial, _ := errors.AsType[*connector.PartialError](err)
	if calls(cut) != "[1 3]" || partial == nil || len(partial.Failed) != 1 || partial.Failed[1] == nil {
		t.Fatalf("%s, %v", calls(cut), err)
	}
	if class, _ := connector.Classify(partial.Failed[1]); class != connector.ClassRejected {
		t.Errorf("class %v", class)
	}
}
