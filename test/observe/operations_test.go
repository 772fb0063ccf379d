package observe

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheRunbookNamesEachAlarm holds docs/OPERATIONS.md against the alerts of the chart and the alarms of CloudFormation.
func TestTheRunbookNamesEachAlarm(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	runbook := read("../../docs/OPERATIONS.md")
	for path, name := range map[string]string{
		"../../charts/stepconnect/files/alerts.yaml":   `(?m)^ *- alert: (\S+)`,
		"../../configs/cloudformation/monitoring.yaml": `(?m)^ *AlarmName: !Sub \$\{Project\}-(\S+)`,
	} {
		found := regexp.MustCompile(name).FindAllStringSubmatch(read(path), -1)
		if len(found) < 10 {
			t.Errorf("%s: %d names found", path, len(found))
		}
		for _, m := range found {
			if !strings.Contains(runbook, "`"+m[1]+"`") {
				t.Errorf("docs/OPERATIONS.md says nothing of %s (%s)", m[1], path)
			}
		}
	}
}
