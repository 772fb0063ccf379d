package runtime

import (
	"testing"
	"time"
)

func TestATasksConsumerHasTheWorkersSessionUnlessSomebodySaysOtherwise(t *testing.T) {
	for name, tt := range map[string]struct {
		worker, connector  map[string]string
		session, heartbeat string
		lease              time.Duration // of a configured 5 s
	}{
		"nobody says anything":           {nil, nil, "10000", "1000", 5 * time.Second},
		"the worker's own":               {map[string]string{"session.timeout.ms": "6000"}, nil, "6000", "600", 5 * time.Second},
		"a short one of the worker's":    {map[string]string{"session.timeout.ms": "3000"}, nil, "3000", "300", 1500 * time.Millisecond},
		"the worker's for its consumers": {map[string]string{"session.timeout.ms": "6000", "consumer.session.timeout.ms": "45000"}, nil, "45000", "1000", 5 * time.Second},
		"the connector's":                {map[string]string{"consumer.session.timeout.ms": "45000"}, map[string]string{"consumer.override.session.timeout.ms": " 4000 "}, " 4000 ", "400", 2 * time.Second},
		"a heartbeat of the connector's": {nil, map[string]string{"consumer.override.heartbeat.interval.ms": "500"}, "10000", "500", 5 * time.Second},
		"one that cannot be read":        {nil, map[string]string{"consumer.override.session.timeout.ms": "soon"}, "soon", "", 5 * time.Second},
		"the broker's (KIP-848)":         {nil, map[string]string{"consumer.override.group.protocol": "consumer", "consumer.override.session.timeout.ms": "1000"}, "1000", "100", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			props := clientProps{worker: tt.worker, connector: tt.connector, name: "c"}.consumer(0)
			if props["session.timeout.ms"] != tt.session || props["heartbeat.interval.ms"] != tt.heartbeat {
				t.Errorf("session %q and heartbeat %q, want %q and %q", props["session.timeout.ms"], props["heartbeat.interval.ms"], tt.session, tt.heartbeat)
			}
			if got := lease(5*time.Second, props); got != tt.lease {
				t.Errorf("lease %v, want %v", got, tt.lease)
			}
		})
	}
}
