package config

import "slices"

// KeyInfo is a key as GET /connector-plugins/{p}/config shows it (ConfigKeyInfo; the name
// order_in_group is that of Kafka Connect 4.3).
type KeyInfo struct {
	Name          string   `json:"name"`
	Type          string   `json:"type"`
	Required      bool     `json:"required"`
	DefaultValue  *string  `json:"default_value"`
	Importance    string   `json:"importance"`
	Documentation string   `json:"documentation"`
	Group         *string  `json:"group"`
	Width         string   `json:"width"`
	DisplayName   string   `json:"display_name"`
	Dependents    []string `json:"dependents"`
	OrderInGroup  int      `json:"order_in_group"` // -1 without a group
}

// ValueInfo is a value as the validate endpoint judges it (ConfigValueInfo). Value nil is null.
type ValueInfo struct {
	Name        string   `json:"name"`
	Value       *string  `json:"value"`
	Recommended []string `json:"recommended_values"`
	Errors      []string `json:"errors"`
	Visible     bool     `json:"visible"`
}

func newValueInfo(name string, value *string, errs []string) ValueInfo {
	return ValueInfo{Name: name, Value: value, Recommended: []string{}, Errors: append([]string{}, errs...), Visible: true}
}

// Info gives the key as the REST API shows it.
func (k Key) Info() KeyInfo {
	info := KeyInfo{
		Name: k.Name, Type: k.Type.String(), Required: k.Required, DefaultValue: render(k.Default),
		Importance: k.Importance.String(), Documentation: k.Doc, Width: k.Width.String(),
		DisplayName: k.DisplayName, Dependents: append([]string{}, k.Dependents...), OrderInGroup: -1,
	}
	if k.DisplayName == "" {
		info.DisplayName = k.Name
	}
	if k.Group != "" {
		info.Group, info.OrderInGroup = ptr(k.Group), k.Order
	}
	return info
}

// Infos gives the declared keys that are not Internal, in order.
func (d *Def) Infos() []KeyInfo {
	infos := []KeyInfo{}
	for _, k := range d.Keys() {
		if !k.Internal {
			infos = append(infos, k.Info())
		}
	}
	return infos
}

// Groups gives the names of the groups that occur in an answer of Validate, in order.
func Groups(answer []KeyValue) []string {
	groups := []string{}
	for _, kv := range answer {
		if kv.Definition != nil && kv.Definition.Group != nil && !slices.Contains(groups, *kv.Definition.Group) {
			groups = append(groups, *kv.Definition.Group)
		}
	}
	return groups
}

// Messages gives all error texts of an answer of Validate, in order: the lines of the 400 that a
// write with such a configuration gets.
func Messages(answer []KeyValue) []string {
	texts := []string{}
	for _, kv := range answer {
		texts = append(texts, kv.Value.Errors...)
	}
	return texts
}
