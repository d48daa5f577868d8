package engine_test

import "flag"

// Tests of full size take minutes and most of the machine. They run only with
// this flag: go test ./engine -big -timeout 30m.
var big = flag.Bool("big", false, "run the tests at full size, which takes minutes")
