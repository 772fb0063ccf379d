package task

import (
	"hash/maphash"
	"testing"
)

func TestTasksOfAProcessShareWhatEachMayHoldAlone(t *testing.T) {
	crowd := new(Crowd)
	l := &loop{cfg: &Config{Settings: testSettings(), Crowd: crowd}, sched: newScheduler(limits{}, maphash.MakeSeed())}
	p := &partition{queue: l.sched.open(part0), tracker: newTracker(0)}
	p.queue.records = 60 // of 200 that a task may hold
	if over, _ := l.over(p); over {
		t.Error("a task that is not counted yet has less than the whole")
	}
	var leave []func()
	for tasks, want := range []bool{false, false, false, true, true} { // 200, 100, 66, 50, 40
		leave = append(leave, crowd.join())
		if over, under := l.over(p); over != want || under != (tasks < 1) {
			t.Errorf("%d tasks: over %v, under %v", tasks+1, over, under)
		}
	}
	p.recovering = []*delivery{{}}
	if over, _ := l.over(p); over {
		t.Error("a partition stops reading in the middle of a batch that it has to form again")
	}
	p.recovering = nil
	for _, l := range leave {
		l()
	}
	if over, _ := l.over(p); over {
		t.Error("the tasks have left, and still count")
	}
	if n := crowd.share(0); n != 1 {
		t.Errorf("a share of nothing is %d", n)
	}
}
