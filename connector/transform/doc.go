// Package transform holds the single message transforms and predicates of Apache Kafka, and
// Debezium's ExtractNewRecordState, under their Java class names.
//
// A transform of the topic, the key or the headers never looks at the value. One that changes some
// fields of a struct splits it (connector.Value.AppendFields) and joins the parts anew: fields that
// it does not touch stay wire bytes. Schemas that transforms make are kept per schema that came in,
// up to 256 of them, so that equal records have the same *connector.Schema. Fields of records without
// a schema keep their order; a new one comes last.
//
// Error texts and exception classes are Kafka's. Values are converted as Java's casts do
// (an int64 loses its upper bits as an int8). Where text is read, what Java would shift silently,
// such as the 13th month of a year, is an error. Dates before 1582 are of the Gregorian calendar.
package transform
