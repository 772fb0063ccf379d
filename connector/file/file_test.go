package file

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/connector/connectortest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func values(t *testing.T, raw map[string]string) config.Values {
	t.Helper()
	v, err := New("1", nil).Config().Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func TestFileStreamSinkIsASink(t *testing.T) {
	connectortest.Run(t, func(t *testing.T) connectortest.Subject {
		path := filepath.Join(t.TempDir(), "out")
		refused := map[int64]bool{}
		return connectortest.Subject{
			New: func(t *testing.T, tc connector.TaskContext) connector.Sink {
				s, err := New("1", nil).NewSink(t.Context(), values(t, map[string]string{"file": path}), tc)
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			Record: func(key string, offset int64) *connector.Record {
				var v connector.Value
				if !refused[offset] {
					v = connector.NewValue(nil, strconv.FormatInt(offset, 10))
				}
				return &connector.Record{Topic: "t", Value: v, Origin: connector.Origin{Topic: "t", Offset: offset, Key: []byte(key)}}
			},
			Delivered: func() []int64 {
				var got []int64
				b, err := os.ReadFile(path)
				if err != nil {
					return nil
				}
				for _, l := range strings.Fields(string(b)) {
					n, err := strconv.ParseInt(l, 10, 64)
					if err != nil {
						t.Error(err)
					}
					got = append(got, n)
				}
				return got
			},
		}
	})
}

func TestAFileThatCannotBeOpenedFailsTheTaskAndIsNotRetried(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "out")
	_, err := New("1", nil).NewSink(t.Context(), values(t, map[string]string{"file": path}), connectortest.Context(t))
	if err == nil || !strings.Contains(err.Error(), "Couldn't find or create file '"+path+"'") {
		t.Fatal(err)
	}
	if class, _ := connector.Classify(err); class != connector.ClassFatal {
		t.Errorf("class %d", class)
	}
}

func TestWithoutAFileValuesGoToStandardOutput(t *testing.T) {
	var out bytes.Buffer
	s, err := New("1", &out).NewSink(t.Context(), values(t, nil), connectortest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(t.Context(), []*connector.Record{{Value: connector.NewValue(nil, "a")}, {}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil || out.String() != "a\nnull\n" {
		t.Errorf("%q %v", out.String(), err)
	}
}

func TestAnExistingFileIsAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	for i := range 2 {
		s, err := New("1", nil).NewSink(t.Context(), values(t, map[string]string{"file": path}), connectortest.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Deliver(t.Context(), []*connector.Record{{Value: connector.NewValue(nil, fmt.Sprint("run", i))}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := lines(t, path); len(got) != 2 || got[1] != "run1" {
		t.Error(got)
	}
}

func TestValuesAreWrittenAsJavaPrintsThem(t *testing.T) {
	str := &connector.Schema{Type: connector.String}
	person := &connector.Schema{Type: connector.Struct, Fields: []connector.Field{{Name: "f", Schema: str}, {Name: "g", Schema: str}, {Name: "n", Schema: &connector.Schema{Type: connector.Int32}}}}
	tests := []struct {
		name   string
		schema *connector.Schema
		native any
		want   string
	}{
		{"a text with line feeds stays as it is", nil, "a\nb", "a\nb"},
		{"a number without a fraction", nil, connector.Number("1"), "1"},
		{"a large integer keeps every digit", nil, connector.Number("12345678901234567890"), "12345678901234567890"},
		{"a fraction", nil, connector.Number("2.5"), "2.5"},
		{"an exponent", nil, connector.Number("1e3"), "1000.0"},
		{"a large exponent", nil, connector.Number("1e10"), "1.0E10"},
		{"a small number", nil, connector.Number("0.00012"), "1.2E-4"},
		{"a boolean", nil, true, "true"},
		{"a float32", &connector.Schema{Type: connector.Float32}, float32(0.1), "0.1"},
		{"a float64 without a fraction", &connector.Schema{Type: connector.Float64}, 3.0, "3.0"},
		{"bytes stay as they are", &connector.Schema{Type: connector.Bytes}, []byte("raw"), "raw"},
		{"a list", nil, []any{connector.Number("1"), "x", nil}, "[1, x, null]"},
		{"a map in the order of the wire", nil, &connector.MapValue{Entries: []connector.Entry{{Key: "b", Value: connector.Number("1")}, {Key: "a", Value: nil}}}, "{b=1, a=null}"},
		{"a struct without its null fields", person, &connector.StructValue{Schema: person, Values: []any{"v", nil, int32(3)}}, "Struct{f=v,n=3}"},
		{"a date", &connector.Schema{Type: connector.Int32, Name: connector.NameDate}, int32(1), "1970-01-02"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := appendText(&b, connector.NewValue(tt.schema, tt.native)); err != nil || b.String() != tt.want {
				t.Errorf("%q %v", b.String(), err)
			}
		})
	}
}

func TestTheDefinitionIsKafkasAndKeepsPartitionsInOrder(t *testing.T) {
	d := New("1", nil).Config()
	if infos := d.Infos(); len(infos) != 1 || infos[0].Name != "file" || infos[0].OrderInGroup != -1 {
		t.Errorf("%+v", infos)
	}
	if got := values(t, nil).String("ordering"); got != "partition" {
		t.Error(got)
	}
}

func BenchmarkDeliver100Texts(b *testing.B) {
	s, err := New("1", nil).NewSink(b.Context(), func() config.Values {
		v, err := New("1", nil).Config().Parse(map[string]string{"file": filepath.Join(b.TempDir(), "out")})
		if err != nil {
			b.Fatal(err)
		}
		return v
	}(), connectortest.Context(b))
	if err != nil {
		b.Fatal(err)
	}
	var batch []*connector.Record
	for range 100 {
		batch = append(batch, &connector.Record{Value: connector.NewValue(nil, strings.Repeat("x", 200))})
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Deliver(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
