// Package scale lets one variable of the environment choose between the counts and durations of
// `make test` and those of `make test-long`.
package scale

import (
	"os"
	"time"
)

// Variable is the name of the variable: "long" chooses the long tests, anything else the short.
const Variable = "STEPCONNECT_TEST_SCALE"

// Long tells whether the long tests were asked for. Timing thresholds are asserted only then.
func Long() bool { return os.Getenv(Variable) == "long" }

// N gives a count: short in `make test`, long in `make test-long`.
func N(short, long int) int {
	if Long() {
		return long
	}
	return short
}

// D gives a duration: short in `make test`, long in `make test-long`.
func D(short, long time.Duration) time.Duration {
	if Long() {
		return long
	}
	return short
}
