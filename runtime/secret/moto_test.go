package secret

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stepconnect/stepconnect/internal/aws"
	"github.com/stepconnect/stepconnect/test/stack"
)

func TestAgainstAnIndependentEmulator(t *testing.T) {
	if testing.Short() {
		t.Skip("needs moto, which -short leaves out")
	}
	endpoint := stack.Moto(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	cfg, err := aws.Load(t.Context(), "sa-east-1")
	if err != nil {
		t.Fatal(err)
	}
	name, path := stack.Name(t), "/"+stack.Name(t)+"/password"
	sm := secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.BaseEndpoint = &endpoint })
	store := ssm.NewFromConfig(cfg, func(o *ssm.Options) { o.BaseEndpoint = &endpoint })
	text, parameter := `{"password": "s3cret"}`, "p4rameter"
	made, err := sm.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &text})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &path, Value: &parameter, Type: types.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	params := map[string]string{"region": "sa-east-1", "endpoint": endpoint}
	secrets, err := SecretsManager(params)
	if err != nil {
		t.Fatal(err)
	}
	parameters, err := ParameterStore(params)
	if err != nil {
		t.Fatal(err)
	}
	arnPath, arnKey, _ := strings.Cut(*made.ARN, ":")
	for _, c := range []struct {
		p               *Provider
		path, key, want string
	}{
		{secrets, name, "password", "s3cret"},
		{secrets, arnPath, arnKey + ":password", "s3cret"},
		{secrets, "", name, text},
		{parameters, "", path, parameter},
	} {
		got, _, err := c.p.Lookup(context.WithoutCancel(t.Context()), c.path, c.key)
		if err != nil || got.Reveal() != c.want {
			t.Errorf("%s:%s is %q, %v", c.path, c.key, got.Reveal(), err)
		}
	}
	if _, _, err := secrets.Lookup(t.Context(), "", name+"-missing"); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a secret that is not there: %v", err)
	}
	if _, _, err := parameters.Lookup(t.Context(), "", path+"-missing"); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a parameter that is not there: %v", err)
	}
}
