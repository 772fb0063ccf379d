package conformance

import (
	"regexp"
	"testing"
)

// The recorded worker's group had a name of its own.
var distributedExcuses = []excuse{
	{regexp.MustCompile(`expected .*Consumer group connect-conformance conflicts with Connect worker group .*, got .*Consumer group \S+ conflicts w`), "each run has a worker group of its own"},
}

func TestADistributedWorkerAnswersAsKafkaConnectDid(t *testing.T) {
	run(t, "distributed", public, distributedExcuses)
}
