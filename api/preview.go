package api

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime"
)

const (
	previewFields = "config, connector, topic, partition, offset, record"
	recordFields  = "key, key_base64, value, value_base64, headers, timestamp"
)

// preview answers what Kafka Connect has no endpoint for: what a connector would do with one record.
func (a *handler) preview(r *request) (answer, error) {
	req, err := decodePreview(r.body)
	if err != nil {
		return answer{}, err
	}
	return read(a.herder.Preview(r.Context(), r.param("plugin"), req))
}

// decodePreview reads the body of a preview. Keys and values are bytes: text as its UTF-8, any other JSON as it is
// written, and what is no text by key_base64 and value_base64.
func decodePreview(body []byte) (runtime.PreviewRequest, error) {
	var req runtime.PreviewRequest
	p, err := newBodyParser(body)
	if err != nil {
		return req, err
	}
	var topic, connectorName *string
	offset := int64(-1)
	err = p.object("", previewFields, func(key string) (known bool, err error) {
		switch key {
		case "config":
			req.Config, err = p.stringMap(key)
		case "connector":
			connectorName, err = p.text(key)
		case "topic":
			topic, err = p.text(key)
		case "partition":
			var n int64
			n, err = p.number(key, 31)
			req.Partition = int32(n)
		case "offset":
			offset, err = p.number(key, 63)
		case "record":
			req.Given, err = p.record(key)
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return req, err
	}
	if connectorName != nil {
		req.Connector = *connectorName
	}
	switch {
	case req.Config == nil && req.Connector == "":
		return req, runtime.BadRequest(`The request body names no connector: give "config", a configuration, or "connector", the name of one that exists`)
	case topic == nil || *topic == "":
		return req, runtime.BadRequest(`The request body lacks the field "topic": where the record is, or would be`)
	case offset < 0 && req.Given == nil:
		return req, runtime.BadRequest(`The request body lacks the record: give "partition" and "offset" of one in Kafka, or "record" with what it holds`)
	}
	req.Topic, req.Offset = *topic, max(0, offset)
	return req, nil
}

// number reads a whole number of at least 0, also as text, that fits into bits.
func (p *bodyParser) number(path string, bits int) (int64, error) {
	at := p.at()
	text, err := p.text(path)
	if err != nil {
		return 0, err
	}
	if text == nil {
		return 0, p.fail(path, at, "expected a whole number, got null")
	}
	n, err := strconv.ParseInt(*text, 10, bits+1)
	if err != nil || n < 0 {
		return 0, p.fail(path, at, "expected a whole number of at least 0, got "+strconv.Quote(*text))
	}
	return n, nil
}

func (p *bodyParser) record(path string) (*runtime.GivenRecord, error) {
	rec := &runtime.GivenRecord{Timestamp: -1}
	err := p.object(path, recordFields, func(key string) (known bool, err error) {
		at := join(path, key)
		switch key {
		case "key":
			rec.Key, err = p.bytes(at)
		case "value":
			rec.Value, err = p.bytes(at)
		case "key_base64":
			rec.Key, err = p.base64(at)
		case "value_base64":
			rec.Value, err = p.base64(at)
		case "timestamp":
			rec.Timestamp, err = p.number(at, 63)
		case "headers":
			err = p.entries(at, func(name string, _ int) error {
				v, err := p.bytes(join(at, name))
				rec.Headers = append(rec.Headers, connector.RawHeader{Key: name, Value: v})
				return err
			})
		default:
			return false, nil
		}
		return true, err
	})
	return rec, err
}

// bytes reads a value as the bytes that a producer would have sent for it.
func (p *bodyParser) bytes(path string) ([]byte, error) {
	at := p.at()
	if p.takeNull() {
		return nil, nil
	}
	var raw json.RawMessage
	if err := p.dec.Decode(&raw); err != nil {
		return nil, p.fail(path, at, err.Error())
	}
	if raw[0] != '"' {
		return raw, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, p.fail(path, at, err.Error())
	}
	return []byte(text), nil
}

func (p *bodyParser) base64(path string) ([]byte, error) {
	at := p.at()
	text, err := p.text(path)
	if err != nil || text == nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(*text)
	if err != nil {
		return nil, p.fail(path, at, "not base64: "+err.Error())
	}
	return b, nil
}
