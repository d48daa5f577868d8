package metrics_test

import (
	"encoding/json"
	"expvar"
	"fmt"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/engine/metrics"
)

// A program that serves http.DefaultServeMux, on a port of its own, shows the same
// under /debug/vars.
func ExampleExpvar() {
	e, err := engine.New(engine.WithLoops(2), engine.WithMetrics(metrics.Expvar("example")))
	if err != nil {
		fmt.Println(err)
		return
	}
	var now struct {
		Loops    int
		Sessions int
		Closed   map[string]uint64 `json:"closed_total"`
	}
	err = json.Unmarshal([]byte(expvar.Get("example").String()), &now)
	fmt.Println(now.Loops, now.Sessions, now.Closed["slow_consumer"], err)

	fmt.Println(e.Close(), expvar.Get("example"))
	// Output:
	// 2 0 0 <nil>
	// <nil> null
}
