package metric

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// directive says which members of a line are metrics (CloudWatch embedded metric format specification).
type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []definition
}

type definition struct {
	Name string
	Unit string
}

// metadata is the member _aws.
type metadata struct {
	Timestamp         int64
	CloudWatchMetrics []directive
}

// lines writes a point: one line, or several when it has more metrics than a directive may.
func (p *point) lines(e *EMF, now time.Time) ([][]byte, error) {
	var out [][]byte
	for names := range slices.Chunk(p.order, emfMetricsOfDirective) {
		line := map[string]any{"Worker": e.Worker}
		for k, v := range p.dims {
			line[k] = v
		}
		d := directive{Namespace: e.Namespace, Dimensions: [][]string{slices.Sorted(maps.Keys(p.dims))}}
		for _, n := range names {
			d.Metrics = append(d.Metrics, definition{n, p.units[n]})
			line[n] = p.values[n]
		}
		line["_aws"] = metadata{now.UnixMilli(), []directive{d}}
		b, err := json.Marshal(line)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

func formatBound(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
