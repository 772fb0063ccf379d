package destination

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// account plays what the state machines call: the RDS Data API on a real PostgreSQL, with its limits, and
// EventBridge and SQS, which keep what they get. fail makes calls of a kind answer errors.
type account struct {
	mu     sync.Mutex
	conn   *pgx.Conn
	fail   map[string][]error // by resource's last part; a nil passes one call
	events []event
	parked []string
	calls  map[string]int
}

// event is an entry that EventBridge took.
type event struct{ Source, DetailType, Detail, EventBusName string }

func newAccount(t *testing.T, db *database) *account {
	return &account{conn: db.connect(t), fail: map[string][]error{}, calls: map[string]int{}}
}

// reset forgets what was called and what was to fail.
func (a *account) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events, a.parked, a.fail, a.calls = nil, nil, map[string][]error{}, map[string]int{}
}

// failing makes the next n calls of a resource fail.
func (a *account) failing(resource string, n int, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range n {
		a.fail[resource] = append(a.fail[resource], taskError{name, "as the test wants"})
	}
}

// after lets n calls of a resource pass before those that fail.
func (a *account) after(resource string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail[resource] = append(a.fail[resource], make([]error, n)...)
}

func (a *account) task(t *testing.T) func(string, json.RawMessage) (any, error) {
	return func(resource string, arguments json.RawMessage) (any, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		name := resource[strings.LastIndexByte(resource, ':')+1:]
		a.calls[name]++
		if errs := a.fail[name]; len(errs) > 0 {
			a.fail[name] = errs[1:]
			if errs[0] != nil {
				return nil, errs[0]
			}
		}
		switch resource {
		case "arn:aws:states:::aws-sdk:rdsdata:executeStatement":
			return a.executeStatement(t, arguments)
		case "arn:aws:states:::aws-sdk:eventbridge:putEvents":
			return a.putEvents(arguments)
		case "arn:aws:states:::sqs:sendMessage":
			var message struct{ QueueUrl, MessageBody string }
			if err := json.Unmarshal(arguments, &message); err != nil {
				return nil, err
			}
			a.parked = append(a.parked, message.MessageBody)
			return map[string]any{"MessageId": "1"}, nil
		}
		return nil, fmt.Errorf("no such resource: %s", resource)
	}
}

// PutEvents takes ten entries; an entry whose detail says so is refused by itself.
func (a *account) putEvents(arguments json.RawMessage) (any, error) {
	var request struct{ Entries []event }
	if err := json.Unmarshal(arguments, &request); err != nil {
		return nil, err
	}
	if n := len(request.Entries); n < 1 || n > 10 {
		return nil, taskError{"EventBridge.ValidationException", fmt.Sprintf("%d entries", n)}
	}
	var results []map[string]any
	failed := 0
	for i, e := range request.Entries {
		if strings.Contains(e.Detail, "refuse-me") {
			failed++
			results = append(results, map[string]any{"ErrorCode": "InternalFailure", "ErrorMessage": "as the test wants"})
			continue
		}
		a.events = append(a.events, e)
		results = append(results, map[string]any{"EventId": fmt.Sprint(i)})
	}
	return map[string]any{"FailedEntryCount": failed, "Entries": results}, nil
}

// Limits of the RDS Data API.
const (
	maxStatement = 4 << 20
	maxResult    = 1 << 20
	maxRow       = 64 << 10
)

var named = regexp.MustCompile(`:([a-z_]+)`)

func (a *account) executeStatement(t *testing.T, arguments json.RawMessage) (any, error) {
	if len(arguments) > maxStatement {
		return nil, taskError{"RdsData.BadRequestException", "request too large"}
	}
	var request struct {
		ResourceArn, SecretArn, Database, Sql string
		Parameters                            []struct {
			Name  string
			Value struct{ StringValue *string }
		}
	}
	if err := json.Unmarshal(arguments, &request); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, p := range request.Parameters {
		if p.Value.StringValue == nil {
			return nil, taskError{"RdsData.BadRequestException", "parameter " + p.Name + " is no string"}
		}
		values[p.Name] = *p.Value.StringValue
	}
	var args []any
	sql := named.ReplaceAllStringFunc(request.Sql, func(name string) string {
		args = append(args, values[name[1:]])
		return fmt.Sprintf("$%d::text", len(args))
	})
	// The secret says who asks.
	role := pgx.Identifier{"consorcio_" + request.SecretArn}.Sanitize()
	if _, err := a.conn.Exec(t.Context(), "SET ROLE "+role); err != nil {
		return nil, err
	}
	rows, err := a.conn.Query(t.Context(), sql, args...)
	if err != nil {
		return nil, sqlError(err)
	}
	defer rows.Close()
	records, total := [][]map[string]any{}, 0
	for rows.Next() {
		columns, err := rows.Values()
		if err != nil {
			return nil, err
		}
		record, size := field(columns)
		if total += size; size > maxRow || total > maxResult {
			t.Errorf("a row of %d bytes, a result of %d: too large for the Data API", size, total)
		}
		records = append(records, record)
	}
	if err := rows.Err(); err != nil {
		return nil, sqlError(err)
	}
	return map[string]any{"Records": records, "NumberOfRecordsUpdated": 0}, nil
}

func field(columns []any) (record []map[string]any, size int) {
	for _, c := range columns {
		switch v := c.(type) {
		case nil:
			record = append(record, map[string]any{"IsNull": true})
		case string:
			record, size = append(record, map[string]any{"StringValue": v}), size+len(v)
		default:
			record, size = append(record, map[string]any{"LongValue": v}), size+8
		}
	}
	return record, size
}

func sqlError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return taskError{"RdsData.DatabaseErrorException", "ERROR: " + pg.Message + "; SQLState: " + pg.Code}
	}
	return err
}
