package main

import (
	"math"
	"os"
	"strings"
	"testing"
)

func TestTheCostTableIsFresh(t *testing.T) {
	var b strings.Builder
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("../../cost.md")
	if err != nil || string(kept) != b.String() {
		t.Errorf("docs/cost.md is not what the prices give: run make docs (%v)", err)
	}
}

// The sums are those of contract prices worked out by hand.
func TestTheSumsAreRight(t *testing.T) {
	sp, us := regions[0], regions[1]
	for name, c := range map[string]struct{ got, want float64 }{
		"a million in Standard, N=1, sa-east-1":   {1e6 * standard(sp, batches[0], 5), 187.50},
		"a million in Standard, N=1, us-east-1":   {1e6 * standard(us, batches[0], 5), 125},
		"a million in Standard, N=100, sa-east-1": {1e6 * standard(sp, batches[2], 5), 1.875},
		"a million with a Map over 100":           {1e6 * standard(sp, batches[2], 205), 76.875},
		"a million in Express, N=1":               {1e6 * express(batches[0]), 1.208375},
		"a million in Express, N=100":             {1e6 * express(batches[2]), 0.0152},
		"a day of 1,000/s in Standard, N=1":       {86400 * 1000 * standard(sp, batches[0], 5), 16_200},
		"a duration is rounded up":                {express(batch{1, 0.201}), express(batch{1, 0.3})},
		"a duration of whole ticks is not":        {express(batch{1, 0.3}), request + gbSecond*memory*0.3},
	} {
		if math.Abs(c.got-c.want) > c.want/1000 {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	if !allowed(sp, batches[0], 100, 5) || allowed(sp, batches[0], 101, 5) || allowed(us, batches[0], 301, 4) {
		t.Error("the quotas are not those of the regions")
	}
	if thousands(1234567) != "1,234,567" || thousands(999) != "999" || dollars(0.0152) != "0.015" || dollars(12.5) != "12.50" {
		t.Error("numbers are not written as people read them")
	}
}
