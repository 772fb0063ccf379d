package json

import (
	"errors"
	"hash/maphash"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

// Class is the name under which Kafka Connect's users know this converter.
const Class = "org.apache.kafka.connect.json.JsonConverter"

// The keys, as Kafka Connect calls them.
const (
	keyType     = "converter.type"
	keySchemas  = "schemas.enable"
	keyCache    = "schemas.cache.size"
	keyContent  = "schema.content"
	keyDecimals = "decimal.format"
	keyDefaults = "replace.null.with.default"
)

// Plugin is the JsonConverter, for keys, values and headers.
func Plugin() connector.ConverterPlugin {
	return connector.ConverterPlugin{
		Info: connector.Info{
			Class:   Class,
			Aliases: []string{"JsonConverter", "Json"},
			Doc:     "JSON: in an envelope with its schema, with one fixed schema, or without a schema.",
		},
		Config: definition(),
		New: func(v config.Values, _ bool) (connector.Converter, error) {
			return newConverter(v)
		},
		NewHeader: func(v config.Values) (connector.HeaderConverter, error) {
			return newConverter(v)
		},
	}
}

func newConverter(v config.Values) (*converter, error) {
	c := &converter{
		schemas:  v.Bool(keySchemas),
		parser:   parser{defaults: v.Bool(keyDefaults)},
		cache:    newCache(v.Int(keyCache)),
		hashSeed: maphash.MakeSeed(),
	}
	content := v.String(keyContent)
	if content == "" {
		return c, nil
	}
	p, err := c.parser.content(content)
	if err != nil {
		return nil, err
	}
	if p != nil {
		c.fixed = &cached{text: content, plan: p}
	}
	return c, nil
}

// content parses the text of schema.content (KIP-1054).
func (p parser) content(text string) (*plan, error) {
	s := scanner{data: []byte(text)}
	if err := s.whole(); err != nil {
		return nil, &DataError{Message: textContent, Err: err}
	}
	return p.parse([]byte(text))
}

// definition declares the keys in the order of JsonConverterConfig.
func definition() *config.Def {
	const schemas, serialization = "Schemas", "Serialization"
	d := config.New(
		config.Key{Name: keyType, Required: true, Validate: config.OneOf("key", "value", "header"), Importance: config.Low,
			Doc: "How this converter will be used."},
		config.Key{Name: keySchemas, Type: config.Boolean, Default: true, Importance: config.High, Group: schemas, Width: config.WidthMedium, DisplayName: "Enable Schemas",
			Doc: `Whether each text is an envelope of a "schema" and a "payload". false: the text is the payload and has no schema.`},
		config.Key{Name: keyCache, Type: config.Int, Default: 1000, Importance: config.High, Group: schemas, Width: config.WidthMedium, DisplayName: "Schema Cache Size",
			Doc: "How many schemas are kept ready."},
		config.Key{Name: keyContent, Importance: config.High, Group: schemas, Width: config.WidthMedium, DisplayName: "Schema Content", Validate: config.Func("JSON text of a schema", checkContent),
			Doc: "Schema of all messages, which then are payloads without an envelope. Only with " + keySchemas + "=true."},
		config.Key{Name: keyDecimals, Default: "BASE64", Validate: config.OneOfFold("BASE64", "NUMERIC"), Importance: config.Low, Group: serialization, Width: config.WidthMedium, DisplayName: "Decimal Format",
			Doc: "Form in which decimals are written. No effect here: both are read."},
		config.Key{Name: keyDefaults, Type: config.Boolean, Default: true, Importance: config.Low, Group: serialization, Width: config.WidthMedium, DisplayName: "Replace null with default",
			Doc: "Whether a field that is null or missing becomes its default. false: it is null."},
	)
	// JsonConverterConfig counts from 0, where New counts from 1.
	for _, name := range []string{keySchemas, keyCache, keyContent, keyDecimals, keyDefaults} {
		d = d.Change(name, func(k *config.Key) { k.Order-- })
	}
	return d
}

func checkContent(name string, value any) error {
	text, _ := value.(string)
	if text == "" {
		return nil
	}
	if _, err := (parser{}).content(text); err != nil {
		reason := err.Error()
		if cause := errors.Unwrap(err); cause != nil {
			reason = strings.TrimSuffix(reason, ": ") + ": " + cause.Error()
		}
		return config.Invalid(name, clip(text), reason)
	}
	return nil
}
