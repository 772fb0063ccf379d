package json

import (
	"testing"

	"github.com/stepconnect/stepconnect/connector/primitive/convertertest"
)

func TestEveryRuleOfTheJsonConverterInItsThreeRoles(t *testing.T) {
	convertertest.Run(t, Plugin(), "testdata/cases.txt", convertertest.Key, convertertest.Value, convertertest.Header)
	convertertest.RequireEveryKey(t, Plugin().Config, "testdata/cases.txt")
	convertertest.RequireEveryErrorText(t, map[string]string{
		"the record stands for many more values": "TestMissingFieldsDoNotTakeMemoryWithoutBound",
		"more than ":                             "TestNestingIsReadUpToTheLimitAndRefusedBeyondIt",
		"%w: it is JSON without a schema":        "TestAValueWithoutASchemaIsNoStruct",
		"%d bytes are more than %d":              "TestADecimalOfMoreBytesThanAnyHasIsRefused",
	}, "testdata/cases.txt")
}
