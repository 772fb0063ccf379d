package host

import "testing"

func TestTheHeapGrowsToTheSameSizeWhateverItHolds(t *testing.T) {
	const mb = 1 << 20
	for name, tc := range map[string]struct {
		held uint64
		want int
	}{
		"before the first collection": {0, 100},
		"little is held":              {4 * mb, 200},
		"half of the aim is held":     {32 * mb, 100},
		"more is held":                {40 * mb, 60},
		"nearly all of it is held":    {60 * mb, 25},
		"far more is held":            {1 << 40, 25},
	} {
		t.Run(name, func(t *testing.T) {
			if got := growth(tc.held); got != tc.want {
				t.Errorf("%d bytes may grow by %d %%, want %d", tc.held, got, tc.want)
			}
		})
	}
}
