// Package msgpack writes messages in MessagePack. A message is an array of seven:
//
//	[kind, type, source, target, correlation, version, values]
//
// Kind, correlation and version are unsigned integers, the names are strings, values is a map
// with strings as keys, in the order in which they were set. Nil, booleans, strings, binaries,
// maps and arrays are MessagePack's own, floats are written in 64 bits. An integer, in whatever
// width and sign it is written, is an int, or a uint if it is above 1<<63-1. What MessagePack
// does not tell apart is an extension: ExtUint, 8 bytes, big-endian, is a uint, ExtString a
// string that is not UTF-8.
//
// Floats of 32 bits and lengths longer than needed are taken; other extensions are refused.
//
// Library vmihailenco/msgpack reads and writes numbers and lengths.
package msgpack
