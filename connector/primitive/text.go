package primitive

import (
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

const (
	keyEncoding     = "converter.encoding"
	keyEncodingText = "Character set of the text: UTF-8, ISO-8859-1, US-ASCII, UTF-16 (with a byte order mark, else big-endian), UTF-16BE or UTF-16LE."
)

// stringPlugin is the StringConverter. What a character set cannot read becomes U+FFFD, as Java
// reads it: it never fails.
func stringPlugin() connector.ConverterPlugin {
	def := config.New(typeKey(), config.Key{
		Name: keyEncoding, Default: "UTF-8", Importance: config.High, Width: config.WidthMedium, DisplayName: "Encoding",
		Validate: config.Func("name of a character set", checkEncoding), Doc: keyEncodingText,
	})
	return plugin(storagePrefix, "String", "Text.", def, func(v config.Values) (reader, error) {
		name := v.String(keyEncoding)
		decode, ok := charset(name)
		if !ok {
			return nil, checkEncoding(keyEncoding, name)
		}
		schema := &connector.Schema{Type: connector.String, Optional: true}
		return func(data []byte) (connector.Value, error) {
			return connector.NewValue(schema, decode(data)), nil
		}, nil
	})
}

func checkEncoding(name string, value any) error {
	text, _ := value.(string)
	if _, ok := charset(text); ok {
		return nil
	}
	return config.Invalid(name, value, "Unsupported encoding; supported are UTF-8, ISO-8859-1, US-ASCII, UTF-16, UTF-16BE and UTF-16LE")
}
