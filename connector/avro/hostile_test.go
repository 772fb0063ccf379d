package avro

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
)

// allocated gives how many bytes f allocates, freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// everyPass reads data in each way that there is, and gives the error of the check, which comes first.
func everyPass(t *testing.T, p *Program, data []byte) error {
	t.Helper()
	checked := p.Check(data)
	v, err := p.Value(data)
	if err != nil {
		return err
	}
	_, jsonErr := v.AppendJSON(nil, &connector.Format{})
	_, nativeErr := v.Native()
	if (checked == nil) != (jsonErr == nil) || (checked == nil) != (nativeErr == nil) {
		t.Errorf("Check says %v, AppendJSON %v, Native %v", checked, jsonErr, nativeErr)
	}
	return checked
}

func TestAValueOfFewBytesDoesNotBecomeHuge(t *testing.T) {
	var branches, nulls []string
	for i := range 1000 {
		branches = append(branches, fmt.Sprintf(`{"type":"record","name":"R%d","fields":[]}`, i))
		nulls = append(nulls, fmt.Sprintf(`{"name":"f%d","type":"null"}`, i))
	}
	for name, tc := range map[string]struct {
		schema string
		data   []byte
		most   uint64
		says   string
	}{
		"a union of a thousand types, a million times": {`{"type":"array","items":[` + strings.Join(branches, ",") + `]}`,
			append(append(zigzag(1_000_000), make([]byte, 1_000_000)...), 0), 1 << 30, "records and unions with more than 8388608 fields in all"},
		"a record of a thousand nulls, a million times": {`{"type":"array","items":{"type":"record","name":"N","fields":[` + strings.Join(nulls, ",") + `]}}`,
			append(zigzag(1_000_000), 0), 1 << 30, "records and unions with more than 8388608 fields in all"},
		"a count of 2^62 elements that are not there": {`{"type":"array","items":"string"}`, zigzag(1 << 62), 64 << 10, "[0]: data ends inside a number"},
		"a count of 2^62 entries that are not there":  {`{"type":"map","values":"string"}`, zigzag(1 << 62), 64 << 10, "[0].key: data ends inside a number"},
		"a length of 2^62 bytes that are not there":   {`"bytes"`, zigzag(1 << 62), 64 << 10, "length 4611686018427387904 is more than the 0 bytes that are left"},
		"a fixed value of a gigabyte that is not there": {`{"type":"fixed","name":"F","size":1073741824}`, []byte{1}, 64 << 10,
			"data ends: 1073741824 bytes needed, 1 left"},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, tc.schema)
			var err error
			if n := allocated(func() { err = everyPass(t, p, tc.data) }); n > tc.most {
				t.Errorf("%d bytes allocated for %d", n, len(tc.data))
			}
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %.300v, want %q", err, tc.says)
			}
			if n := allocated(func() { err = p.Check(tc.data) }); n > 64<<10 {
				t.Errorf("%d bytes allocated before it was refused", n)
			}
		})
	}
}

func TestTenMegabytesTakeMemoryInProportion(t *testing.T) {
	const size = 10 << 20
	for name, tc := range map[string]struct {
		schema string
		data   []byte
		most   uint64 // times its bytes, over all passes
	}{
		"of text":                {`"string"`, append(zigzag(size), bytes.Repeat([]byte("x"), size)...), 6},
		"of bytes":               {`"bytes"`, append(zigzag(size), make([]byte, size)...), 8},
		"of elements, an eighth": {`{"type":"array","items":"int"}`, append(append(zigzag(size/8), make([]byte, size/8)...), 0), 150},
		"of fields, a quarter":   {`{"type":"array","items":{"type":"record","name":"R","fields":[{"name":"s","type":["null","string"]},{"name":"t","type":"string"}]}}`, append(append(zigzag(size/32), bytes.Repeat([]byte{2, 4, 'a', 'b', 6, 'x', 'y', 'z'}, size/32)...), 0), 150},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, tc.schema)
			if n := allocated(func() {
				if err := everyPass(t, p, tc.data); err != nil {
					t.Error(err)
				}
			}); n > tc.most*uint64(len(tc.data)) {
				t.Errorf("%d bytes allocated for %d: %d times as many, want at most %d", n, len(tc.data), n/uint64(len(tc.data)), tc.most)
			}
		})
	}
}
