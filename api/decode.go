package api

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stepconnect/stepconnect/runtime"
)

// The bodies are read as Jackson reads them for Kafka Connect, with one deliberate difference
// (docs/adr, "a body that cannot be read is the caller's mistake"): where Connect answers 500 with
// a parser's text, the answer is 400 and names the field and the position. Kept as they are:
// field names match exactly, the last of two equal names wins, numbers and booleans become the text
// they were written with, null stays null.

// decodeStringMap reads an object whose values are texts: a configuration.
func decodeStringMap(body []byte) (map[string]*string, error) {
	p, err := newBodyParser(body)
	if err != nil {
		return nil, err
	}
	return p.stringMap("")
}

// decodeCreate reads the body of POST /connectors.
func decodeCreate(body []byte) (runtime.CreateRequest, error) {
	var req runtime.CreateRequest
	p, err := newBodyParser(body)
	if err != nil {
		return req, err
	}
	var haveConfig bool
	err = p.object("", "name, config, initial_state, initial_offsets", func(key string) (known bool, err error) {
		switch key {
		case "name":
			var name *string
			if name, err = p.text(key); name != nil {
				req.Name = *name
			}
		case "config":
			if p.takeNull() {
				haveConfig = false
				break
			}
			haveConfig = true
			req.Config, err = p.stringMap(key)
		case "initial_state":
			req.InitialState, err = p.initialState(key)
		case "initial_offsets":
			req.InitialOffsets, err = p.partitionOffsets(key)
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil && !haveConfig {
		err = runtime.BadRequest(`The request body lacks the field "config": an object with the connector's configuration`)
	}
	return req, err
}

// decodeOffsets reads the body of PATCH /connectors/{c}/offsets (KIP-875). Numbers arrive in
// the maps as json.Number, so that none loses a digit.
func decodeOffsets(body []byte) ([]runtime.PartitionOffset, error) {
	p, err := newBodyParser(body)
	if err != nil {
		return nil, err
	}
	var out []runtime.PartitionOffset
	err = p.object("", "offsets", func(key string) (bool, error) {
		if key != "offsets" {
			return false, nil
		}
		out, err = p.partitionOffsets(key)
		return true, err
	})
	return out, err
}

// partitionOffsets reads an array of offsets; null is nil, which an empty array is not.
func (p *bodyParser) partitionOffsets(path string) ([]runtime.PartitionOffset, error) {
	if p.takeNull() {
		return nil, nil
	}
	out := []runtime.PartitionOffset{}
	err := p.array(path, func(path string) error {
		entry, err := p.partitionOffset(path)
		out = append(out, entry)
		return err
	})
	return out, err
}

// checkTaskConfigs reads the body of the internal POST …/tasks, which Connect parses before it looks
// at the signature.
func checkTaskConfigs(body []byte) error {
	p, err := newBodyParser(body)
	if err != nil {
		return err
	}
	return p.array("", func(path string) error {
		_, err := p.stringMap(path)
		return err
	})
}

func (p *bodyParser) partitionOffset(path string) (runtime.PartitionOffset, error) {
	var entry runtime.PartitionOffset
	err := p.object(path, "partition, offset", func(key string) (bool, error) {
		var err error
		switch key {
		case "partition":
			entry.Partition, err = p.anyMap(join(path, key))
		case "offset":
			entry.Offset, err = p.anyMap(join(path, key))
		default:
			return false, nil
		}
		return true, err
	})
	return entry, err
}

func (p *bodyParser) initialState(path string) (string, error) {
	at := p.at()
	v, err := p.text(path)
	if err != nil || v == nil {
		return "", err
	}
	state := strings.ToUpper(*v)
	if !slices.Contains([]string{"RUNNING", "PAUSED", "STOPPED"}, state) {
		return "", p.fail(path, at, fmt.Sprintf("%q is none of RUNNING, PAUSED, STOPPED", *v))
	}
	return state, nil
}
