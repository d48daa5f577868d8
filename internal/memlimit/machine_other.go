//go:build !linux

package memlimit

func machine() int64 { return 0 }
