package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// aliases maps the second names of librdkafka properties to the first. A client is configured in
// random order, so a property that is given under two names would take either value.
func aliases() map[string]string {
	return map[string]string{
		"metadata.broker.list":                              "bootstrap.servers",
		"sasl.mechanisms":                                   "sasl.mechanism",
		"max.partition.fetch.bytes":                         "fetch.message.max.bytes",
		"max.in.flight":                                     "max.in.flight.requests.per.connection",
		"queue.buffering.max.ms":                            "linger.ms",
		"message.send.max.retries":                          "retries",
		"compression.codec":                                 "compression.type",
		"request.required.acks":                             "acks",
		"message.timeout.ms":                                "delivery.timeout.ms",
		"sasl.oauthbearer.client.credentials.client.id":     "sasl.oauthbearer.client.id",
		"sasl.oauthbearer.client.credentials.client.secret": "sasl.oauthbearer.client.secret",
	}
}

// forbidden lists the properties that no file or REST call may set, because they load native code
// into the worker or change the shape of the client that this package relies on.
func forbidden(name string) string {
	switch {
	case name == "plugin.library.paths" || name == "ssl.engine.location" || name == "ssl.providers":
		return "it loads native code into the worker"
	case name == "sasl.kerberos.kinit.cmd":
		return "it runs a command, and the bundled librdkafka has no Kerberos"
	case strings.HasPrefix(name, "go."), name == "log.queue", name == "enabled_events", name == "internal.termination.signal":
		return "it is the host's own"
	}
	return ""
}

// settings are the librdkafka properties of one client, under their first names and without empty values.
type settings map[string]string

func newSettings(props map[string]string) (settings, error) {
	second := aliases()
	s := make(settings, len(props)+8)
	for _, name := range slices.Sorted(maps.Keys(props)) {
		value := props[name]
		if value == "" {
			continue // librdkafka takes an empty value for an error
		}
		if why := forbidden(name); why != "" {
			return nil, fmt.Errorf("client property %s cannot be set: %s; remove it", name, why)
		}
		first := name
		if f, ok := second[name]; ok {
			first = f
		}
		if old, ok := s[first]; ok && old != value {
			return nil, fmt.Errorf("client property %s is set twice, as %s too, with different values; keep one", first, name)
		}
		s[first] = value
	}
	s["enable.metrics.push"] = "false"
	return s, nil
}

func (s settings) preset(name, value string) {
	if _, ok := s[name]; !ok {
		s[name] = value
	}
}

// verbose says whether the user asked for librdkafka's own log lines; without that it says nothing
// but error events, which the clients of this package turn into log records of their own.
func (s settings) verbose() bool {
	_, level := s["log_level"]
	_, debug := s["debug"]
	return level || debug
}

// configMap is what a client is made from.
func (s settings) configMap() *ck.ConfigMap {
	keepLess()
	m := make(ck.ConfigMap, len(s)+2)
	for k, v := range s {
		m[k] = v
	}
	if s.verbose() {
		m["go.logs.channel.enable"] = true
	} else {
		m["log_level"] = "0"
	}
	return &m
}

// explain names what a connection was tried with, never a secret.
func (s settings) explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bootstrap.servers=%s, security.protocol=%s", s["bootstrap.servers"], s.protocol())
	if s.sasl() {
		fmt.Fprintf(&b, ", sasl.mechanism=%s", s["sasl.mechanism"])
		if user := s["sasl.username"]; user != "" {
			fmt.Fprintf(&b, ", sasl.username=%s", user)
		}
	}
	return b.String()
}

func (s settings) protocol() string {
	if p := s["security.protocol"]; p != "" {
		return strings.ToUpper(p)
	}
	return "PLAINTEXT"
}

func (s settings) sasl() bool { return strings.HasPrefix(s.protocol(), "SASL") }

// secretProperty tells the properties whose values never appear in a message.
func secretProperty(name string) bool {
	for _, part := range []string{"password", "secret", "passphrase", ".pem", "jaas", "oauthbearer.config", "certificate.chain", "keystore.key"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// redact takes secrets out of an error of the client: librdkafka quotes the values it refuses, cut at 128 bytes.
func (s settings) redact(err error) error {
	text := err.Error()
	for name, value := range s {
		if !secretProperty(name) || value == "" {
			continue
		}
		text = strings.ReplaceAll(text, value, "[hidden]")
		for n := len(value) - 1; n >= 4; n-- {
			if cut, ok := strings.CutSuffix(text, value[:n]); ok {
				text = cut + "[hidden]"
				break
			}
		}
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// openError says which client could not be made, why, and with what.
func (s settings) openError(what string, err error) error {
	return fmt.Errorf("open kafka %s (%s): %w", what, s.explain(), s.redact(err))
}

// forwardLogs writes librdkafka's log lines to log until the client closes its channel.
func forwardLogs(lines <-chan ck.LogEvent, log *slog.Logger) {
	for l := range lines {
		switch {
		case l.Level <= 3:
			log.Error(l.Message, "tag", l.Tag)
		case l.Level == 4:
			log.Warn(l.Message, "tag", l.Tag)
		case l.Level <= 6:
			log.Info(l.Message, "tag", l.Tag)
		default:
			log.Debug(l.Message, "tag", l.Tag)
		}
	}
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
