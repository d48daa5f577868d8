package engine_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Whatever the tests start must have ended with them.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
