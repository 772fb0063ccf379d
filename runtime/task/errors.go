package task

import "fmt"

// Error says where the log of a partition no longer holds the position, and the remedy.
func (e *OutOfRangeError) Error() string {
	return fmt.Sprintf("%s: offset %d is not in the log any more, which holds %d to %d: the records between are gone. "+
		"Set offset.out.of.range=earliest to go on with the oldest record that is left, or alter the connector's offsets",
		e.Partition, e.Offset, e.Low, e.High)
}

// String gives topic-partition as Kafka prints it.
func (p Partition) String() string { return fmt.Sprintf("%s-%d", p.Topic, p.ID) }

// Failure is why a task stopped: which record, at which stage, and the cause.
type Failure struct {
	Partition
	Offset int64  // -1 when it is not about one record
	Stage  string // Kafka Connect's stage name: KEY_CONVERTER, VALUE_CONVERTER, HEADER_CONVERTER, TRANSFORMATION, TASK_PUT; or ""
	Class  string // of the converter, transform or sink
	Err    error
}

// Error names the record, the stage and the cause.
func (e *Failure) Error() string {
	switch {
	case e.Offset < 0 || e.Topic == "":
		return e.Err.Error()
	case e.Stage == "":
		return fmt.Sprintf("record at topic %s, partition %d, offset %d: %v", e.Topic, e.ID, e.Offset, e.Err)
	}
	return fmt.Sprintf("record at topic %s, partition %d, offset %d failed at stage %s in %s: %v",
		e.Topic, e.ID, e.Offset, e.Stage, e.Class, e.Err)
}

// Unwrap gives the cause.
func (e *Failure) Unwrap() error { return e.Err }
