// Package destination tests the destination of the pipeline on real servers: the DDL and functions of
// schemas/aurora on PostgreSQL, the state machines of configs on an emulator that executes them.
package destination

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stepconnect/stepconnect/schemas/aurora"
	"github.com/stepconnect/stepconnect/test/stack"
)

// database is a migrated database of the test's own.
type database struct {
	*pgx.Conn
	dsn string
}

func open(t testing.TB) *database {
	t.Helper()
	return openAt(t, stack.Postgres(t))
}

func openAt(t testing.TB, dsn string) *database {
	t.Helper()
	db := &database{dsn: dsn}
	db.Conn = db.connect(t)
	db.migrate(t)
	return db
}

// connect opens a further connection, which ends with the test.
func (db *database) connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func (db *database) migrate(t testing.TB) {
	t.Helper()
	migrations, err := aurora.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range migrations {
		if _, err := db.Exec(t.Context(), m.SQL); err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
	}
}

// empty takes all rows out, so that tests in tables need one database, not one each.
func (db *database) empty(t testing.TB) {
	t.Helper()
	const tables = "clientes, consorcio.pedidos, consorcio.produtos, consorcio.totais_cliente, consorcio.vendas_produto, consorcio.outbox, consorcio.rejections, consorcio.audit"
	if _, err := db.Exec(t.Context(), "TRUNCATE consorcio."+tables); err != nil {
		t.Fatal(err)
	}
}

// refusal is an entry of the answer's failed list.
type refusal struct {
	Index int    `json:"index"`
	Error string `json:"error"`
	Cause string `json:"cause"`
}

// answer is what an apply function says of a batch.
type answer struct {
	Refused []refusal `json:"-"`
	Events  []string  `json:"-"` // ids of notifications that are not published
	Changes int       `json:"changes"`
	Keys    int       `json:"keys"`
	Applied int       `json:"applied"`
	Stale   int       `json:"stale"`
}

// apply sends one batch as a state machine does: one statement.
func (db *database) apply(t testing.TB, domain string, changes ...change) answer {
	t.Helper()
	text, err := json.Marshal(changes)
	if err != nil {
		t.Fatal(err)
	}
	return db.applyText(t, domain, string(text), "[]")
}

func (db *database) applyText(t testing.TB, domain, changes, refused string) answer {
	t.Helper()
	a, err := applyOn(t.Context(), db.Conn, domain, changes, refused)
	if err != nil {
		t.Fatalf("apply_%s: %v", domain, err)
	}
	return a
}

func applyOn(ctx context.Context, conn *pgx.Conn, domain, changes, refused string) (answer, error) {
	rows, err := conn.Query(ctx, "SELECT kind, index, error, cause, event FROM consorcio.apply_"+domain+"($1::text::json, $2::text::jsonb)", changes, refused)
	if err != nil {
		return answer{}, err
	}
	defer rows.Close()
	var a answer
	for rows.Next() {
		var kind string
		var index *int
		var name, cause, event *string
		if err := rows.Scan(&kind, &index, &name, &cause, &event); err != nil {
			return answer{}, err
		}
		switch kind {
		case "refused":
			a.Refused = append(a.Refused, refusal{*index, *name, *cause})
		case "event":
			a.Events = append(a.Events, *name)
		default:
			if err := json.Unmarshal([]byte(*cause), &a); err != nil {
				return answer{}, err
			}
		}
	}
	return a, rows.Err()
}

// value gives the only value of a query.
func value[T any](t testing.TB, db *database, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}
