package destination

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryChangeNotifiesOnceHoweverOftenAndInWhateverOrderItComes(t *testing.T) {
	db := open(t)
	changes := []change{
		insert("Pedidos", pedido("1", "7", "10.00"), at{1, 1}),
		update("Pedidos", pedido("1", "7", "11.00"), at{2, 2}),
		update("Pedidos", pedido("1", "7", "12.00"), at{2, 3}), // the same position in the log, another row
		remove("Pedidos", "1", at{3, 4}),
		insert("Pedidos", pedido("1", "7", "13.00"), at{4, 5}),
	}
	db.apply(t, "pedidos", changes[4], changes[1])
	for range 2 {
		a := db.apply(t, "pedidos", changes...)
		if len(a.Events) != len(changes) {
			t.Fatalf("%d notifications are given for publishing, want all %d until they are marked", len(a.Events), len(changes))
		}
	}
	again := update("Pedidos", pedido("1", "7", "11.00"), at{2, 77}) // sent again by Debezium: another offset
	if a := db.apply(t, "pedidos", again); len(a.Events) != 1 {
		t.Errorf("%+v", a)
	}
	if got := value[int](t, db, "SELECT count(*) FROM consorcio.outbox"); got != len(changes) {
		t.Errorf("%d notifications, want one for each of %d changes", got, len(changes))
	}
	ids := value[string](t, db, "SELECT jsonb_agg(id)::text FROM consorcio.outbox")
	if got := value[int](t, db, "SELECT consorcio.outbox_published($1::text::jsonb)", ids); got != len(changes) {
		t.Errorf("%d were marked, want %d", got, len(changes))
	}
	if a := db.apply(t, "pedidos", changes...); len(a.Events) != 0 {
		t.Errorf("%+v: what is published is given again", a)
	}
}

func TestNeitherSnapshotsNorRefusedChangesNorClientsNotify(t *testing.T) {
	db := open(t)
	db.apply(t, "pedidos", snapshot("Pedidos", pedido("1", "7", "10.00"), at{1, 1}), insert("Pedidos", pedido("2", "7", "10.00").with("valor", nil), at{1, 2}))
	db.apply(t, "clientes", insert("Clientes", cliente("1"), at{1, 1}))
	if got := value[int](t, db, "SELECT count(*) FROM consorcio.outbox"); got != 0 {
		t.Errorf("%d notifications, want none", got)
	}
}

func TestAProductNotifiesWhetherItIsAvailable(t *testing.T) {
	db := open(t)
	db.apply(t, "produtos", insert("Produtos", produto("P1"), at{1, 1}), update("Produtos", produto("P1").with("disponivel", false), at{2, 2}), remove("Produtos", "P1", at{3, 3}))
	got := value[string](t, db, "SELECT string_agg(detail_type, ' ' ORDER BY detail::jsonb #>> '{position,commit_lsn}') FROM consorcio.outbox")
	if want := "ProdutoDisponivel ProdutoIndisponivel ProdutoRemovido"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAnEntryHoldsTheIdentityForWhoDeduplicates(t *testing.T) {
	db := open(t)
	a := db.apply(t, "pedidos", insert("Pedidos", pedido("1", "7", "10.00"), at{1, 1}))
	if _, err := db.Exec(t.Context(), "UPDATE consorcio.outbox SET created_at = now() - interval '2 minutes'"); err != nil {
		t.Fatal(err)
	}
	var id, text string
	if err := db.QueryRow(t.Context(), "SELECT id, entry FROM consorcio.outbox_take(10, interval '1 minute')").Scan(&id, &text); err != nil {
		t.Fatal(err)
	}
	var entry struct{ Source, DetailType, Detail string }
	if err := json.Unmarshal([]byte(text), &entry); err != nil {
		t.Fatal(err)
	}
	var detail struct {
		ID        string
		Operation string
		Row       map[string]string
	}
	if err := json.Unmarshal([]byte(entry.Detail), &detail); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{a.Events[0], a.Events[0], "consorcio.pedidos", "PedidoCriado", "insert", "10.00", "20250314000501"},
		[]string{id, detail.ID, entry.Source, entry.DetailType, detail.Operation, detail.Row["valor"], detail.Row["numero"]}); diff != "" {
		t.Error(diff)
	}
	if got := value[int](t, db, "SELECT count(*) FROM consorcio.outbox_take(10, interval '1 minute')"); got != 0 {
		t.Errorf("what one publisher has taken is given to another %d times", got)
	}
}

func TestTotalsAreRightWhenBatchesOfOneClientRunAtOnce(t *testing.T) {
	db := open(t)
	const sessions, rounds, orders = 4, 12, 5
	var wg sync.WaitGroup
	for s := range sessions {
		conn := db.connect(t)
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(s), 1))
			for round := range rounds {
				var batch []change
				for o := range orders {
					// The orders of a session are its own, the clients and products are everybody's.
					r := pedido(strconv.Itoa(s*orders+o), strconv.Itoa(rng.IntN(3)), fmt.Sprintf("%d.%02d", rng.IntN(1000), rng.IntN(100)))
					batch = append(batch, update("Pedidos", r.with("status", []string{"APROVADO", "CANCELADO"}[rng.IntN(2)]), at{round + 1, round + 1}))
				}
				text, err := json.Marshal(batch)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := applyOn(t.Context(), conn, "pedidos", string(text), "[]"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	wrong := value[int](t, db, `SELECT count(*) FROM consorcio.totais_cliente t FULL JOIN (
		SELECT cliente_id, count(*) FILTER (WHERE status <> 'CANCELADO') AS n, coalesce(sum(valor) FILTER (WHERE status <> 'CANCELADO'), 0) AS v
		FROM consorcio_api.pedidos GROUP BY cliente_id) p USING (cliente_id)
		WHERE t.pedidos IS DISTINCT FROM coalesce(p.n, 0) OR t.valor_total IS DISTINCT FROM coalesce(p.v, 0)`)
	if wrong != 0 {
		t.Errorf("%d clients have wrong totals", wrong)
	}
	wrong = value[int](t, db, `SELECT count(*) FROM consorcio.vendas_produto v WHERE valor_total <> (SELECT sum(valor) FROM consorcio_api.pedidos WHERE status <> 'CANCELADO')`)
	if wrong != 0 {
		t.Errorf("%d products have wrong totals", wrong)
	}
}

func TestAnOrderThatMovesToAnotherClientLeavesTheFormerOnesTotal(t *testing.T) {
	db := open(t)
	db.apply(t, "pedidos", insert("Pedidos", pedido("1", "7", "10.00"), at{1, 1}), insert("Pedidos", pedido("2", "7", "5.00"), at{1, 2}))
	db.apply(t, "pedidos", update("Pedidos", pedido("1", "8", "10.00"), at{2, 3}))
	db.apply(t, "pedidos", remove("Pedidos", "2", at{3, 4}))
	got := value[string](t, db, "SELECT string_agg(cliente_id || ':' || pedidos || ':' || valor_total, ' ' ORDER BY cliente_id) FROM consorcio_api.totais_cliente")
	if want := "7:0:0 8:1:10.00"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
