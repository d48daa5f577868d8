//go:build race || weirdebug

package session_test

import "testing"

// TestAllocations says that allocations are not counted here: this build
// allocates to check other things. The plain build counts them.
func TestAllocations(t *testing.T) {
	t.Log("not checked: TestEchoAllocatesNothing, TestSendAllocatesNothing")
}
