package history

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// write and read are the calls of a register.
func write(call, ret int64, v int) Op[int] {
	return Op[int]{Call: call, Return: ret, Step: func(int) (int, bool) { return v, true }, Text: fmt.Sprintf("write %d", v)}
}

func read(call, ret int64, v int) Op[int] {
	return Op[int]{Call: call, Return: ret, Step: func(s int) (int, bool) { return s, s == v }, Text: fmt.Sprintf("read %d", v)}
}

func optional(o Op[int]) Op[int] { o.Optional = true; return o }

func open(o Op[int]) Op[int] { o.Open = true; return o }

func TestAnswersAreExplainedOrNot(t *testing.T) {
	for name, tt := range map[string]struct {
		ops  []Op[int]
		want string // "" is linearizable
	}{
		"one after the other":                           {[]Op[int]{write(1, 2, 1), read(3, 4, 1)}, ""},
		"an acknowledged write is lost":                 {[]Op[int]{write(1, 2, 1), read(3, 4, 0)}, `"read 0"`},
		"a read beside the write sees either":           {[]Op[int]{write(1, 9, 1), read(2, 3, 0), read(4, 5, 1)}, ""},
		"and not the old value after the new":           {[]Op[int]{write(1, 9, 1), read(2, 3, 1), read(4, 5, 0)}, `"read 0"`},
		"a write of unknown outcome was done":           {[]Op[int]{open(write(1, 2, 1)), read(3, 4, 1)}, ""},
		"or was not":                                    {[]Op[int]{open(write(1, 2, 1)), read(3, 4, 0)}, ""},
		"or comes much later":                           {[]Op[int]{open(write(1, 2, 1)), read(3, 4, 0), write(5, 6, 2), read(7, 8, 1)}, ""},
		"and is not done twice":                         {[]Op[int]{open(write(1, 2, 1)), read(3, 4, 1), write(5, 6, 2), read(7, 8, 1)}, `"read 1"`},
		"two at once in either order":                   {[]Op[int]{write(1, 9, 1), write(2, 8, 2), read(10, 11, 1)}, ""},
		"two at once, and both are seen":                {[]Op[int]{write(1, 9, 1), write(2, 8, 2), read(3, 4, 2), read(5, 6, 1), read(10, 11, 2)}, `"read 2"`},
		"an answered write may not wait for ever":       {[]Op[int]{open(write(1, 2, 1)), write(3, 4, 1), write(5, 6, 2), read(7, 8, 1), read(9, 10, 2)}, `"read 2"`},
		"a first attempt that took effect":              {[]Op[int]{write(1, 9, 1), optional(write(1, 9, 1)), read(2, 3, 1), write(4, 5, 2), read(10, 11, 1)}, ""},
		"a first attempt that comes too late":           {[]Op[int]{write(1, 3, 1), optional(write(1, 3, 1)), write(4, 5, 2), read(6, 7, 1)}, `"read 1"`},
		"a first attempt that did not":                  {[]Op[int]{write(1, 3, 1), optional(write(1, 3, 1)), write(4, 5, 2), read(6, 7, 2)}, ""},
		"what nobody wrote is read":                     {[]Op[int]{write(1, 2, 1), open(write(3, 4, 2)), read(5, 6, 3)}, `"read 3"`},
		"many of unknown outcome take no time to judge": {many(40), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Check(0, tt.ops)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want one of %q", err, tt.want)
			}
		})
	}
}

func many(n int) (ops []Op[int]) {
	for i := range int64(n) {
		ops = append(ops, open(write(3*i, 3*i+1, int(i)+1)), read(3*i+2, 3*i+3, int(i/2)))
	}
	return ops
}

// TestWhatAnAtomicRegisterAnswersIsAlwaysExplained makes histories whose calls take effect at a moment of their own, some
// unanswered; and shows that a stale read in them is found.
func TestWhatAnAtomicRegisterAnswersIsAlwaysExplained(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	stale := 0
	for range 300 {
		var ops []Op[int]
		state, now := 0, int64(0)
		for i := range 30 {
			now += 2
			reach := int64(rng.IntN(6))
			if rng.IntN(2) == 0 {
				op := write(now-reach, now+int64(rng.IntN(6)), i+1)
				if op.Open = rng.IntN(4) == 0; !op.Open || rng.IntN(2) == 0 {
					state = i + 1
				}
				ops = append(ops, op)
			} else {
				ops = append(ops, read(now-reach, now+int64(rng.IntN(6)), state))
			}
		}
		ends, err := Check(0, ops)
		if err != nil {
			t.Fatal(err)
		}
		if len(ends) == 0 {
			t.Fatal("no end is possible")
		}
		if _, err := Check(0, append(ops, write(now+100, now+101, 1000), read(now+102, now+103, 1001))); err != nil {
			stale++
		}
	}
	if stale != 300 {
		t.Errorf("a read of what nobody wrote was found in %d of 300", stale)
	}
}
