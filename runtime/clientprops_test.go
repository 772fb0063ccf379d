package runtime

import (
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
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

func TestATasksConsumerStandsInTheWorkersRackUnlessSomebodySaysOtherwise(t *testing.T) {
	const aliases = "sa-east-1a:sae1-az1, sa-east-1b : sae1-az2"
	for name, tt := range map[string]struct {
		worker, connector map[string]string
		want              string
	}{
		"nobody says anything":         {nil, nil, ""},
		"the worker's":                 {map[string]string{"client.rack": " r1 "}, nil, "r1"},
		"by another name":              {map[string]string{"client.rack": "sa-east-1b", "client.rack.aliases": aliases}, nil, "sae1-az2"},
		"by a name that is no alias":   {map[string]string{"client.rack": "sa-east-1c", "client.rack.aliases": aliases}, nil, "sa-east-1c"},
		"empty, as of a missing label": {map[string]string{"client.rack": "", "client.rack.aliases": aliases}, nil, ""},
		"Kafka Connect's":              {map[string]string{"client.rack": "r1", "consumer.client.rack": "r2"}, nil, "r2"},
		"the connector's":              {map[string]string{"client.rack": "r1", "consumer.client.rack": "r2"}, map[string]string{"consumer.override.client.rack": "r3"}, "r3"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (clientProps{worker: tt.worker, connector: tt.connector, name: "c"}).consumer(0)["client.rack"]; got != tt.want {
				t.Errorf("client.rack %q, want %q", got, tt.want)
			}
		})
	}
	for text, want := range map[string]string{"a": `"a" is not name:rack`, "a:": `"a:" is not name:rack`, ":b": `":b" is not name:rack`, "a:b,a:c": `"a" is named twice`} {
		if err := rackAliases("client.rack.aliases", config.SplitList(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "client.rack.aliases") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := rackAliases("client.rack.aliases", config.SplitList(aliases)); err != nil {
		t.Error(err)
	}
}
