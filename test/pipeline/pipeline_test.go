package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepconnect/stepconnect/test/scale"
)

// TestEveryTableEqualsItsSourceAndEveryChangeIsNotifiedOnce changes the source's tables while everything runs.
func TestEveryTableEqualsItsSourceAndEveryChangeIsNotifiedOnce(t *testing.T) {
	run(t, "EXPRESS", scale.N(400, 10_000))
}

func run(t *testing.T, kind string, transactions int) {
	ctx := t.Context()
	f := start(t, kind, 1, 30)
	f.await(ctx, t, 2*time.Minute, "the snapshot is delivered", f.reconciled)
	for range transactions {
		if err := f.company.transact(ctx); err != nil {
			t.Fatal(err)
		}
	}
	r := f.finish(ctx, t, 5*time.Minute)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", text)
}

// finish has the company repair what was refused, waits until everything is delivered and published, and compares.
func (f *flow) finish(ctx context.Context, t *testing.T, within time.Duration) report {
	t.Helper()
	f.await(ctx, t, within, "all is delivered but what was refused", f.refused)
	if err := f.company.repair(ctx); err != nil {
		t.Fatal(err)
	}
	f.await(ctx, t, within, "both sides are equal", f.reconciled)
	f.await(ctx, t, within, "all offsets are committed", f.committed)
	f.await(ctx, t, within, "all notifications are published", f.outboxEmpty)
	f.await(ctx, t, within, "all tasks run", f.allRunning)
	return f.verify(ctx, t)
}

// refused is nil when as many changes as must be are refused.
func (f *flow) refused(ctx context.Context) error {
	return f.onDestination(ctx, func(db *pgx.Conn) error {
		var n int
		if err := db.QueryRow(ctx, "SELECT count(*) FROM consorcio.rejections").Scan(&n); err != nil {
			return err
		}
		if n < len(f.company.refused) {
			return fmt.Errorf("%d changes are refused, want %d", n, len(f.company.refused))
		}
		return nil
	})
}

// outboxEmpty is nil when every notification is marked as published; it has OutboxPublisher run, as a schedule does each minute.
func (f *flow) outboxEmpty(ctx context.Context) error {
	err := f.account.call(ctx, "states", "AWSStepFunctions.StartExecution", map[string]any{"stateMachineArn": machineARN("OutboxPublisher"), "input": "{}"}, nil)
	if err != nil {
		return err
	}
	return f.onDestination(ctx, func(db *pgx.Conn) error {
		var n int
		if err := db.QueryRow(ctx, "SELECT count(*) FROM consorcio.outbox WHERE published_at IS NULL").Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%d notifications are not published", n)
		}
		return nil
	})
}
