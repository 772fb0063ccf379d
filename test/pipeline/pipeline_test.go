package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepconnect/stepconnect/test/scale"
)

// What `make pipeline` sets: how many transactions, and the file that the closing line goes to.
const (
	transactionsVariable = "PIPELINE_TRANSACTIONS"
	reportVariable       = "PIPELINE_REPORT"
)

// TestEveryTableEqualsItsSourceAndEveryChangeIsNotifiedOnce changes the source's tables while parts of the flow are killed and paused,
// first with Express state machines, then with Standard ones.
func TestEveryTableEqualsItsSourceAndEveryChangeIsNotifiedOnce(t *testing.T) {
	ctx := t.Context()
	transactions := scale.N(600, 50_000)
	if text := os.Getenv(transactionsVariable); text != "" {
		var err error
		if transactions, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", transactionsVariable, err)
		}
	}
	seed := rand.Uint64()
	t.Logf("%d transactions, seed %d", transactions, seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	f := start(t, seed, 30)
	f.await(ctx, t, 2*time.Minute, "the snapshot is delivered", f.reconciled)

	// A long run sees every fault with both types, and goes on with them for as long as the company works.
	express := f.phase(ctx, t, rng, transactions*4/5, scale.N(5, 15))
	f.becomeStandard(ctx, t)
	r := f.phase(ctx, t, rng, transactions/5, scale.N(2, 14))
	r.Faults += express.Faults
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d inputs were parked; %d calls of AWS had trouble\n%s", f.unparked, f.proxy.hurt.Load(), text)
	if file := os.Getenv(reportVariable); file != "" {
		if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// phase has the company work while faults happen, and verifies all that was done so far.
func (f *flow) phase(ctx context.Context, t *testing.T, rng *rand.Rand, transactions, faults int) report {
	t.Helper()
	done := make(chan error, 1)
	work, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	go func() { done <- f.company.work(work, transactions) }()
	n, err := f.suffer(ctx, t, rng, faults, done)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r := f.finish(ctx, t, 10*time.Minute)
	t.Logf("%s: %d faults, and %v after the last all was delivered and compared", f.account.kind, n, time.Since(began).Round(time.Second))
	r.Faults = n
	return r
}

// work does transactions, at most 60 in a second: there must be some while faults happen, and the emulator's two or three hundred changes
// a second must be able to follow.
func (c *company) work(ctx context.Context, transactions int) error {
	tick := time.NewTicker(time.Second / 60)
	defer tick.Stop()
	for range transactions {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := c.transact(ctx); err != nil {
			return err
		}
	}
	return nil
}

// finish has the company repair what was refused, waits until everything is delivered and published, and compares.
func (f *flow) finish(ctx context.Context, t *testing.T, within time.Duration) report {
	t.Helper()
	for _, w := range f.workers {
		w.Await(t)
	}
	f.await(ctx, t, within, "all is refused that must be", f.refused)
	if err := f.company.repair(ctx); err != nil {
		t.Fatal(err)
	}
	f.await(ctx, t, within, "both sides are equal", f.reconciled)
	f.await(ctx, t, within, "all offsets are committed", f.committed)
	f.await(ctx, t, within, "all tasks run", f.allRunning)
	f.await(ctx, t, within, "all executions have ended", f.settled)
	f.await(ctx, t, within, "all notifications are published", f.outboxEmpty)
	return f.verify(ctx, t)
}

// refused is nil when as many changes as must be are refused.
func (f *flow) refused(ctx context.Context) error {
	return f.onDestination(ctx, func(db *pgx.Conn) error {
		var n int
		if err := db.QueryRow(ctx, "SELECT count(DISTINCT change::json #>> '{key,id}') FROM consorcio.rejections").Scan(&n); err != nil {
			return err
		}
		if n < len(f.company.refused) {
			return fmt.Errorf("%d changes are refused, want %d", n, len(f.company.refused))
		}
		return nil
	})
}

// settled is nil when no execution runs and nothing is parked.
func (f *flow) settled(ctx context.Context) error {
	var errs []error
	for _, machine := range machineFiles {
		var list struct{ Executions []struct{ Name string } }
		err := f.account.call(ctx, "states", "AWSStepFunctions.ListExecutions", map[string]any{"stateMachineArn": f.account.arn(machine), "statusFilter": "RUNNING"}, &list)
		if err != nil || len(list.Executions) > 0 {
			errs = append(errs, fmt.Errorf("%d executions of %s run (%w)", len(list.Executions), machine, err))
		}
	}
	var queue struct{ Attributes map[string]string }
	err := f.account.call(ctx, "sqs", "AmazonSQS.GetQueueAttributes", map[string]any{"QueueUrl": f.account.queue, "AttributeNames": []string{"All"}}, &queue)
	if n := queue.Attributes["ApproximateNumberOfMessages"]; err != nil || n != "0" {
		errs = append(errs, fmt.Errorf("%q inputs are parked (%w)", n, err))
	}
	return errors.Join(errs...)
}

// outboxEmpty is nil when every notification is marked as published.
func (f *flow) outboxEmpty(ctx context.Context) error {
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
