package api

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime"
)

// dryRunAnswer is what a write of a configuration with dry_run=true would change.
type dryRunAnswer struct {
	Name    string      `json:"name"`
	DryRun  bool        `json:"dry_run"`
	Exists  bool        `json:"exists"`
	Changes []keyChange `json:"changes"`
}

// keyChange is one key that would differ; null is absent. A hidden value is [hidden] on both sides.
type keyChange struct {
	Key string  `json:"key"`
	Old *string `json:"old"`
	New *string `json:"new"`
}

// dryRun validates a configuration as a PUT would, writes nothing, and tells the difference.
func (a *handler) dryRun(ctx context.Context, name string, cfg map[string]*string) (answer, error) {
	stored, exists, err := a.storedConfig(ctx, name)
	if err != nil {
		return answer{}, err
	}
	if given := cfg["name"]; given != nil && *given != name {
		return answer{}, runtime.BadRequest("Connector name configuration (%s) doesn't match connector name in the URL (%s)", *given, name)
	}
	cfg["name"] = &name
	class := cfg["connector.class"]
	if class == nil {
		return answer{}, runtime.BadRequest("Connector config %s contains no connector type", javaMap(cfg))
	}
	v, err := a.herder.Validate(ctx, *class, cfg)
	if err != nil {
		return answer{}, runtime.AsBadRequest(err) // as the write would
	}
	if err := invalid(v); err != nil {
		return answer{}, err
	}
	return ok(dryRunAnswer{name, true, exists, difference(stored, cfg, hiddenKeys(v))}), nil
}

func (a *handler) dryRunPatch(ctx context.Context, name string, patch map[string]*string) (answer, error) {
	stored, exists, err := a.storedConfig(ctx, name)
	if err != nil {
		return answer{}, err
	}
	if !exists {
		return answer{}, runtime.NotFound("Connector %s not found", name)
	}
	merged := make(map[string]*string, len(stored)+len(patch))
	maps.Copy(merged, stored) // a secret is [hidden] here, which validation takes for the stored one
	for k, v := range patch {
		if merged[k] = v; v == nil {
			delete(merged, k)
		}
	}
	return a.dryRun(ctx, name, merged)
}

func (a *handler) storedConfig(ctx context.Context, name string) (cfg map[string]*string, exists bool, err error) {
	info, err := a.herder.Connector(ctx, name)
	if isNotFound(err) {
		return nil, false, nil
	}
	return info.Config, err == nil, err
}

// invalid gives the 400 of a configuration that a write would refuse, in Kafka Connect's words.
func invalid(v runtime.Validation) error {
	if v.ErrorCount == 0 {
		return nil
	}
	var lines []string
	for _, c := range v.Configs {
		lines = append(lines, c.Value.Errors...)
	}
	return runtime.BadRequest("Connector configuration is invalid and contains the following %d error(s):\n%s\n"+
		"You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`",
		v.ErrorCount, strings.Join(lines, "\n"))
}

// hiddenKeys are the keys whose value the validation does not show.
func hiddenKeys(v runtime.Validation) map[string]bool {
	hidden := map[string]bool{}
	for _, c := range v.Configs {
		if c.Value.Value != nil && *c.Value.Value == config.Hidden {
			hidden[c.Value.Name] = true
		}
	}
	return hidden
}

// difference lists the keys that differ, sorted. A secret that was given anew counts as changed,
// since nothing here can compare it with the stored one.
func difference(stored, given map[string]*string, hidden map[string]bool) []keyChange {
	texts := make(map[string]string, len(given))
	for k, v := range given {
		if v != nil {
			texts[k] = *v
		}
	}
	shown := config.Hide(texts, nil)
	union := maps.Clone(given)
	maps.Copy(union, stored)

	changes := []keyChange{}
	for _, k := range slices.Sorted(maps.Keys(union)) {
		before, after := stored[k], given[k]
		if equal(before, after) {
			continue
		}
		if after != nil {
			text := shown[k]
			if hidden[k] || before != nil && *before == config.Hidden {
				text = config.Hidden
			}
			after = &text
		}
		changes = append(changes, keyChange{k, before, after})
	}
	return changes
}

func equal(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// javaMap prints a configuration's keys as Java prints a map. Values stay out: one may be a secret.
func javaMap(cfg map[string]*string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(cfg)) {
		parts = append(parts, fmt.Sprintf("%s=…", k))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
