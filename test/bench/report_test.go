package bench

import (
	"testing"
	"time"
)

func TestCodecTakesTheWorstTableAndTheBestRunOfEach(t *testing.T) {
	got, err := Codec(`goos: linux
BenchmarkTranscode/clientes/ours-2         	  167486	      2000 ns/op	 444.62 MB/s	       0 B/op	       0 allocs/op
BenchmarkTranscode/clientes/ours-2         	  167486	      1000 ns/op	 444.62 MB/s	       0 B/op	       0 allocs/op
BenchmarkTranscode/clientes/twmb-2         	   10000	     40000 ns/op	  19.60 MB/s	   13405 B/op	     282 allocs/op
BenchmarkTranscode/clientes/goavro-2       	   10000	     10 ns/op
BenchmarkTranscode/pedidos/ours-2          	  295423	      1000.5 ns/op	 133.89 MB/s	       0 B/op	       0 allocs/op
BenchmarkTranscode/pedidos/twmb-2          	   10000	     20010 ns/op
PASS`)
	if err != nil || got != 20 {
		t.Fatalf("got %v, %v; want 20", got, err)
	}
	if _, err := Codec("PASS\n"); err == nil {
		t.Error("an output without pairs gives no error")
	}
}

func TestTheSummaryComparesTheWorkerWithTheBareLoopOfTheSameCase(t *testing.T) {
	result := func(name string, s Subject, cpu, took time.Duration, rss int) Result {
		return Result{Case: Case{Name: name, Subject: s}, Cost: Cost{CPU: cpu, RSS: rss}, Events: 1000, Took: took}
	}
	got := Summarize([]Result{
		result("batch50", Bare, 10*time.Second, time.Second, 900),
		result("batch50", Worker, 7*time.Second, 2*time.Second, 100),
		result("batch50_express", Worker, time.Second, time.Second, 120),
		result("single", Bare, time.Second, time.Second, 1),
	}, 22.222, 12.345)
	want := Summary{Batch50: Ratio{CPU: 0.7, Rate: 0.5}, Codec: 22.22, RSS: 120, P99: 12.35}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTwoRoundsOfACaseGiveTheLeastTimesAndTheHighestMemory(t *testing.T) {
	one := Result{Cost: Cost{CPU: 3 * time.Second, RSS: 10}, Took: time.Second, Allocs: 7}
	two := Result{Cost: Cost{CPU: 2 * time.Second, RSS: 20}, Took: 2 * time.Second, Allocs: 8}
	want := Result{Cost: Cost{CPU: 2 * time.Second, RSS: 20}, Took: time.Second, Allocs: 8}
	if got := one.better(two); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
