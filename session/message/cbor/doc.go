// Package cbor writes messages in CBOR, RFC 8949. A message is an array of seven:
//
//	[kind, type, source, target, correlation, version, values]
//
// Kind, correlation and version are unsigned integers, the names are texts, values is a map with
// texts as keys, in the order in which they were set. Null, booleans, texts, byte strings, maps
// and arrays are CBOR's own, floats are written in 64 bits. An integer is an int, or a uint if it is
// above 1<<63-1. What CBOR does not tell apart has the tag Tag: before an unsigned integer it
// makes a uint, before a byte string a text that is not UTF-8.
//
// Floats of 16 and 32 bits and lengths longer than needed are taken; indefinite lengths,
// undefined, other tags and other simple values are refused.
//
// Library fxamacker/cbor finds out whether what came in is well-formed, before memory is taken for it.
package cbor
