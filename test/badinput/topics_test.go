package badinput

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// letters reads what a topic holds.
func letters(t testing.TB, topic string) []*kgo.Record {
	t.Helper()
	ends, err := world.admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	ends.Each(func(o kadm.ListedOffset) { n += max(o.Offset, 0) })
	if n == 0 {
		return nil
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(world.stack.Kafka.Addrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var all []*kgo.Record
	for int64(len(all)) < n {
		f := c.PollFetches(t.Context())
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		all = append(all, f.Records()...)
	}
	return all
}

// header gives the error header of that name, "" for none.
func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == "__connect.errors."+name {
			return string(h.Value)
		}
	}
	return ""
}

// Error codes of the Kafka protocol.
const (
	notEnoughReplicas        = int16(19)
	topicAuthorizationFailed = int16(29)
)

// refuseTopics lets brokers refuse to write to unwritable topics, with the error code given there, and to create
// uncreatable ones, as without the ACL.
func (s *stage) refuseTopics() {
	s.stack.Kafka.Cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		s.stack.Kafka.Cluster.KeepControl()
		req := r.(*kmsg.ProduceRequest)
		if len(req.Topics) != 1 {
			return nil, nil, false
		}
		name := req.Topics[0].Topic
		if name == "" {
			if info := s.stack.Kafka.Cluster.TopicIDInfo(req.Topics[0].TopicID); info != nil {
				name = info.Topic
			}
		}
		code, refused := s.unwritable.Load(name)
		if !refused {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range req.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code.(int16)
				rt.Partitions = append(rt.Partitions, rp)
			}
			res.Topics = append(res.Topics, rt)
		}
		return res, nil, true
	})
	s.stack.Kafka.Cluster.ControlKey(int16(kmsg.CreateTopics), func(r kmsg.Request) (kmsg.Response, error, bool) {
		s.stack.Kafka.Cluster.KeepControl()
		req := r.(*kmsg.CreateTopicsRequest)
		if len(req.Topics) != 1 {
			return nil, nil, false
		}
		if _, refused := s.uncreatable.Load(req.Topics[0].Topic); !refused {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		rt := kmsg.NewCreateTopicsResponseTopic()
		rt.Topic, rt.ErrorCode = req.Topics[0].Topic, topicAuthorizationFailed
		res.Topics = append(res.Topics, rt)
		return res, nil, true
	})
}
