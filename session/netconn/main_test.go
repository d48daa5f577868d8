package netconn_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Whatever the tests start must have ended with them. Package ants starts two goroutines
// when the program begins.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }
