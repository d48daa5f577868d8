package rpc

import "fmt"

// LimitError tells that there is no room for one more.
type LimitError struct {
	What  string // of what there are as many as may be
	Limit int
}

// Error names the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("rpc: too many %s: the limit is %d", e.What, e.Limit)
}
