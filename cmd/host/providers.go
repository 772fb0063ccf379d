package host

import (
	"github.com/stepconnect/stepconnect/runtime"
	"github.com/stepconnect/stepconnect/runtime/secret"
)

// providerKinds are the config providers beside Kafka's own, by the class names that worker files have for them: of
// AWS's MSK config providers, and of the two others for Secrets Manager that Kafka Connect's users know.
func providerKinds() map[string]runtime.ProviderKind {
	secrets := func(params map[string]string) (runtime.Provider, error) { return secret.SecretsManager(params) }
	parameters := func(params map[string]string) (runtime.Provider, error) { return secret.ParameterStore(params) }
	return map[string]runtime.ProviderKind{
		"com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider":      secrets,
		"com.github.jcustenborder.kafka.config.aws.SecretsManagerConfigProvider": secrets,
		"io.confluent.csid.config.provider.aws.SecretsManagerConfigProvider":     secrets,
		"SecretsManagerConfigProvider":                                           secrets,
		"com.amazonaws.kafka.config.providers.SsmParamStoreConfigProvider":       parameters,
		"SsmParamStoreConfigProvider":                                            parameters,
	}
}
