//go:build !unix

package serving

import "time"

func ProcessCPU() time.Duration { return 0 }
func residentBytes() int64      { return 0 }
