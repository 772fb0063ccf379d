package pipeline

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stepconnect/stepconnect/test/stack"
)

// inputs are the golden inputs that the sink writes of events made by Debezium's own classes.
const inputs = "../../connector/stepfunctions/testdata/inputs/"

// TestTheShippedMachinesPutAChangeIntoARealDatabase has the emulator execute the state machines as they are shipped, with the
// logins that the documentation makes: their Data API calls reach PostgreSQL, their PutEvents the bus.
func TestTheShippedMachinesPutAChangeIntoARealDatabase(t *testing.T) {
	dsn := stack.Postgres(t)
	migrate(t.Context(), t, dsn)
	hostPort, database := address(t, dsn)
	published := filepath.Join(t.TempDir(), "events.jsonl")
	a := &account{database: database, kind: "EXPRESS", age: "1 minute"}
	a.endpoint = stack.PrivateMinistack(t, stack.WithAurora(clusterName, hostPort), stack.WithEvents(published)).Addr()
	if err := a.install(t.Context()); err != nil {
		t.Fatal(err)
	}
	db := connect(t.Context(), t, dsn)
	for _, c := range []struct {
		file, machine, table string
		events               int
	}{
		{"clientes-insert", "clientes", "clientes", 0}, {"pedidos-insert", "pedidos", "pedidos", 1}, {"produtos-insert", "produtos", "produtos", 1},
	} {
		t.Run(c.file, func(t *testing.T) {
			before := len(events(t, published))
			input, err := os.ReadFile(inputs + c.file + ".json")
			if err != nil {
				t.Fatal(err)
			}
			e, err := a.execute(t.Context(), c.machine, string(input))
			if err != nil {
				t.Fatal(err)
			}
			var answer struct {
				Failed []any
				Counts struct{ Applied int }
			}
			if err := json.Unmarshal([]byte(e.Output), &answer); e.Status != "SUCCEEDED" || err != nil || answer.Counts.Applied != 1 || len(answer.Failed) > 0 {
				t.Fatalf("%+v (%v)", e, err)
			}
			var rows int
			if err := db.QueryRow(t.Context(), "SELECT count(*) FROM consorcio."+c.table+" WHERE NOT deleted").Scan(&rows); err != nil || rows != 1 {
				t.Errorf("%d rows (%v), want 1", rows, err)
			}
			if got := len(events(t, published)) - before; got != c.events {
				t.Errorf("%d events were published, want %d", got, c.events)
			}
		})
	}
}
