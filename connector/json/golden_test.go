package json

import (
	"testing"

	"github.com/stepconnect/stepconnect/connector/primitive/convertertest"
)

func TestEveryRuleOfTheJsonConverterInItsThreeRoles(t *testing.T) {
	convertertest.Run(t, Plugin(), "testdata/cases.txt", convertertest.Key, convertertest.Value, convertertest.Header)
	convertertest.RequireEveryKey(t, Plugin().Config, "testdata/cases.txt")
}
