package transform

import (
	"testing"

	"github.com/stepconnect/stepconnect/connector"
)

// Each benchmark is of one record: the transform, and with JSON also what a sink then asks for.
func BenchmarkApply(b *testing.B) {
	value := event(b, "pedidos-u", "257")
	bench := func(name, class string, cfg map[string]string, json bool) {
		b.Run(name, func(b *testing.B) {
			transform := build(b, class, cfg)
			topic := "consorcio.ConsorcioDB.dbo.Pedidos"
			var text []byte
			b.ReportAllocs()
			for b.Loop() {
				r := &connector.Record{Topic: topic, Value: value, Timestamp: timeOfTest()}
				out, err := transform.Apply(r)
				if err != nil {
					b.Fatal(err)
				}
				if json {
					if text, err = out.Value.AppendJSON(text[:0], nil); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
	router := map[string]string{"regex": `consorcio\.ConsorcioDB\.dbo\.(.*)`, "replacement": "$1-alteracoes"}
	insert := map[string]string{"topic.field": "t", "offset.field": "o", "timestamp.field": "ts"}
	rewrite := map[string]string{"delete.tombstone.handling.mode": "rewrite", "add.fields": "op,source.commit_lsn,source.ts_ms"}
	bench("RegexRouter", "RegexRouter", router, false)
	bench("InsertField", "InsertField$Value", insert, false)
	bench("InsertField and JSON", "InsertField$Value", insert, true)
	bench("ExtractField after and JSON", "ExtractField$Value", map[string]string{"field": "after"}, true)
	bench("ExtractNewRecordState", "ExtractNewRecordState", nil, false)
	bench("ExtractNewRecordState rewrite", "ExtractNewRecordState", rewrite, false)
	bench("ExtractNewRecordState rewrite and JSON", "ExtractNewRecordState", rewrite, true)
}
