package connector

// Format says how values become JSON. The zero Format is the default: decimals and
// temporal types as text, 64-bit integers as numbers, bytes as base64.
type Format struct {
	Decimal DecimalFormat
	Int64   Int64Format
	Time    TimeFormat
	Binary  BinaryFormat
}

var defaultFormat Format

// DecimalFormat is the form of NameDecimal values (key value.decimal.format).
type DecimalFormat uint8

// Forms of decimals. Both hold every digit; neither passes through a float.
const (
	DecimalString DecimalFormat = iota // "12.50"
	DecimalNumber                      // 12.50
)

// Int64Format is the form of Int64 values that are no temporal type (key value.int64.format).
type Int64Format uint8

// Forms of 64-bit integers.
const (
	Int64Number Int64Format = iota // 9007199254740993
	Int64String                    // "9007199254740993": for readers that count in doubles, as JSONata does
)

// TimeFormat is the form of temporal types (key value.time.format).
type TimeFormat uint8

// Forms of temporal types.
const (
	TimeISO TimeFormat = iota // ISO-8601 with the digits of the wire unit (3, 6 or 9), no zone added
	TimeRaw                   // the integer of the wire
)

// BinaryFormat is the form of Bytes values that are no Decimal (key value.binary.format).
type BinaryFormat uint8

// Forms of binary values.
const (
	BinaryBase64 BinaryFormat = iota // standard alphabet, padded
	BinaryHex                        // lower case
)
