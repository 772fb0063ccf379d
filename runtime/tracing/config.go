package tracing

import (
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config is what OpenTelemetry's standard variables say.
type Config struct {
	Endpoint string // the whole URL that spans are posted to
	Headers  map[string]string
	Timeout  time.Duration
	Resource map[string]string // service.name among them
	Ratio    float64           // of the traces that begin here
}

// FromEnvironment reads OpenTelemetry's variables. on is false when none asks for traces. The error names the variable.
func FromEnvironment(get func(string) string, version string) (cfg Config, on bool, err error) {
	first := func(names ...string) (name, value string) {
		for _, n := range names {
			if v := strings.TrimSpace(get(n)); v != "" {
				return n, v
			}
		}
		return "", ""
	}
	exporter := strings.TrimSpace(get("OTEL_TRACES_EXPORTER"))
	endpointName, endpoint := first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	switch {
	case strings.EqualFold(strings.TrimSpace(get("OTEL_SDK_DISABLED")), "true"), exporter == "none", exporter == "" && endpoint == "":
		return cfg, false, nil
	case exporter != "" && exporter != "otlp":
		return cfg, false, fmt.Errorf("OTEL_TRACES_EXPORTER=%s: only otlp and none are known", exporter)
	case endpoint == "":
		endpointName, endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318"
	}
	if name, protocol := first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); protocol == "grpc" {
		return cfg, false, fmt.Errorf("%s=grpc: spans are sent by HTTP; name the collector's port for it (4318), and http/json", name)
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return cfg, false, fmt.Errorf("%s is no http:// or https:// URL", endpointName)
	}
	if endpointName == "OTEL_EXPORTER_OTLP_ENDPOINT" {
		u = u.JoinPath("v1/traces")
	}
	cfg = Config{Endpoint: u.String(), Timeout: 10 * time.Second, Ratio: 1, Resource: map[string]string{"service.name": "stepconnect", "service.version": version}}
	name, text := first("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
	if cfg.Headers, err = pairs(name, text); err != nil {
		return cfg, false, err
	}
	resource, err := pairs("OTEL_RESOURCE_ATTRIBUTES", get("OTEL_RESOURCE_ATTRIBUTES"))
	if err != nil {
		return cfg, false, err
	}
	maps.Copy(cfg.Resource, resource)
	if service := strings.TrimSpace(get("OTEL_SERVICE_NAME")); service != "" {
		cfg.Resource["service.name"] = service
	}
	if name, text := first("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			return cfg, false, fmt.Errorf("%s=%s is no number of milliseconds", name, text)
		}
		cfg.Timeout = time.Duration(ms) * time.Millisecond
	}
	cfg.Ratio, err = ratio(get("OTEL_TRACES_SAMPLER"), get("OTEL_TRACES_SAMPLER_ARG"))
	return cfg, err == nil, err
}

// ratio reads the sampler. All that are known follow the parent, when there is one.
func ratio(sampler, arg string) (float64, error) {
	switch sampler = strings.TrimSpace(sampler); sampler {
	case "", "parentbased_always_on":
		return 1, nil
	case "parentbased_always_off":
		return 0, nil
	case "parentbased_traceidratio":
		if strings.TrimSpace(arg) == "" {
			return 1, nil
		}
		r, err := strconv.ParseFloat(strings.TrimSpace(arg), 64)
		if err != nil || !(r >= 0 && r <= 1) {
			return 0, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG=%s is no number from 0 to 1", arg)
		}
		return r, nil
	}
	return 0, fmt.Errorf("OTEL_TRACES_SAMPLER=%s: known are parentbased_always_on, parentbased_always_off and parentbased_traceidratio", sampler)
}

// pairs reads name=value,name=value with percent-encoded values. Its error shows no value: headers are secrets.
func pairs(variable, text string) (map[string]string, error) {
	out := map[string]string{}
	for i, item := range strings.Split(text, ",") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		name, value, found := strings.Cut(item, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !found || name == "" || err != nil {
			return nil, fmt.Errorf("%s: item %d is not name=value with a percent-encoded value", variable, i+1)
		}
		out[name] = value
	}
	return out, nil
}

// shown is the endpoint without credentials.
func (c *Config) shown() string {
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return ""
	}
	return u.Redacted()
}
