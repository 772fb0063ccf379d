package store

import (
	"fmt"
	"strconv"
	"strings"
)

// AdoptionKey names a partition that a connector has committed positions of its own in.
type AdoptionKey struct {
	Connector, Topic string
	Partition        int32
}

// String is the key of the entry: adopted-<topic>/<partition>/<connector>. No topic name holds a slash.
func (k AdoptionKey) String() string {
	return prefixAdopted + k.Topic + "/" + strconv.Itoa(int(k.Partition)) + "/" + k.Connector
}

// Adoption is what the owner of an adopted partition keeps about it. Only the partition's owner writes it.
type Adoption struct {
	// TopicID of the topic that was adopted, "" where the cluster has none.
	TopicID string `json:"topic_id,omitempty"`
	// Epoch counts the deliberate replays that began by another tool's change of offsets, and Below bounds the records
	// that they are about, as in Replay; the two epochs add up.
	Epoch int   `json:"epoch,omitempty"`
	Below int64 `json:"below,omitempty"`
}

// EpochOf gives the part of a record's replay epoch that comes from other tools' rewinds.
func (a Adoption) EpochOf(offset int64) int {
	if offset < a.Below {
		return a.Epoch
	}
	return 0
}

// AdoptionEntry notes a partition as adopted.
func AdoptionEntry(k AdoptionKey, a Adoption) Entry { return entry(k.String(), adoptionJSON{a}) }

type adoptionJSON struct{ Adoption }

func (j *adoptionJSON) value() (Adoption, error) {
	if j.Epoch < 0 || j.Below < 0 {
		return Adoption{}, fmt.Errorf("an adoption has epoch %d below %d", j.Epoch, j.Below)
	}
	return j.Adoption, nil
}

// parseAdoptionKey splits what follows the prefix.
func parseAdoptionKey(s string) (AdoptionKey, error) {
	topic, rest, _ := strings.Cut(s, "/")
	number, connector, ok := strings.Cut(rest, "/")
	n, err := strconv.ParseInt(number, 10, 32)
	if !ok || topic == "" || connector == "" || err != nil || n < 0 || strconv.FormatInt(n, 10) != number {
		return AdoptionKey{}, fmt.Errorf("%q is not <topic>/<partition>/<connector>", s)
	}
	return AdoptionKey{Connector: connector, Topic: topic, Partition: int32(n)}, nil
}
