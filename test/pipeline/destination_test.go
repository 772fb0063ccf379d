package pipeline

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stepconnect/stepconnect/schemas/aurora"
)

// migrate makes an empty database what step 3 of docs/pipeline.md makes of it.
func migrate(ctx context.Context, t testing.TB, dsn string) {
	t.Helper()
	db := connect(ctx, t, dsn)
	migrations, err := aurora.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range migrations {
		if _, err := db.Exec(ctx, m.SQL); err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
	}
	for _, login := range []struct{ name, role string }{{writer, "consorcio_writer"}, {publisher, "consorcio_publisher"}} {
		sql := fmt.Sprintf(`DO $$ BEGIN CREATE ROLE %[1]s LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; GRANT %[2]s TO %[1]s`, login.name, login.role)
		if _, err := db.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// connect opens a connection that ends with the test.
func connect(ctx context.Context, t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	db, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.WithoutCancel(t.Context())) })
	return db
}

// address gives host:port and the database's name of a DSN.
func address(t testing.TB, dsn string) (hostPort, database string) {
	t.Helper()
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s:%d", c.Host, c.Port), c.Database
}

// event is an entry that EventBridge has taken.
type event struct{ Source, DetailType, Detail, EventBusName string }

// events reads what EventBridge has taken, in its order.
func events(t testing.TB, file string) []event {
	t.Helper()
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []event
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("event %s: %v", lines.Bytes(), err)
		}
		if e.EventBusName == eventBus { // the default bus hears of executions
			all = append(all, e)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
