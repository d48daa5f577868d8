// Package metrics shows an engine's counters where others look for them. Expvar does
// so with the standard library's expvar:
//
//	e, err := engine.New(engine.WithMetrics(metrics.Expvar("weir")))
//
// Importing expvar adds a handler for /debug/vars to http.DefaultServeMux, which is
// why this is not in package engine.
package metrics
