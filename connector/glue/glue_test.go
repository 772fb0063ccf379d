package glue

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/primitive/convertertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake answers for AWS Glue: what it says of a schema version stands in the last digit of its id.
type fake struct {
	*httptest.Server
	asked    atomic.Int64
	failures atomic.Int64 // answers of 500 still to come
}

const order = `{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},{"name":"name","type":["null","string"]}]}`

func newFake(t testing.TB) *fake {
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(f.answer))
	t.Cleanup(f.Close)
	for k, v := range map[string]string{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL_GLUE": f.URL, "AWS_ENDPOINT_URL_STS": f.URL} {
		t.Setenv(k, v)
	}
	return f
}

func (f *fake) answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	say := func(status int, v map[string]string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	if strings.Contains(string(body), "Action=AssumeRole") {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>may not assume it</Message></Error></ErrorResponse>`)
		return
	}
	f.asked.Add(1)
	if f.failures.Add(-1) >= 0 {
		say(http.StatusInternalServerError, map[string]string{"__type": "InternalServiceException", "Message": "again"})
		return
	}
	var in struct {
		SchemaVersionID string `json:"SchemaVersionId"`
	}
	_ = json.Unmarshal(body, &in)
	good := map[string]string{"SchemaVersionId": in.SchemaVersionID, "SchemaDefinition": order, "DataFormat": "AVRO", "Status": "AVAILABLE"}
	switch in.SchemaVersionID[len(in.SchemaVersionID)-1] {
	case '1':
	case '2':
		good["DataFormat"], good["SchemaDefinition"] = "PROTOBUF", "syntax"
	case '3':
		say(http.StatusBadRequest, map[string]string{"__type": "EntityNotFoundException", "Message": "Schema version is not found."})
		return
	case '4':
		say(http.StatusBadRequest, map[string]string{"__type": "AccessDeniedException", "Message": "not authorized"})
		return
	case '5':
		good["SchemaDefinition"] = `{"type":"recrd"}`
	case '6':
		say(http.StatusInternalServerError, map[string]string{"__type": "InternalServiceException", "Message": "oops"})
		return
	case '7':
		good["SchemaDefinition"], good["Status"] = "", "PENDING"
	case '8':
		good["Status"] = "DELETING"
	case '9':
		say(http.StatusBadRequest, map[string]string{"__type": "ExpiredTokenException", "Message": "old"})
		return
	case 'a':
		good["SchemaDefinition"] = `["null","string",{"type":"record","name":"a.b.R","fields":[]}]`
	case 'b':
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<html>proxy</html>")
		return
	}
	say(http.StatusOK, good)
}

func TestGolden(t *testing.T) {
	newFake(t)
	p := plugin(time.Millisecond)
	convertertest.Run(t, p, "testdata/cases.txt", convertertest.Value)
	convertertest.RequireEveryKey(t, p.Config, "testdata/cases.txt")
	convertertest.RequireEveryErrorText(t, map[string]string{
		"it is more than %d bytes": "TestWhatInflatesBeyondTheLimitIsRefusedWithoutHoldingIt",
		"no AWS region is known":   "TestWithoutARegionTheConverterSaysSo",
		keyProxy + " is no URL":    "TestAProxyThatCannotBeReadIsRefusedWithoutItsPassword",
	}, "testdata/cases.txt")
}

func open(t testing.TB, raw map[string]string) (connector.Converter, error) {
	t.Helper()
	p := plugin(time.Millisecond)
	v, err := p.Config.Parse(raw)
	if err != nil {
		return nil, err
	}
	c, err := p.New(v, true)
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

func must(t testing.TB, raw map[string]string) connector.Converter {
	t.Helper()
	c, err := open(t, raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// record frames data for the schema version whose id ends in last.
func record(compression byte, last byte, data []byte) []byte {
	b := append([]byte{3, compression}, make([]byte, 16)...)
	b[17] = last
	return append(b, data...)
}

func deflate(t testing.TB, data []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestManyRecordsOfASchemaAskForItOnce(t *testing.T) {
	f := newFake(t)
	c := must(t, map[string]string{"region": "sa-east-1"})
	data := record(5, 0x11, deflate(t, []byte{2, 2, 2, 'x'}))
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			v, err := c.Convert(t.Context(), "t", nil, data)
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := v.AppendJSON(nil, nil); err != nil || string(got) != `{"id":1,"name":"x"}` {
				t.Errorf("%s %v", got, err)
			}
		})
	}
	all.Wait()
	if n := f.asked.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestAPassingFailureIsTriedAgainAndALastingOneIsRetryable(t *testing.T) {
	f := newFake(t)
	c := must(t, map[string]string{"region": "sa-east-1"})
	f.failures.Store(attempts - 1)
	if _, err := c.Convert(t.Context(), "t", nil, record(0, 0x11, []byte{2, 0})); err != nil {
		t.Error(err)
	}
	f.failures.Store(attempts)
	_, err := c.Convert(t.Context(), "t", nil, record(0, 0x21, []byte{2, 0}))
	if class, _ := connector.Classify(err); class != connector.ClassRetryable {
		t.Errorf("%v", err)
	}
	f.Close()
	_, err = c.Convert(t.Context(), "t", nil, record(0, 0x31, []byte{2, 0}))
	if class, _ := connector.Classify(err); class != connector.ClassRetryable || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("%v", err)
	}
}

func TestARoleThatCannotBeAssumedIsNamedAndRetryable(t *testing.T) {
	newFake(t)
	c := must(t, map[string]string{"region": "sa-east-1", "assumeRoleArn": "arn:aws:iam::000000000000:role/reader"})
	_, err := c.Convert(t.Context(), "t", nil, record(0, 0x11, []byte{2, 0}))
	if class, _ := connector.Classify(err); class != connector.ClassRetryable || !strings.Contains(err.Error(), "assumeRoleArn") || !strings.Contains(err.Error(), "may not assume it") {
		t.Errorf("%v", err)
	}
}

func TestWithoutARegionTheConverterSaysSo(t *testing.T) {
	newFake(t)
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	if _, err := open(t, nil); err == nil || !strings.Contains(err.Error(), "no AWS region is known: set region") {
		t.Errorf("%v", err)
	}
}

func TestAProxyThatCannotBeReadIsRefusedWithoutItsPassword(t *testing.T) {
	_, err := newRegistry(settings{region: "sa-east-1", cacheSize: 1, proxy: "http://u:geheim@[h"}, time.Millisecond)
	if err == nil || err.Error() != keyProxy+" is no URL" {
		t.Errorf("%v", err)
	}
}

func TestBadSettingsAreRefusedWithTheReasonAndWithoutSecrets(t *testing.T) {
	for key, value := range map[string]string{"endpoint": "ftp://u:geheim@h", "proxyUrl": "geheim", "assumeRoleArn": "reader", "assumeRoleSessionName": "a b",
		"cacheSize": "0", "avroRecordType": "JSON", "secondaryDeserializer": "io.confluent.kafka.serializers.KafkaAvroDeserializer"} {
		_, err := open(t, map[string]string{"region": "sa-east-1", key: value})
		if err == nil || !strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "geheim@") {
			t.Errorf("%s=%s: %v", key, value, err)
		}
	}
}

func TestWhatInflatesBeyondTheLimitIsRefusedWithoutHoldingIt(t *testing.T) {
	newFake(t)
	c := must(t, map[string]string{"region": "sa-east-1"})
	bomb := record(5, 0x11, deflate(t, make([]byte, maxInflated+1)))
	_, err := c.Convert(t.Context(), "t", nil, bomb)
	if class, _ := connector.Classify(err); class != connector.ClassRejected || !strings.Contains(err.Error(), "more than 33554432 bytes") {
		t.Errorf("%v", err)
	}
	if _, _, err := frame(record(5, 0x11, deflate(t, make([]byte, maxInflated)))); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(record(0, 1, []byte{2, 0}))
	f.Add(record(5, 1, deflate(f, []byte("abc"))))
	f.Add([]byte{0, 0, 0, 0, 1})
	f.Add([]byte{3})
	f.Fuzz(func(t *testing.T, data []byte) {
		id, datum, err := frame(data)
		switch {
		case len(datum) > maxInflated && len(datum) > len(data):
			t.Errorf("%d bytes became %d", len(data), len(datum))
		case err != nil && err.Error() == "":
			t.Error("an error without words")
		case err == nil && (len(data) < prefix || data[0] != version || len(id.String()) != len("schema version ")+36):
			t.Errorf("%x passes as %s", data, id)
		case err == nil && data[1] == plain && !bytes.Equal(datum, data[prefix:]):
			t.Errorf("%x", datum)
		}
	})
}
