package destination

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stepconnect/stepconnect/test/stack"
)

func TestRolesMayDoWhatTheyAreForAndNothingElse(t *testing.T) {
	db := open(t)
	db.apply(t, "clientes", insert("Clientes", cliente("1"), at{1, 1}))
	const insufficientPrivilege = "42501"
	for _, test := range []struct {
		role, sql string
		allowed   bool
	}{
		{"consorcio_writer", "SELECT count(*) FROM consorcio.apply_clientes('[]')", true},
		{"consorcio_writer", "SELECT count(*) FROM consorcio.apply_pedidos('[]')", true},
		{"consorcio_writer", "SELECT consorcio.outbox_published('[]')", true},
		{"consorcio_writer", "SELECT count(*) FROM consorcio.clientes", false},
		{"consorcio_writer", "DELETE FROM consorcio.clientes", false},
		{"consorcio_writer", "SELECT count(*) FROM consorcio.apply('clientes', '{}', '[]', '[]')", false},
		{"consorcio_writer", "SELECT * FROM consorcio.purge('30 days')", false},
		{"consorcio_publisher", "SELECT count(*) FROM consorcio.outbox_take(1, '1 minute')", true},
		{"consorcio_publisher", "SELECT count(*) FROM consorcio.apply_clientes('[]')", false},
		{"consorcio_publisher", "SELECT count(*) FROM consorcio.outbox", false},
		{"consorcio_reader", "SELECT count(*) FROM consorcio_api.clientes", true},
		{"consorcio_reader", "SELECT count(*) FROM consorcio_api.parcelas", true},
		{"consorcio_reader", "SELECT count(*) FROM consorcio.clientes", false},
		{"consorcio_reader", "SELECT count(*) FROM consorcio.rejections", false},
		{"consorcio_auditor", "SELECT count(*) FROM consorcio.rejections", true},
		{"consorcio_auditor", "SELECT count(*) FROM consorcio.checksums", true},
		{"consorcio_auditor", "SELECT count(checksum) FROM consorcio.content_checksums", true},
		{"consorcio_auditor", "UPDATE consorcio.clientes SET nome = ''", false},
	} {
		t.Run(test.role+" "+test.sql, func(t *testing.T) {
			tx, err := db.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(t.Context()) }()
			if _, err := tx.Exec(t.Context(), "SET LOCAL ROLE "+test.role); err != nil {
				t.Fatal(err)
			}
			_, err = tx.Exec(t.Context(), test.sql)
			var pg *pgconn.PgError
			switch {
			case test.allowed && err != nil:
				t.Errorf("refused: %v", err)
			case !test.allowed && (!errors.As(err, &pg) || pg.Code != insufficientPrivilege):
				t.Errorf("error %v, want insufficient privilege", err)
			}
		})
	}
}

// TestWhoMigratesNeedNotBeASuperuser: Aurora's master user may create roles and databases, and no more.
func TestWhoMigratesNeedNotBeASuperuser(t *testing.T) {
	super := open(t) // the roles belong to the whole server: from now on they are there
	master := strings.ReplaceAll(stack.Name(t), "-", "_")
	base := master + "_db"
	execute := func(ctx context.Context, sql string) {
		t.Helper()
		if _, err := super.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	execute(t.Context(), "CREATE ROLE "+master+" LOGIN CREATEROLE CREATEDB")
	execute(t.Context(), "GRANT consorcio_owner TO "+master+" WITH ADMIN OPTION")
	execute(t.Context(), "CREATE DATABASE "+base+" OWNER "+master)
	u, err := url.Parse(super.dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.Path = url.User(master), "/"+base
	db := &database{dsn: u.String()}
	db.Conn, err = pgx.Connect(t.Context(), db.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = db.Close(ctx)
		execute(ctx, "DROP DATABASE "+base+" WITH (FORCE)")
		execute(ctx, "DROP OWNED BY "+master)
		execute(ctx, "DROP ROLE "+master)
	})
	db.migrate(t)
	db.migrate(t)
	if a := db.apply(t, "clientes", insert("Clientes", cliente("1"), at{1, 1})); a.Applied != 1 {
		t.Errorf("%+v", a)
	}
}

func TestChecksumsNameTheRowsThatDifferFromTheSource(t *testing.T) {
	db := open(t)
	db.apply(t, "clientes", insert("Clientes", cliente("9999").with("versao", "AAAAAAAAB9E="), at{1, 1}), insert("Clientes", cliente("10000").with("versao", "//////////8="), at{1, 2}),
		insert("Clientes", cliente("10001").with("versao", "gAAAAAAAAAA="), at{1, 3}), insert("Clientes", cliente("5"), at{1, 4}), remove("Clientes", "5", at{1, 5}))
	got := value[string](t, db, `SELECT string_agg(bucket || ':' || rows || ':' || checksum, ' ' ORDER BY bucket) FROM consorcio.checksums WHERE "table" = 'Clientes'`)
	// 0x7d1; 2^64-1 + 2^63
	if want := "0:1:2001 1:2:27670116110564327423"; got != want {
		t.Errorf("checksums %s, want %s", got, want)
	}
}

func TestPurgeRefusesAnAgeThatRedeliveryCanReach(t *testing.T) {
	db := open(t)
	db.apply(t, "clientes", remove("Clientes", "1", at{1, 1}), insert("Clientes", cliente("2"), at{1, 2}))
	if _, err := db.Exec(t.Context(), "SELECT * FROM consorcio.purge('13 days')"); err == nil {
		t.Error("13 days were accepted")
	}
	if _, err := db.Exec(t.Context(), "UPDATE consorcio.clientes SET applied_at = now() - interval '31 days'; UPDATE consorcio.audit SET at = now() - interval '31 days'"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), "SELECT * FROM consorcio.purge('30 days')"); err != nil {
		t.Fatal(err)
	}
	if got := value[string](t, db, "SELECT (SELECT string_agg(id::text, ' ') FROM consorcio.clientes) || ' ' || (SELECT count(*) FROM consorcio.audit)"); got != "2 0" {
		t.Errorf("left: %s, want row 2 and no audit", got)
	}
}
