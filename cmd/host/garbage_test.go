package host

import "testing"

func TestTheHeapGrowsByTheSameRoomWhateverItHolds(t *testing.T) {
	const mb = 1 << 20
	for name, tc := range map[string]struct {
		held uint64
		want int
	}{
		"before the first collection":   {0, 100},
		"little is held":                {4 * mb, 200},
		"as much as the room is held":   {32 * mb, 100},
		"more is held":                  {48 * mb, 66},
		"more than the room many times": {1 << 40, 50},
	} {
		t.Run(name, func(t *testing.T) {
			if got := growth(tc.held); got != tc.want {
				t.Errorf("%d bytes may grow by %d %%, want %d", tc.held, got, tc.want)
			}
		})
	}
}
