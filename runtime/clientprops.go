package runtime

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
)

// clientProps are the Java client properties of one connector's clients. Each client's are, from
// low to high: what the host sets, the worker's un-prefixed security (it must be repeated under
// each prefix in Kafka Connect), the worker's with the client's prefix, the connector's overrides.
type clientProps struct {
	worker    map[string]string // the worker's configuration, placeholders resolved
	connector map[string]string // the connector's, placeholders resolved
	name      string
}

// group is the consumer group of the connector.
func (p clientProps) group() string {
	for _, g := range []string{p.connector["consumer.override.group.id"], p.worker["consumer.group.id"]} {
		if g != "" {
			return g
		}
	}
	return "connect-" + p.name
}

func (p clientProps) consumer(task int) map[string]string {
	props := p.merge("consumer", map[string]string{
		"client.rack":        rackOf(p.worker),
		"group.id":           "connect-" + p.name,
		"client.id":          "connector-consumer-" + p.name + "-" + strconv.Itoa(task),
		"auto.offset.reset":  "earliest",
		"session.timeout.ms": strconv.FormatInt(p.workerSession().Milliseconds(), 10),
	})
	if _, set := props["heartbeat.interval.ms"]; !set && session(props) > 0 {
		props["heartbeat.interval.ms"] = strconv.FormatInt(min(time.Second, session(props)/10).Milliseconds(), 10)
	}
	return props
}

// rackOf is client.rack of a worker's configuration, by the name that brokers give it.
func rackOf(worker map[string]string) string {
	rack := config.Trim(worker["client.rack"])
	for _, alias := range config.SplitList(worker["client.rack.aliases"]) {
		if name, to, ok := strings.Cut(alias, ":"); ok && strings.TrimSpace(name) == rack && rack != "" {
			return strings.TrimSpace(to)
		}
	}
	return rack
}

// rackAliases validates client.rack.aliases.
func rackAliases(key string, value any) error {
	list, _ := value.([]string)
	seen := map[string]bool{}
	for _, alias := range list {
		name, rack, _ := strings.Cut(alias, ":")
		name, rack = strings.TrimSpace(name), strings.TrimSpace(rack)
		switch {
		case name == "" || rack == "":
			return config.Invalid(key, value, fmt.Sprintf("%q is not name:rack, such as sa-east-1a:sae1-az1", alias))
		case seen[name]:
			return config.Invalid(key, value, fmt.Sprintf("%q is named twice", name))
		}
		seen[name] = true
	}
	return nil
}

// workerSession is how long a worker may be silent, and with it each of its tasks: a group that waits longer for the
// dead tasks of a dead worker would keep their partitions from the tasks that have taken their place.
func (p clientProps) workerSession() time.Duration {
	if d := session(p.worker); d > 0 {
		return d
	}
	return 10 * time.Second
}

// session reads session.timeout.ms; 0 for none.
func session(props map[string]string) time.Duration {
	ms, err := strconv.ParseInt(config.Trim(props["session.timeout.ms"]), 10, 32)
	if err != nil || ms < 0 {
		return 0 // the client refuses it, in better words
	}
	return time.Duration(ms) * time.Millisecond
}

// lease bounds fencing.lease.ms, which the worker's file may have put above the session that it gives all consumers: a
// lease that outlives the session would let two members start the same change.
func lease(configured time.Duration, consumer map[string]string) time.Duration {
	if s := session(consumer); s > 0 && configured >= s && consumer["group.protocol"] != "consumer" {
		return s / 2
	}
	return configured
}

// browser is for reading a topic aside, as no member of a group.
func (p clientProps) browser() map[string]string {
	props := p.consumer(0)
	props["client.id"] = "connector-dlq-browser-" + p.name
	delete(props, "auto.offset.reset")
	return props
}

func (p clientProps) producer(task int) map[string]string {
	return p.merge("producer", map[string]string{
		"client.id": "connector-dlq-producer-" + p.name + "-" + strconv.Itoa(task),
	})
}

func (p clientProps) admin() map[string]string {
	host := map[string]string{}
	for _, k := range adminInherits() {
		if v, ok := p.worker[k]; ok {
			host[k] = v
		}
	}
	host["client.id"] = "connector-worker-adminclient-" + p.name
	return p.merge("admin", host)
}

// ClientProperties are Kafka's Java client properties of the worker's own clients: those of its internal topics and its
// group. As in Kafka Connect they are its un-prefixed keys.
func (c *WorkerConfig) ClientProperties() map[string]string {
	props := clientProps{worker: c.Raw}.merge("", map[string]string{})
	for _, k := range adminInherits() {
		if v, ok := c.Raw[k]; ok {
			props[k] = v
		}
	}
	return props
}

func (p clientProps) merge(client string, props map[string]string) map[string]string {
	for k, v := range p.worker {
		if k == "bootstrap.servers" || inherited(k) {
			props[k] = v
		}
	}
	if client != "" {
		maps.Copy(props, below(p.worker, client+"."))
		maps.Copy(props, below(p.connector, client+".override."))
	}
	return props
}

// inherited tells the un-prefixed keys of a worker that say how a client proves who it is and whom it
// trusts. ssl.client.auth is of the REST listener.
func inherited(key string) bool {
	return key == "security.protocol" || key == "security.providers" || key == "client.dns.lookup" ||
		strings.HasPrefix(key, "sasl.") || strings.HasPrefix(key, "ssl.") && key != "ssl.client.auth"
}

// adminInherits are the further un-prefixed keys that Kafka Connect hands to admin clients, which get all.
func adminInherits() []string {
	return []string{"request.timeout.ms", "retry.backoff.ms", "retry.backoff.max.ms", "reconnect.backoff.ms",
		"reconnect.backoff.max.ms", "connections.max.idle.ms", "metadata.max.age.ms", "socket.connection.setup.timeout.ms",
		"socket.connection.setup.timeout.max.ms", "send.buffer.bytes", "receive.buffer.bytes"}
}

// below gives the entries under prefix, without it.
func below(m map[string]string, prefix string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		if rest, ok := strings.CutPrefix(k, prefix); ok && rest != "" {
			out[rest] = v
		}
	}
	return out
}
