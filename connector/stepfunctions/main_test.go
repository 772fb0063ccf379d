package stepfunctions

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(endpointVariable) != "" {
		serveBenchmark()
		return
	}
	goleak.VerifyTestMain(m)
}
