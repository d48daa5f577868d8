package rpc_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// Tests of full size take minutes and most of the machine. They run only with this flag.
var big = flag.Bool("big", false, "run the tests at full size, which takes minutes")

// Whatever the tests start must have ended with them. Package ants starts two
// goroutines when the program begins.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }
