package primitive

import (
	"context"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

// keyType is the key that says what a converter is used for.
const keyType = "converter.type"

const (
	classPrefix   = "org.apache.kafka.connect.converters."
	storagePrefix = "org.apache.kafka.connect.storage."
)

// Plugins are the converters of this package under Kafka Connect's class names. All can
// read keys, values and headers, but SimpleHeaderConverter, whose New is nil.
func Plugins() []connector.ConverterPlugin {
	plugins := []connector.ConverterPlugin{
		stringPlugin(),
		plugin(classPrefix, "ByteArray", "Bytes as they are.", config.New(typeKey()), func(config.Values) (reader, error) { return readBytes, nil }),
	}
	for _, f := range fixedWidths() {
		plugins = append(plugins, plugin(classPrefix, f.class, f.doc, config.New(typeKey()), func(config.Values) (reader, error) { return f.reader(), nil }))
	}
	return append(plugins, connector.ConverterPlugin{
		Info: connector.Info{
			Class:   storagePrefix + "SimpleHeaderConverter",
			Aliases: []string{"SimpleHeaderConverter", "Simple"},
			Doc:     "Headers as text: a number, boolean, date, array or map where the text looks like one, else a string.",
		},
		Config:    config.New(),
		NewHeader: func(config.Values) (connector.HeaderConverter, error) { return headers{}, nil },
	})
}

// typeKey declares what ConverterConfig declares for every converter.
func typeKey() config.Key {
	return config.Key{Name: keyType, Required: true, Validate: config.OneOf("key", "value", "header"), Importance: config.Low,
		Doc: "How this converter will be used."}
}

// reader makes the value of bytes that are not nil.
type reader func(data []byte) (connector.Value, error)

// plugin describes a converter that reads keys, values and headers alike.
func plugin(prefix, name, doc string, def *config.Def, build func(config.Values) (reader, error)) connector.ConverterPlugin {
	made := func(v config.Values) (converter, error) {
		r, err := build(v)
		return converter{r}, err
	}
	return connector.ConverterPlugin{
		Info:      connector.Info{Class: prefix + name + "Converter", Aliases: []string{name + "Converter", name}, Doc: doc},
		Config:    def,
		New:       func(v config.Values, _ bool) (connector.Converter, error) { return made(v) },
		NewHeader: func(v config.Values) (connector.HeaderConverter, error) { return made(v) },
	}
}

type converter struct{ read reader }

// Convert reads data; it looks at neither topic nor headers.
func (c converter) Convert(_ context.Context, _ string, _ []connector.RawHeader, data []byte) (connector.Value, error) {
	return c.ConvertHeader("", "", data)
}

// ConvertHeader reads data as Convert does.
func (c converter) ConvertHeader(_, _ string, data []byte) (connector.Value, error) {
	if data == nil {
		return connector.Value{}, nil
	}
	return c.read(data)
}

// Close has nothing to release.
func (c converter) Close() error { return nil }

// dataError has Kafka Connect's message and the cause, which Java tells apart too.
type dataError struct {
	message string
	cause   error
}

// Error gives the message alone.
func (e *dataError) Error() string { return e.message }

// Unwrap gives the cause.
func (e *dataError) Unwrap() error { return e.cause }

// ExceptionClass names the Java exception that a Kafka Connect worker would show.
func (e *dataError) ExceptionClass() string { return "org.apache.kafka.connect.errors.DataException" }
