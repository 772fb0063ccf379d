package states_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

// rest is the part of a change that the verifier does not look at, of usual size.
const rest = `"database":"Consorcio","schema":"dbo","table":"Clientes","before":{"id":42,"nome":"João da Conceição","cpf":"000.000.000-00","email":"joao@example.com","limite":"1234567.89","criado_em":"2026-11-24T03:45:12.1234567","ativo":true,"observacoes":null},"after":{"id":42,"nome":"João da Conceição","cpf":"000.000.000-00","email":"joao@example.org","limite":"1234567.90","criado_em":"2026-11-24T03:45:12.1234567","ativo":true,"observacoes":null},"position":{"epoch":0,"commit_lsn":"0000002a:00000f58:0003","change_lsn":"0000002a:00000f58:0002","event_serial_no":2},"committed_at":"2026-11-24T03:45:12.123Z","snapshot":false,`

func inputOf(keys []int, from int64) string {
	var b strings.Builder
	b.WriteString(`{"domain":"clientes","changes":[`)
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"operation":"update","key":{"id":%d},`+rest+`"kafka":{"topic":"clientes-alteracoes","partition":0,"offset":%d}}`, k, from+int64(i))
	}
	b.WriteString(`]}`)
	return b.String()
}

func TestTheLogIsTheSameByMethodByFileAndByHTTP(t *testing.T) {
	for _, keep := range []states.Keep{states.KeepChanges, states.KeepInputs, states.KeepHashes} {
		t.Run(fmt.Sprint("keep ", keep), func(t *testing.T) {
			clk := newClock() // no monotonic part, so that times compare after a round trip
			var file bytes.Buffer
			e := start(t, states.Options{Now: clk.Now, LogTo: &file, Keep: keep})
			c := client(t, e)
			input := inputOf([]int{1, 2}, 10)
			mustStart(t, c, clientes, "a", input)
			_, err := c.StartExecution(t.Context(), startInput(clientes, "a", input))
			wantCode(t, err, "ExecutionAlreadyExists")
			mustStart(t, c, clientes, "b", `{"other":1}`)

			remote := states.Remote{URL: e.URL()}
			byHTTP, err := remote.Log(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			log := e.Log()
			if !reflect.DeepEqual(log, byHTTP) {
				t.Fatalf("by HTTP\n%+v\nwant\n%+v", byHTTP, log)
			}
			if later, err := remote.Log(t.Context(), 2); err != nil || len(later) != 1 || later[0].Name != "b" {
				t.Fatalf("after two calls: %+v, %v", later, err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			byFile, err := states.ReadLog(strings.NewReader(file.String() + `{"seq":99,"arr`))
			if err != nil || !reflect.DeepEqual(log, byFile) {
				t.Fatalf("by file\n%+v\nwant\n%+v\n%v", byFile, log, err)
			}

			first := log[0]
			kept := [...]int{len(first.Input), len(first.Changes), len(log[2].Unread)}
			switch keep {
			case states.KeepInputs:
				if kept[0] != len(input) || kept[1] != 2 || kept[2] == 0 {
					t.Fatalf("kept %v", kept)
				}
			case states.KeepChanges:
				if kept[0] != 0 || kept[1] != 2 || kept[2] == 0 {
					t.Fatalf("kept %v", kept)
				}
			default:
				if kept != [...]int{0, 0, 0} {
					t.Fatalf("kept %v", kept)
				}
			}
			if first.InputBytes != len(input) || first.InputHash != log[1].InputHash || first.InputHash == log[2].InputHash {
				t.Fatalf("lengths and hashes of %+v", log)
			}
		})
	}
}

type brokenFile struct{}

func (brokenFile) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestALogThatCannotBeWrittenIsToldAtTheEnd(t *testing.T) {
	e, err := states.Start(t.Context(), states.Options{Machines: machines(), LogTo: brokenFile{}})
	if err != nil {
		t.Fatal(err)
	}
	mustStart(t, client(t, e), clientes, "a", "{}")
	if err := e.Close(); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Fatalf("Close() = %v", err)
	}
	if err := e.Close(); err == nil {
		t.Fatal("the second Close forgot it")
	}
}

func TestAnotherProcessCanSteerAndAskTheEndpoint(t *testing.T) {
	e := start(t, states.Options{})
	c := client(t, e)
	ctx := t.Context()
	remote := states.Remote{URL: e.URL()}
	try := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	nova := strings.Replace(clientes, "Clientes", "Nova", 1)
	try("machine", remote.SetMachine(ctx, states.Machine{Name: "Nova", Run: states.Run{Hold: true, For: time.Second}}))
	try("rules", remote.SetRules(ctx, states.Rule{Target: "StartExecution", Count: 1, Fault: states.Fault{Code: "InternalFailure", AfterEffect: true, Delay: time.Millisecond}}))
	_, err := c.StartExecution(ctx, startInput(nova, "a", inputOf([]int{1, 2}, 0)))
	wantCode(t, err, "InternalFailure")
	mustStart(t, c, nova, "a", inputOf([]int{1, 2}, 0))
	list, err := remote.Rules(ctx)
	try("rules", err)
	if len(list) != 1 || list[0].Hits != 1 || list[0].Fault.Delay != time.Millisecond || !list[0].Fault.AfterEffect {
		t.Fatalf("rules %+v", list)
	}
	s, err := remote.Wait(ctx, time.Millisecond, func(s states.Stats) bool { return s.Changes == 2 })
	try("wait", err)
	if s.Calls != 2 || s.Executions != 1 || s.Repeats != 0 || s.Outcomes[states.OutcomeRepeated] != 1 {
		t.Fatalf("stats %+v", s)
	}
	r, err := remote.Report(ctx, states.Expected{Ranges: []states.Range{{Topic: "clientes-alteracoes", From: 0, To: 3}}})
	try("report", err)
	if r.Expected != 3 || len(r.Missing) != 1 || r.Missing[0].Offset != 2 || r.Changes != 2 {
		t.Fatalf("report %+v", r)
	}
	n, err := remote.FinishAll(ctx, nova, states.Run{Status: states.Failed, Error: "E"})
	try("finish", err)
	if x := e.Executions(nova); n != 1 || x[0].Status != states.Failed || x[0].Error != "E" {
		t.Fatalf("finished %d: %+v", n, x)
	}
	try("limits", remote.SetLimits(ctx, map[string]states.Limit{states.LimitStartStandard: {Bucket: 0}}))
	_, err = c.StartExecution(ctx, startInput(nova, "b", "{}"))
	wantCode(t, err, "ThrottlingException")
	try("limits", remote.SetLimits(ctx, map[string]states.Limit{}))
	try("expired", remote.SetExpired(ctx, "AKIDTEST", true))
	_, err = c.StartExecution(ctx, startInput(nova, "b", "{}"))
	wantCode(t, err, "ExpiredTokenException")
	try("expired", remote.SetExpired(ctx, "AKIDTEST", false))
	try("remove", remote.RemoveMachine(ctx, nova))
	_, err = c.StartExecution(ctx, startInput(nova, "b", "{}"))
	wantCode(t, err, "StateMachineDoesNotExist")
	if err := remote.SetMachine(ctx, states.Machine{Name: "A", Type: "FAST"}); err == nil || !strings.Contains(err.Error(), "neither STANDARD nor EXPRESS") {
		t.Fatalf("a wrong machine: %v", err)
	}
}

func TestManyClientsAtOnceAreLoggedWithoutLossOrOverlap(t *testing.T) {
	const workers, each = 16, 50
	e := start(t, states.Options{})
	c := client(t, e)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				offset := int64(w*each + i)
				name := fmt.Sprintf("n%d", offset)
				if _, err := c.StartExecution(t.Context(), startInput(clientes, name, inputOf([]int{w}, offset))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	r := states.Verify(e.Log(), states.Expected{Ranges: []states.Range{{Topic: "clientes-alteracoes", To: workers * each}}}.All())
	if err := r.Err(); err != nil || r.Executions != workers*each || r.Changes != workers*each {
		t.Fatalf("%+v", r)
	}
	last := int64(0)
	for _, call := range e.Log() {
		if call.Seq <= last || call.Effect <= call.Seq || call.End <= call.Effect {
			t.Fatalf("order of events in %+v after %d", call, last)
		}
		last = call.Seq
	}
}

func TestCloseEndsWaitingCalls(t *testing.T) {
	e, err := states.Start(t.Context(), states.Options{Machines: machines()})
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, e)
	arrived := make(chan struct{})
	e.SetHook(func(states.Call) states.Fault {
		close(arrived)
		return states.Fault{Until: make(chan struct{})}
	})
	failed := make(chan error, 1)
	go func() {
		_, err := c.StartExecution(context.WithoutCancel(t.Context()), startInput(clientes, "n", "{}"))
		failed <- err
	}()
	<-arrived
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Fatal("the call was answered")
	}
}

func BenchmarkStartExecution(b *testing.B) {
	for _, bm := range []struct {
		name    string
		changes int
	}{{"1-change", 1}, {"50-changes", 50}} {
		b.Run(bm.name, func(b *testing.B) {
			e := start(b, states.Options{})
			h, input := handler(e, clientes, bm.changes)
			b.SetBytes(int64(len(input)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				h(i)
			}
		})
	}
}
