// Package rpc asks and answers over sessions.
package rpc
