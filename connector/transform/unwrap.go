package transform

import (
	"slices"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

const (
	keyDeletes       = "delete.tombstone.handling.mode"
	keyLegacyDrop    = "drop.tombstones"
	keyLegacyDeletes = "delete.handling.mode"
	keyRoute         = "route.by.field"
	keyAddFields     = "add.fields"
	keyAddHeaders    = "add.headers"
	keyDropHeader    = "drop.fields.header.name"
	keyDropFromKey   = "drop.fields.from.key"
	keyDropKeep      = "drop.fields.keep.schema.compatible"
)

func unwrapPlugin() connector.TransformPlugin {
	return connector.TransformPlugin{
		Info: connector.Info{
			Class: debeziumPrefix + "ExtractNewRecordState", Aliases: []string{"ExtractNewRecordState"},
			Doc: "Puts the row that a Debezium change event leaves behind in the place of the event.",
		},
		Config: unwrapDef(), New: newUnwrap,
	}
}

func unwrapDef() *config.Def {
	key := func(name, display, doc string, w config.Width, def any) config.Key {
		return config.Key{Name: name, Default: def, Importance: config.Low, Width: w, DisplayName: display, Doc: doc}
	}
	list := func(k config.Key) config.Key { k.Type, k.Validate = config.List, referenceValidator(); return k }
	boolean := func(k config.Key) config.Key { k.Type = config.Boolean; return k }
	const mapping = " A field of a part is named as in source.ts_ms; a new name follows a colon, as in op:OPERATION."
	return config.New(
		config.Key{Name: keyDeletes, Default: "tombstone", Importance: config.Medium, Width: config.WidthMedium, DisplayName: "Handle delete and tombstone records",
			Validate: config.OneOfFold("drop", "tombstone", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone"),
			Doc: "What becomes of a delete, and of the tombstone after it. drop: neither is passed on. tombstone: the delete becomes a tombstone, the other is dropped. " +
				"rewrite: the delete becomes the row before it with __deleted=true, the tombstone is dropped. rewrite-with-tombstone: the tombstone is passed on too. " +
				"delete-to-tombstone: as tombstone, without a value schema."},
		key(keyRoute, "Route by field name", "The column whose value replaces the topic's name.", config.WidthLong, ""),
		key("add.fields.prefix", "Field prefix to be added to each field.", "Adds this prefix to each field listed.", config.WidthShort, "__"),
		list(key(keyAddFields, "Adds the specified field(s) to the message if they exist.", "Fields of the event to add to the row."+mapping, config.WidthLong, []string{})),
		key("add.headers.prefix", "Header prefix to be added to each header.", "Adds this prefix to each header listed.", config.WidthShort, "__"),
		list(key(keyAddHeaders, "Adds the specified fields to the header if they exist.", "Fields of the event to add as headers."+mapping, config.WidthLong, []string{})),
		key(keyDropHeader, "Specifies a header that contains a list of field names to be removed", "The name of a header that holds a list of fields to be removed from the row.", config.WidthShort, nil),
		boolean(key(keyDropFromKey, "Specifies whether the fields to be dropped should also be omitted from the key", "Whether the fields are removed from the key too.", config.WidthShort, false)),
		boolean(key(keyDropKeep, "Specifies if fields are dropped, will the event's schemas be compatible", "true: only optional fields are removed. false: all that are named.", config.WidthShort, true)),
		boolean(key(keyFill, "replace null field value with default", "Whether null fields are replaced by their defaults where the row is rewritten with __deleted.", config.WidthShort, true)),
		boolean(key(keyLegacyDrop, "Drop tombstones", "Deprecated, use "+keyDeletes+". Whether tombstones are dropped.", config.WidthShort, nil)),
		func() config.Key {
			k := key(keyLegacyDeletes, "Handle delete records", "Deprecated, use "+keyDeletes+". none: a delete becomes a tombstone; drop; rewrite.", config.WidthMedium, nil)
			k.Validate = config.OneOfFold("none", "drop", "rewrite")
			return k
		}(),
	)
}

// referenceValidator accepts lists of fields of the event.
func referenceValidator() config.Validator {
	return config.Func("list of fields, such as op,source.ts_ms:TS", func(name string, value any) error {
		items, _ := value.([]string)
		for _, item := range items {
			if _, err := parseReference("", item); err != nil {
				return config.Invalid(name, items, err.Error())
			}
		}
		return nil
	})
}

// fate is what becomes of a delete and of the tombstone that follows it.
type fate struct {
	drop          bool // the delete is dropped
	rewrite       bool // rows get __deleted, and a delete is the row before it
	bare          bool // a delete becomes a tombstone without a schema
	keepTombstone bool
}

// newFate reads the mode, or the two keys that said the same before it, which count when only they
// are given.
func newFate(v config.Values) fate {
	given := v.Raw()
	_, mode := given[keyDeletes]
	if !mode && (v.Has(keyLegacyDrop) || v.Has(keyLegacyDeletes)) {
		legacy := strings.ToLower(v.String(keyLegacyDeletes))
		return fate{
			drop: legacy == "" || legacy == "drop", rewrite: legacy == "rewrite",
			keepTombstone: v.Has(keyLegacyDrop) && !v.Bool(keyLegacyDrop),
		}
	}
	switch strings.ToLower(v.String(keyDeletes)) {
	case "drop":
		return fate{drop: true}
	case "rewrite":
		return fate{rewrite: true}
	case "rewrite-with-tombstone":
		return fate{rewrite: true, keepTombstone: true}
	case "delete-to-tombstone":
		return fate{bare: true}
	}
	return fate{}
}

type unwrap struct {
	fate
	route           string
	fields, headers []reference
	fill            bool
	drop            *dropper // nil without a header of fields to drop
	room            scratch
	plans           cache[*connector.Schema, *envelope]
}

func newUnwrap(v config.Values) (connector.Transform, error) {
	t := &unwrap{fate: newFate(v), route: v.String(keyRoute), fill: v.Bool(keyFill)}
	var err error
	if t.fields, err = parseReferences(v.String("add.fields.prefix"), v.List(keyAddFields)); err != nil {
		return nil, err
	}
	if t.headers, err = parseReferences(v.String("add.headers.prefix"), v.List(keyAddHeaders)); err != nil {
		return nil, err
	}
	if name := v.String(keyDropHeader); name != "" {
		t.drop = &dropper{header: name, fromKey: v.Bool(keyDropFromKey), compatible: v.Bool(keyDropKeep)}
	}
	return t, nil
}

func (t *unwrap) Apply(r *connector.Record) (*connector.Record, error) {
	if r.Value.IsNull() {
		return t.tombstone(r), nil
	}
	if s := r.Value.Schema(); s == nil || !strings.HasSuffix(s.Name, ".Envelope") || s.Type != connector.Struct {
		return r, nil
	}
	e, err := t.plans.get(r.Value.Schema(), t.plan)
	if err != nil {
		return nil, err
	}
	parts, release, err := t.room.open(r.Value)
	defer release()
	if err != nil {
		return nil, err
	}
	row, deleted := e.at(parts, e.after), false
	if row.IsNull() {
		row, deleted = e.at(parts, e.before), true
	}
	// Neither row: a TRUNCATE, which is dropped.
	if row.IsNull() || deleted && t.fate.drop {
		return nil, nil
	}
	event := opened{parts: parts, room: &t.room}
	defer event.close()
	out := *r
	if err := t.change(&out, e, &event, row, deleted); err != nil {
		return nil, err
	}
	*r = out
	return r, nil
}

// change gives r what is to come out; row is the one that counts.
func (t *unwrap) change(r *connector.Record, e *envelope, event *opened, row connector.Value, deleted bool) error {
	var err error
	if r.Topic, err = t.topic(r.Topic, row); err != nil {
		return err
	}
	if r.Headers, err = withHeaders(r.Headers, e, event); err != nil {
		return err
	}
	if r.Value, err = t.value(e, event, row, deleted); err != nil || t.drop == nil {
		return err
	}
	return t.drop.apply(r)
}

// tombstone decides on a record without a value, which says only that a row was deleted.
func (t *unwrap) tombstone(r *connector.Record) *connector.Record {
	if !t.keepTombstone {
		return nil
	}
	for _, ref := range t.headers {
		if ref.field == "op" {
			r.Headers = append(slices.Clip(r.Headers), connector.Header{
				Key: ref.name, Value: connector.NewValue(&connector.Schema{Type: connector.String}, "d"),
			})
		}
	}
	return r
}

// topic gives the topic that a column names; a null or blank column changes nothing.
func (t *unwrap) topic(topic string, row connector.Value) (string, error) {
	if t.route == "" {
		return topic, nil
	}
	if err := requireStruct(row, "Read record to set topic routing"); err != nil {
		return "", err
	}
	i := row.Schema().Index(t.route)
	if i < 0 {
		return "", dataError("%s is not a valid field name", t.route)
	}
	columns, err := split(row, 0, true)
	if err != nil {
		return "", err
	}
	native, err := columns[i].Native()
	if err != nil || native == nil {
		return topic, err
	}
	name, ok := native.(string)
	switch {
	case !ok:
		return "", dataError("Field '%s' is not of type STRING", t.route)
	case strings.TrimSpace(name) == "":
		return topic, nil
	}
	return name, nil
}

func withHeaders(headers []connector.Header, e *envelope, event *opened) ([]connector.Header, error) {
	if len(e.headers) == 0 {
		return headers, nil
	}
	headers = slices.Grow(slices.Clip(headers), len(e.headers))
	for _, a := range e.headers {
		v, err := event.value(a)
		if err != nil {
			return nil, err
		}
		headers = append(headers, connector.Header{Key: a.name, Value: v})
	}
	return headers, nil
}

// value gives the row with what is added to it; for a delete that is not rewritten a tombstone.
func (t *unwrap) value(e *envelope, event *opened, row connector.Value, deleted bool) (connector.Value, error) {
	switch {
	case deleted && t.bare:
		return connector.Value{}, nil
	case deleted && !t.rewrite:
		// As in Debezium the schema stays: sinks tell such a delete from a foreign tombstone by it.
		return connector.NewValue(e.row, nil), nil
	case e.layout == nil:
		return row, nil
	}
	columns, err := split(row, len(e.fields)+1, t.rewrite && t.fill)
	if err != nil {
		return row, err
	}
	if t.rewrite {
		text := "false"
		if deleted {
			text = "true"
		}
		columns = append(columns, connector.NewValue(e.flag, text))
	}
	for _, a := range e.fields {
		v, err := event.value(a)
		if err != nil {
			return row, err
		}
		columns = append(columns, v)
	}
	return e.layout.join(row, columns)
}
