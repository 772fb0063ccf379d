package bench

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestThePeakIsThatOfTheProgramAndNotOfWhoStartsIt(t *testing.T) {
	ballast := bytes.Repeat([]byte{1}, 64<<20) // ru_maxrss would carry it over exec
	p, err := Start(t.Context(), nil, "sleep", "60")
	if err != nil {
		t.Fatal(err)
	}
	cost, err := p.Stop()
	if err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Fatalf("sleep was to be ended by a signal: %v", err)
	}
	if cost.RSS >= len(ballast)>>20 {
		t.Errorf("sleep has used %d MB", cost.RSS)
	}
	if _, ok := highWater("Name:\tsleep\n"); ok {
		t.Error("a status without VmHWM has a peak")
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	if kb, ok := highWater(string(status)); !ok || kb < 64<<10 {
		t.Errorf("this process has a peak of %d kB, %v, with %d bytes of ballast", kb, ok, len(ballast))
	}
}
