package transform

import (
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

func timeRouterDef() *config.Def {
	return config.New(
		config.Key{Name: "topic.format", Default: "${topic}-${timestamp}", Importance: config.High,
			Doc: "Format string which can contain ${topic} and ${timestamp} as placeholders for the topic and timestamp, respectively."},
		config.Key{Name: "timestamp.format", Default: "yyyyMMdd", Importance: config.High, Validate: dateValidator(),
			Doc: "Format string for the timestamp that is compatible with java.text.SimpleDateFormat, of the letters " + dateLetters + "."},
	)
}

type timeRouter struct {
	format  string
	pattern *datePattern
}

func newTimeRouter(v config.Values) (connector.Transform, error) {
	p, err := parseDatePattern(v.String("timestamp.format"))
	return &timeRouter{v.String("topic.format"), p}, err
}

func (t *timeRouter) Apply(r *connector.Record) (*connector.Record, error) {
	if r.Timestamp.IsZero() {
		return nil, dataError("Timestamp missing on record: topic %s, partition %d, offset %d", r.Origin.Topic, r.Origin.Partition, r.Origin.Offset)
	}
	var room [32]byte
	text := string(t.pattern.format(room[:0], r.Timestamp.UnixMilli()))
	// The topic first, as in Kafka: a topic that holds ${timestamp} has it replaced too.
	topic := strings.ReplaceAll(t.format, "${topic}", r.Topic)
	r.Topic = strings.ReplaceAll(topic, "${timestamp}", text)
	return r, nil
}
