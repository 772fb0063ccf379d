package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// report is what a run ends with.
type report struct {
	Changes              int `json:"changes"`
	RowsCompared         int `json:"rows_compared"`
	RowsDifferent        int `json:"rows_different"`
	NotificationsMissing int `json:"notifications_missing"`
	NotificationsDouble  int `json:"notifications_double"`
	DLQ                  int `json:"dlq"`
	Faults               int `json:"faults"`
}

// verify compares both sides and everything between them once all is delivered.
func (f *flow) verify(ctx context.Context, t *testing.T) report {
	t.Helper()
	r := report{Changes: f.company.changes}
	db := connect(ctx, t, f.destinationDSN)
	for i := range comparisons {
		compared, different, described, err := comparisons[i].differences(ctx, f.sourceDB, db)
		if err != nil {
			t.Fatal(err)
		}
		r.RowsCompared += compared
		r.RowsDifferent += different
		for _, d := range described {
			t.Error(d)
		}
	}
	var unknown int
	if err := db.QueryRow(ctx, "SELECT count(*) FROM consorcio.unknown_values").Scan(&unknown); err != nil || unknown > 0 {
		t.Errorf("%d rows have a column that no change carried (%v)", unknown, err)
	}
	ids := f.verifyOutbox(ctx, t, db, &r)
	f.verifyPublished(t, ids, &r)
	f.verifyRefused(ctx, t, db, &r)
	return r
}

// verifyOutbox wants one row for each change of orders and products that was no row of the snapshot. It gives their ids.
func (f *flow) verifyOutbox(ctx context.Context, t *testing.T, db *pgx.Conn, r *report) map[string]bool {
	t.Helper()
	rows, err := db.Query(ctx, "SELECT id, domain, detail, published_at IS NOT NULL FROM consorcio.outbox")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	got := map[change]int{}
	var id, domain, detail string
	var published bool
	_, err = pgx.ForEachRow(rows, []any{&id, &domain, &detail, &published}, func() error {
		var d struct {
			Operation string
			Key       struct{ ID any }
		}
		decoder := json.NewDecoder(strings.NewReader(detail))
		decoder.UseNumber()
		if err := decoder.Decode(&d); err != nil {
			return fmt.Errorf("outbox %s: %w", id, err)
		}
		if !published {
			t.Errorf("outbox %s is not marked as published", id)
		}
		got[change{domain, d.Operation, fmt.Sprint(d.Key.ID)}]++
		ids[id] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for c, want := range f.company.news {
		if n := got[c]; n < want {
			r.NotificationsMissing += want - n
			t.Errorf("%s: %d in the outbox, want %d", c, n, want)
		}
	}
	for c, n := range got {
		if want := f.company.news[c]; n > want {
			r.NotificationsDouble += n - want
			t.Errorf("%s: %d in the outbox, want %d", c, n, want)
		}
	}
	return ids
}

// verifyPublished wants every notification published, and under no other id: then each comes once after de-duplication.
func (f *flow) verifyPublished(t *testing.T, ids map[string]bool, r *report) {
	t.Helper()
	seen := map[string]string{}
	all := events(t, f.published)
	for _, e := range all {
		var d struct{ ID string }
		if err := json.Unmarshal([]byte(e.Detail), &d); err != nil {
			t.Fatalf("event %+v: %v", e, err)
		}
		if before, ok := seen[d.ID]; ok && before != e.Detail {
			r.NotificationsDouble++
			t.Errorf("notification %s says two things: %s, %s", d.ID, before, e.Detail)
		}
		if !ids[d.ID] {
			r.NotificationsDouble++
			t.Errorf("notification %s is in no outbox", d.ID)
		}
		seen[d.ID] = e.Detail
	}
	for id := range ids {
		if _, ok := seen[id]; !ok {
			r.NotificationsMissing++
			t.Errorf("outbox %s was never published", id)
		}
	}
	t.Logf("%d notifications, published %d times", len(ids), len(all))
}

// verifyRefused wants the clients with wrong CPFs, and nothing else, in rejections and, where the answer of the machine reaches
// stepconnect, in the dead letter queue.
func (f *flow) verifyRefused(ctx context.Context, t *testing.T, db *pgx.Conn, r *report) {
	t.Helper()
	want := 0
	for _, n := range f.company.refused {
		want += n
	}
	var rejections, others int
	err := db.QueryRow(ctx, "SELECT count(DISTINCT change::json #>> '{key,id}'), count(*) FILTER (WHERE domain <> 'clientes' OR error <> 'InvalidTaxNumber') FROM consorcio.rejections").Scan(&rejections, &others)
	if err != nil || rejections != want || others > 0 {
		t.Errorf("%d changes in rejections, %d of them for another reason than a wrong CPF (%v); want %d", rejections, others, err, want)
	}
	letters, reasons := f.deadLetters(ctx, t)
	r.DLQ = letters
	for _, reason := range reasons {
		if !strings.Contains(reason, "InvalidTaxNumber") {
			t.Errorf("in the dead letter queue: %s", reason)
		}
	}
	if f.account.kind == "EXPRESS" {
		f.company.letters = want // accepted is acknowledged: of Standard's refusals only the machine knows
	}
	if letters != f.company.letters {
		t.Errorf("%d changes are in the dead letter queue, want %d", letters, f.company.letters)
	}
}

// deadLetters reads the dead letter queue: of how many rows changes are in it, and why each letter is.
func (f *flow) deadLetters(ctx context.Context, t *testing.T) (changes int, reasons []string) {
	t.Helper()
	const topic = "consorcio-dlq"
	ends, err := kadm.NewClient(f.kafka).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	client, err := kgo.NewClient(kgo.SeedBrokers(f.broker.Addr()), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	seen := map[string]bool{}
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d letters do not come: %v", left, fetches.Err())
		}
		for _, record := range fetches.Records() {
			left--
			h := map[string]string{}
			for _, header := range record.Headers {
				h[strings.TrimPrefix(header.Key, "__connect.errors.")] = string(header.Value)
			}
			seen[string(record.Key)] = true // a change that Debezium sent again is at another offset
			reasons = append(reasons, h["exception.message"])
		}
	}
	return len(seen), reasons
}
