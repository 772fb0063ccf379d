package destination

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/stack"
)

// step is a change of one client in the order of the source; obs is the value of the large column, "" where
// the log did not carry it.
type step struct{ operation, nome, obs string }

// orderings of four changes with one of them twice: 4 × 5!/2 = 240.
func deliveries() [][]int {
	var all [][]int
	for twice := range 4 {
		left := [4]int{1, 1, 1, 1}
		left[twice]++
		var extend func(sofar []int)
		extend = func(sofar []int) {
			if len(sofar) == 5 {
				all = append(all, slices.Clone(sofar))
				return
			}
			for i := range left {
				if left[i] > 0 {
					left[i]--
					extend(append(sofar, i))
					left[i]++
				}
			}
		}
		extend(nil)
	}
	return all
}

// cuts are ways to cut five deliveries into statements; the long tests take them all.
func cuts() map[string][]int {
	some := map[string][]int{
		"one statement each":           {1, 1, 1, 1, 1},
		"two, then one, then two":      {2, 1, 2},
		"all of them in one statement": {5},
	}
	if scale.Long() {
		for mask := range 16 {
			cut := []int{1}
			for bit := range 4 {
				if mask&(1<<bit) != 0 {
					cut = append(cut, 1)
				} else {
					cut[len(cut)-1]++
				}
			}
			some[fmt.Sprint("statements of ", cut)] = cut
		}
	}
	return some
}

// state is what a row must show in the end.
type state struct {
	Deleted bool
	Nome    string
	Obs     string // "∅" for null
}

// fold applies steps in the source's order.
func fold(steps []step) state {
	var s state
	for _, step := range steps {
		if step.operation == "delete" {
			s = state{Deleted: true, Nome: "∅", Obs: "∅"}
			continue
		}
		s.Deleted, s.Nome = false, step.nome
		if step.obs != "" {
			s.Obs = step.obs
		}
	}
	return s
}

func TestEveryOrderOfDeliveryWithDuplicatesEndsAsTheSource(t *testing.T) {
	t.Run("on the machine's PostgreSQL", func(t *testing.T) { everyOrder(t, open(t)) })
	t.Run("on PostgreSQL 18", func(t *testing.T) { everyOrder(t, openAt(t, stack.PrivatePostgres18(t).Addr())) })
}

func everyOrder(t *testing.T, db *database) {
	t.Helper()
	histories := map[string][]step{
		"created, updated, deleted, created again":                   {{"insert", "A", "a"}, {"update", "B", "b"}, {"delete", "", ""}, {"insert", "C", "c"}},
		"created, updated twice, deleted":                            {{"insert", "A", "a"}, {"update", "B", "b"}, {"update", "C", "c"}, {"delete", "", ""}},
		"large column set by the insert and left alone":              {{"insert", "A", "a"}, {"update", "B", ""}, {"update", "C", ""}, {"update", "D", ""}},
		"large column changed between updates that leave it alone":   {{"insert", "A", "a"}, {"update", "B", ""}, {"update", "C", "c"}, {"update", "D", ""}},
		"large column left alone after the row was deleted and made": {{"insert", "A", "a"}, {"delete", "", ""}, {"insert", "C", "c"}, {"update", "D", ""}},
		"snapshot, large column left alone, deleted, created":        {{"snapshot", "A", "a"}, {"update", "B", ""}, {"delete", "", ""}, {"insert", "D", "d"}},
	}
	orders := deliveries()
	runs, wrong := 0, 0
	for name, steps := range histories {
		for cutName, cut := range cuts() {
			t.Run(name+", "+cutName, func(t *testing.T) {
				if _, err := db.Exec(t.Context(), "TRUNCATE consorcio.clientes"); err != nil {
					t.Fatal(err)
				}
				// Each order is a client of its own, so that one statement serves all orders.
				done := 0
				for _, size := range cut {
					var batch []change
					for id, order := range orders {
						for _, i := range order[done : done+size] {
							batch = append(batch, steps[i].change(strconv.Itoa(id+1), i))
						}
					}
					if a := db.apply(t, "clientes", batch...); len(a.Refused) > 0 {
						t.Fatalf("refused: %v", a.Refused[0])
					}
					done += size
				}
				rows, err := db.Query(t.Context(), "SELECT id, deleted, coalesce(nome, '∅'), coalesce(observacoes, '∅') FROM consorcio.clientes")
				if err != nil {
					t.Fatal(err)
				}
				defer rows.Close()
				want := fold(steps)
				for rows.Next() {
					var id int
					var got state
					if err := rows.Scan(&id, &got.Deleted, &got.Nome, &got.Obs); err != nil {
						t.Fatal(err)
					}
					runs++
					if got != want {
						wrong++
						t.Errorf("delivered in order %v: %+v, want %+v", orders[id-1], got, want)
					}
				}
			})
		}
	}
	if want := len(histories) * len(cuts()) * len(orders); runs != want {
		t.Errorf("%d rows were compared, want %d", runs, want)
	}
	t.Logf("PostgreSQL %s: %d orders of delivery, %d wrong", value[string](t, db, "SHOW server_version"), runs, wrong)
}

// change makes the step number i of a client's history.
func (s step) change(id string, i int) change {
	p := at{transaction: 10 + i, offset: 100 + i}
	if s.operation == "delete" {
		return remove("Clientes", id, p)
	}
	r := cliente(id).with("nome", s.nome).with("observacoes", s.obs)
	if s.obs == "" {
		return changeOf("Clientes", s.operation, id, r, p, "observacoes")
	}
	return changeOf("Clientes", s.operation, id, r, p)
}

func TestChangesOfOneTransactionAreOrderedByOffset(t *testing.T) {
	db := open(t)
	var batch []change
	for i := range 5 {
		batch = append(batch, update("Clientes", cliente("1").with("nome", fmt.Sprint("version ", i)), at{7, 100 + i}))
	}
	slices.Reverse(batch)
	db.apply(t, "clientes", batch[:2]...)
	db.apply(t, "clientes", batch[2:]...)
	if got := value[string](t, db, "SELECT nome FROM consorcio_api.clientes WHERE id = 1"); got != "version 4" {
		t.Errorf("nome = %q, want the change with the highest offset", got)
	}
}

func TestAHigherEpochOutranksEveryPositionOfALowerOne(t *testing.T) {
	db := open(t)
	db.apply(t, "clientes", insert("Clientes", cliente("1").with("nome", "before the restore"), at{900, 900}))
	after := snapshot("Clientes", cliente("1").with("nome", "after the restore"), at{1, 5})
	after["position"].(map[string]any)["epoch"] = 1
	if a := db.apply(t, "clientes", after); a.Applied != 1 {
		t.Errorf("%+v, want 1 applied", a)
	}
	if a := db.apply(t, "clientes", update("Clientes", cliente("1").with("nome", "late"), at{901, 901})); a.Stale != 1 {
		t.Errorf("%+v, want 1 stale", a)
	}
	if got := value[string](t, db, "SELECT nome FROM consorcio_api.clientes"); got != "after the restore" {
		t.Errorf("nome = %q", got)
	}
}
