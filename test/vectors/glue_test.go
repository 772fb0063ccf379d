package vectors

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"github.com/stepconnect/stepconnect/connector"
	converter "github.com/stepconnect/stepconnect/connector/glue"
	"github.com/stepconnect/stepconnect/test/stack"
)

// TestASchemaRegisteredByAWSsClientIsFoundByItsVersion holds the converter against a server that is not ours.
func TestASchemaRegisteredByAWSsClientIsFoundByItsVersion(t *testing.T) {
	endpoint := stack.Moto(t)
	for k, v := range map[string]string{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_REGION": "sa-east-1"} {
		t.Setenv(k, v)
	}
	version := registerInGlue(t, endpoint)
	id, err := hex.DecodeString(strings.ReplaceAll(version, "-", ""))
	if err != nil || len(id) != 16 {
		t.Fatal(version, err)
	}
	p := converter.Plugin()
	values, err := p.Config.Parse(map[string]string{"region": "sa-east-1", "endpoint": endpoint})
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.New(values, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	framed := append(append([]byte{3, 0}, id...), 84)
	v, err := c.Convert(t.Context(), "t", nil, framed)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := v.AppendJSON(nil, nil); err != nil || string(text) != `{"id":42}` {
		t.Errorf("%s %v", text, err)
	}
	framed[2] ^= 0xff
	_, err = c.Convert(t.Context(), "t", nil, framed)
	if class, _ := connector.Classify(err); class != connector.ClassRejected || !strings.Contains(err.Error(), "does not know schema version") {
		t.Errorf("a version that nobody registered: %v", err)
	}
}

func registerInGlue(t *testing.T, endpoint string) (version string) {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	client := glue.NewFromConfig(cfg, func(o *glue.Options) { o.BaseEndpoint = &endpoint })
	registry := stack.Name(t)
	if _, err := client.CreateRegistry(t.Context(), &glue.CreateRegistryInput{RegistryName: &registry}); err != nil {
		t.Fatal(err)
	}
	out, err := client.CreateSchema(t.Context(), &glue.CreateSchemaInput{
		RegistryId: &types.RegistryId{RegistryName: &registry}, SchemaName: aws.String("clientes"), DataFormat: types.DataFormatAvro, Compatibility: types.CompatibilityBackward,
		SchemaDefinition: aws.String(`{"type":"record","name":"Cliente","fields":[{"name":"id","type":"long"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.SchemaVersionId
}
