package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/runtime/metric"
)

func TestCloudWatchsMetricsAreMadeFromDeclaredOnes(t *testing.T) {
	families, err := metric.Families(plugins())
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]metric.Family{}
	for _, f := range families {
		declared[f.Name] = f
	}
	for from, labels := range metric.EMFSources() {
		f, ok := declared[from]
		if !ok {
			t.Errorf("CloudWatch's metrics need %s, which nobody declares", from)
		}
		for _, l := range labels {
			if !slices.Contains(f.Labels, l) {
				t.Errorf("%s has no label %s, only %s", from, l, strings.Join(f.Labels, ", "))
			}
		}
	}
}
