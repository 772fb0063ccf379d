package scale_test

import (
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/scale"
)

func TestTheVariableChoosesCountsAndDurations(t *testing.T) {
	for _, c := range []struct {
		name, value string
		n           int
		d           time.Duration
	}{
		{"unset is short", "", 5, time.Second},
		{"long is long", "long", 500, time.Minute},
		{"anything else is short", "longer", 5, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(scale.Variable, c.value)
			if got := scale.N(5, 500); got != c.n {
				t.Errorf("N = %d, want %d", got, c.n)
			}
			if got := scale.D(time.Second, time.Minute); got != c.d {
				t.Errorf("D = %v, want %v", got, c.d)
			}
		})
	}
}
