package deadletter

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

func header(key, value string) connector.RawHeader {
	return connector.RawHeader{Key: key, Value: []byte(value)}
}

// context is an error context as Kafka Connect writes it.
func context(topic, partition, offset, conn string) []connector.RawHeader {
	var out []connector.RawHeader
	for _, kv := range [][2]string{{"topic", topic}, {"partition", partition}, {"offset", offset}, {"connector.name", conn}, {"task.id", "3"},
		{"stage", "TASK_PUT"}, {"class.name", "C"}, {"exception.class.name", "a.b.Refused"}, {"exception.message", "no"}, {"exception.stacktrace", "a.b.Refused: no"}} {
		out = append(out, header(task.ErrorHeaderPrefix+kv[0], kv[1]))
	}
	return out
}

func letter(headers ...connector.RawHeader) *task.Message {
	return &task.Message{Partition: task.Partition{Topic: "dlq", ID: 1}, Offset: 7, Timestamp: 1000, Key: []byte("k"), Value: []byte("v"), Headers: headers}
}

func TestALetterIsReadBackAsItWasConsumedFirst(t *testing.T) {
	own, foreign := header("own", "x"), context("older", "9", "9", "before")
	tests := []struct {
		name     string
		headers  []connector.RawHeader
		topic    string
		offset   int64
		left     []connector.RawHeader
		attempts int
		problem  string
	}{
		{"with Kafka Connect's context", append([]connector.RawHeader{own}, context("t", "2", "5", "c")...), "t", 5, []connector.RawHeader{own}, 1, ""},
		{"with no headers of its own", context("t", "2", "5", "c"), "t", 5, nil, 1, ""},
		{"consumed from another dead letter queue, whose context is kept", slices.Concat(foreign, context("t", "2", "5", "c")), "t", 5, foreign, 1, ""},
		{"after two replays", append(context("t", "2", "5", "c"), header(task.AttemptsHeader, "3")), "t", 5, nil, 3, ""},
		{"without context", []connector.RawHeader{own}, "", -1, []connector.RawHeader{own}, 1, ""},
		{"with an offset that is no number", context("t", "2", "5x", "c"), "", -1, nil, 1, `header __connect.errors.offset of the dead letter at 1:7 is "5x"`},
		{"with a negative offset", context("t", "2", "-5", "c"), "", -1, nil, 1, `is "-5"`},
		{"with a partition that does not fit", context("t", "2147483648", "5", "c"), "", -1, nil, 1, "errors.partition"},
		{"with an empty topic", context("", "2", "5", "c"), "", -1, nil, 1, "errors.topic"},
		{"with hostile attempts", append(context("t", "2", "5", "c"), header(task.AttemptsHeader, strings.Repeat("9", 500))), "", -1, nil, 1, "no number of attempts"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := letter(tt.headers...)
			l, err := Read(m)
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) || len(err.Error()) > 300 || l.Placed() {
					t.Errorf("%v %+v", err, l)
				}
				return
			}
			if err != nil || l.Origin.Topic != tt.topic || l.Origin.Offset != tt.offset || l.Attempts != tt.attempts || l.Partition != 1 || l.Offset != 7 {
				t.Errorf("%v %+v", err, l)
			}
			same := slices.EqualFunc(l.Origin.Headers, tt.left, func(a, b connector.RawHeader) bool {
				return a.Key == b.Key && string(a.Value) == string(b.Value)
			})
			if !same || string(l.Origin.Key) != "k" || string(l.Origin.Value) != "v" || l.Origin.Timestamp != 1000 {
				t.Errorf("%+v", l.Origin)
			}
			if tt.topic != "" && (l.Connector != "c" || l.Task != 3 || l.Stage != "TASK_PUT" || l.Exception != "a.b.Refused" || l.Message != "no" || l.Origin.ID != 2) {
				t.Errorf("%+v", l)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add("__connect.errors.topic", []byte("t"), "__connect.errors.offset", []byte("5"))
	f.Add("__stepconnect.errors.attempts", []byte("-1"), "own", []byte("x"))
	f.Add("__connect.errors.partition", []byte("99999999999999999999"), "__connect.errors.topic", []byte("\xff"))
	f.Fuzz(func(t *testing.T, k1 string, v1 []byte, k2 string, v2 []byte) {
		headers := append(context("t", "2", "5", "c"), connector.RawHeader{Key: k1, Value: v1}, connector.RawHeader{Key: k2, Value: v2})
		l, err := Read(letter(headers...))
		if err != nil && l.Placed() || l.Placed() && (l.Origin.Offset < 0 || l.Origin.ID < 0 || l.Attempts < 1) {
			t.Errorf("%v %+v", err, l)
		}
		if n := len(l.Context) + len(l.Origin.Headers); n > len(headers) {
			t.Errorf("%d headers came from %d", n, len(headers))
		}
	})
}

func at[T any](v T) *T { return &v }

func TestEachFieldOfAFilterMustHold(t *testing.T) {
	l, err := Read(letter(context("t", "2", "5", "c")...))
	if err != nil {
		t.Fatal(err)
	}
	bare, _ := Read(letter())
	tests := []struct {
		name       string
		yes, no    store.DeadLetterFilter
		onlyPlaced bool
	}{
		{"topic", store.DeadLetterFilter{Topic: "t"}, store.DeadLetterFilter{Topic: "u"}, true},
		{"partition", store.DeadLetterFilter{Partition: at(int32(2))}, store.DeadLetterFilter{Partition: at(int32(1))}, true},
		{"first offset", store.DeadLetterFilter{OffsetMin: at(int64(5))}, store.DeadLetterFilter{OffsetMin: at(int64(6))}, true},
		{"last offset", store.DeadLetterFilter{OffsetMax: at(int64(5))}, store.DeadLetterFilter{OffsetMax: at(int64(4))}, true},
		{"stage", store.DeadLetterFilter{Stage: "TASK_PUT"}, store.DeadLetterFilter{Stage: "TRANSFORMATION"}, true},
		{"exception class", store.DeadLetterFilter{Exception: "a.b.Refused"}, store.DeadLetterFilter{Exception: "b.Ref"}, true},
		{"exception class by its last part", store.DeadLetterFilter{Exception: "Refused"}, store.DeadLetterFilter{Exception: "used"}, true},
		{"since", store.DeadLetterFilter{Since: at(time.UnixMilli(1000))}, store.DeadLetterFilter{Since: at(time.UnixMilli(1001))}, false},
		{"until", store.DeadLetterFilter{Until: at(time.UnixMilli(1000))}, store.DeadLetterFilter{Until: at(time.UnixMilli(999))}, false},
		{"letter", store.DeadLetterFilter{Letter: "1:7"}, store.DeadLetterFilter{Letter: "0:7"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			both := tt.yes
			both.Letter = "1:8"
			if !Match(&tt.yes, &l) || Match(&tt.no, &l) || Match(&both, &l) || Match(&tt.yes, &bare) == tt.onlyPlaced {
				t.Errorf("%t %t %t %t", Match(&tt.yes, &l), Match(&tt.no, &l), Match(&both, &l), Match(&tt.yes, &bare))
			}
		})
	}
}

func done(id string, action store.DeadLetterAction, below int64, f store.DeadLetterFilter) store.DeadLetterOperation {
	return store.DeadLetterOperation{ID: id, Action: action, Topic: "dlq", Filter: f, Outcome: store.LettersDone, Bounds: []store.LetterBound{{Partition: 1, Below: below}}}
}

func TestTheFirstOperationThatTookALetterDecidesAboutIt(t *testing.T) {
	l, _ := Read(letter(context("t", "2", "5", "c")...))
	bare, _ := Read(letter())
	none := store.DeadLetterFilter{}
	open := done("o", store.ReplayLetters, 8, none)
	open.Outcome = ""
	for name, tt := range map[string]struct {
		ops        []store.DeadLetterOperation
		want, bare State
	}{
		"none":                          {nil, Open, Unplaced},
		"a replay before it came":       {[]store.DeadLetterOperation{done("a", store.ReplayLetters, 7, none)}, Open, Unplaced},
		"a replay":                      {[]store.DeadLetterOperation{done("a", store.ReplayLetters, 8, none)}, Replayed, Unplaced},
		"a replay of others":            {[]store.DeadLetterOperation{done("a", store.ReplayLetters, 8, store.DeadLetterFilter{Topic: "u"})}, Open, Unplaced},
		"a drop":                        {[]store.DeadLetterOperation{done("a", store.DropLetters, 8, none)}, Dropped, Dropped},
		"a drop and a replay":           {[]store.DeadLetterOperation{done("a", store.DropLetters, 8, none), done("b", store.ReplayLetters, 8, none)}, Dropped, Dropped},
		"a replay that is under way":    {[]store.DeadLetterOperation{open}, Running, Unplaced},
		"a replay of another partition": {[]store.DeadLetterOperation{{Outcome: store.LettersDone, Action: store.ReplayLetters, Bounds: []store.LetterBound{{Partition: 0, Below: 99}}}}, Open, Unplaced},
	} {
		if got := StateOf(tt.ops, &l); got != tt.want {
			t.Errorf("%s: %s", name, got)
		}
		if got := StateOf(tt.ops, &bare); got != tt.bare {
			t.Errorf("%s, without context: %s", name, got)
		}
	}
}

func TestPruningForgetsOnlyWhatLaterOperationsOrRetentionMakeSuperfluous(t *testing.T) {
	some, none := store.DeadLetterFilter{Stage: "TASK_PUT"}, store.DeadLetterFilter{}
	open := done("open", store.ReplayLetters, 50, none)
	open.Outcome = ""
	for name, tt := range map[string]struct {
		ops  []store.DeadLetterOperation
		low  int64
		want string
	}{
		"a later replay of everything":                {[]store.DeadLetterOperation{done("a", store.ReplayLetters, 10, some), done("b", store.ReplayLetters, 20, none)}, 0, "b"},
		"a later drop of everything":                  {[]store.DeadLetterOperation{done("a", store.ReplayLetters, 10, some), done("b", store.DropLetters, 20, none)}, 0, "b"},
		"a later replay does not undo a drop":         {[]store.DeadLetterOperation{done("a", store.DropLetters, 10, some), done("b", store.ReplayLetters, 20, none)}, 0, "a b"},
		"a later replay of less":                      {[]store.DeadLetterOperation{done("a", store.ReplayLetters, 20, some), done("b", store.ReplayLetters, 10, none)}, 0, "a b"},
		"a later operation by filter":                 {[]store.DeadLetterOperation{done("a", store.ReplayLetters, 10, none), done("b", store.ReplayLetters, 20, some)}, 0, "a b"},
		"a later one that is under way":               {[]store.DeadLetterOperation{done("a", store.ReplayLetters, 10, none), open}, 0, "a open"},
		"letters that are gone":                       {[]store.DeadLetterOperation{done("a", store.ReplayLetters, 10, some), done("b", store.DropLetters, 20, some)}, 10, "b"},
		"an operation under way, its letters be gone": {[]store.DeadLetterOperation{open}, 99, "open"},
	} {
		var got []string
		for _, op := range Prune(tt.ops, map[int32]int64{1: tt.low}) {
			got = append(got, op.ID)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := Prune([]store.DeadLetterOperation{done("a", store.ReplayLetters, 10, some)}, nil); len(got) != 1 {
		t.Error("forgotten although nobody knows what is left in the queue")
	}
}
