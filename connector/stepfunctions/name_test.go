package stepfunctions

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/debezium"
)

var allowedName = regexp.MustCompile(`^[0-9A-Za-z_-]{1,80}$`)

func batch(topic string, partition int32, offsets ...int64) *connector.Batch {
	return &connector.Batch{Topic: topic, Partition: partition, Offsets: offsets}
}

// A name is what makes a repeat after an upgrade find its first try: it must never change.
func TestTheNameOfABatchIsFixed(t *testing.T) {
	for want, got := range map[string]string{
		"clientes-alteracoes-p3-o1234-n1-e0-79c63851-06338fa5d80dfc1d": Name("cluster", "topic-id", "consorcio", batch("clientes-alteracoes", 3, 1234), 0),
		"clientes-alteracoes-p3-o1234-n3-e2-79c63851-e6269acf00668f36": Name("cluster", "topic-id", "consorcio", batch("clientes-alteracoes", 3, 1234, 1236, 1300), 2),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestEveryPartOfABatchsIdentityChangesItsName(t *testing.T) {
	names := map[string]string{}
	for what, name := range map[string]string{
		"the batch":                Name("c", "t", "n", batch("topic", 1, 10, 11), 0),
		"another cluster":          Name("C", "t", "n", batch("topic", 1, 10, 11), 0),
		"a topic made anew":        Name("c", "T", "n", batch("topic", 1, 10, 11), 0),
		"another connector":        Name("c", "t", "N", batch("topic", 1, 10, 11), 0),
		"another topic":            Name("c", "t", "n", batch("topik", 1, 10, 11), 0),
		"a topic that reads alike": Name("c", "t", "n", batch("topi.c", 1, 10, 11), 0),
		"and its twin":             Name("c", "t", "n", batch("topi_c", 1, 10, 11), 0),
		"another partition":        Name("c", "t", "n", batch("topic", 2, 10, 11), 0),
		"another offset":           Name("c", "t", "n", batch("topic", 1, 10, 12), 0),
		"a smaller batch":          Name("c", "t", "n", batch("topic", 1, 10), 0),
		"a replay":                 Name("c", "t", "n", batch("topic", 1, 10, 11), 1),
		"parts that flow over":     Name("ct", "", "n", batch("topic", 1, 10, 11), 0),
		"parts that flow over 2":   Name("c", "tn", "", batch("topic", 1, 10, 11), 0),
	} {
		if other, taken := names[name]; taken {
			t.Errorf("%s and %s are both %s", what, other, name)
		}
		names[name] = what
	}
}

func FuzzName(f *testing.F) {
	f.Add("cluster", "id", "connector", "topic", int32(0), int64(0), uint8(1), 0, "cluster", "id", "connector", "topic", int32(0), int64(1), uint8(1), 0)
	f.Add("", "", "", "a.b/ç\x00", int32(2147483647), int64(9223372036854775800), uint8(9), 1<<31, "", "", "", strings.Repeat("x", 249), int32(7), int64(1), uint8(0), -1)
	f.Add("", "", "", "t", int32(-2147483648), int64(9223372036854775800), uint8(15), -1<<63, "", "", "", "t", int32(-2147483648), int64(9223372036854775800), uint8(15), -1<<63+1)
	f.Fuzz(func(t *testing.T, c1, i1, n1, t1 string, p1 int32, o1 int64, k1 uint8, e1 int, c2, i2, n2, t2 string, p2 int32, o2 int64, k2 uint8, e2 int) {
		build := func(topic string, p int32, o int64, k uint8) *connector.Batch {
			b := batch(topic, p, o)
			for i := range int64(k % 16) {
				b.Offsets = append(b.Offsets, o+i+1)
			}
			return b
		}
		b1, b2 := build(t1, p1, o1, k1), build(t2, p2, o2, k2)
		a, b := Name(c1, i1, n1, b1, e1), Name(c2, i2, n2, b2, e2)
		for _, name := range []string{a, b} {
			if !allowedName.MatchString(name) {
				t.Fatalf("%q is not allowed", name)
			}
		}
		same := fmt.Sprintf("%q %q %q %d %v", c1, i1, n1, e1, b1) == fmt.Sprintf("%q %q %q %d %v", c2, i2, n2, e2, b2)
		if (a == b) != same {
			t.Fatalf("%q and %q: the batches are the same: %v", a, b, same)
		}
	})
}

func parse(t *testing.T, r *connector.Record) *debezium.Change {
	t.Helper()
	c, err := debezium.NewParser().Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

func TestAChangeIsNamedByItsIdentityAndNotByItsOffset(t *testing.T) {
	name := func(r *connector.Record, epoch int) string {
		n, ok, err := changeName("cluster", "consorcio", parse(t, r), epoch)
		if err != nil || !ok || !allowedName.MatchString(n) {
			t.Fatalf("%q, %v, %v", n, ok, err)
		}
		return n
	}
	first := change("Clientes", "u", "42", 7)
	again := change("Clientes", "u", "42", 7)
	again.Origin.Offset, again.Origin.Partition = 99, 1
	if a, b := name(first, 0), name(again, 0); a != b {
		t.Errorf("the same change sent twice is %s and %s", a, b)
	}
	names := map[string]string{}
	for what, n := range map[string]string{
		"the change":               name(first, 0),
		"a replay":                 name(first, 1),
		"another key":              name(change("Clientes", "u", "43", 7), 0),
		"the delete of a key move": name(change("Clientes", "d", "42", 7), 0),
		"the insert of a key move": name(change("Clientes", "c", "42", 7), 0),
		"another table":            name(change("Pedidos", "u", "42", 7), 0),
		"another position":         name(change("Clientes", "u", "42", 8), 0),
	} {
		if other, taken := names[n]; taken {
			t.Errorf("%s and %s are both %s", what, other, n)
		}
		names[n] = what
	}
	if _, ok, _ := changeName("cluster", "consorcio", parse(t, change("Clientes", "r", "42", 7)), 0); ok {
		t.Error("a row of a snapshot has no identity of its own, and got a name")
	}
}

func TestTheTwoKindsOfNamesNeverMeet(t *testing.T) {
	n, _, _ := changeName("cl", "c", parse(t, change("Clientes", "u", "42", 7)), 0)
	o := Name("cl", "t", "c", batch("Clientes-update-0000002a_00000007_0023", 3, 7), 0)
	dash := len(n) - 17 // the hashes of changes are longer
	if n[dash] == '-' || o[len(o)-17] != '-' {
		t.Errorf("%s and %s: the 17th character from the end must tell them apart", n, o)
	}
}
