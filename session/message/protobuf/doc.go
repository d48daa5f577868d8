// Package protobuf writes messages in Protocol Buffers. Their schema is message.proto, beside
// this file: give it to the compiler of any language, and it reads and writes them. Values are a
// list of entries, as a map has no order; to who does not need the order they are a map.
//
// What is written is in the order of the field numbers, without fields that say nothing, in the
// shortest varints. In what is read the order of fields is the sender's choice, also varints
// longer than needed and fields that are there and say nothing; unknown fields, numbers and
// kinds, and a field twice that is not repeated, are refused.
//
// Library google.golang.org/protobuf reads and writes tags and numbers, through its package
// protowire: generated code would make a tree of its own objects first, and take memory for
// what is over the limits.
package protobuf
