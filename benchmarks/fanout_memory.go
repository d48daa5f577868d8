package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/weirnet/weir/benchmarks/internal/serving"
)

// fanoutMemory is a server's memory: with no connection, collected; after all loads
// of a scene, with its connections still open; and the same, collected.
type fanoutMemory struct {
	Scene     fanoutScene    `json:"scene"`
	Contender string         `json:"contender"`
	Before    serving.Memory `json:"before"`
	Unforced  serving.Memory `json:"unforced"`
	Forced    serving.Memory `json:"forced"`
}

// takeMemory reads what a scene has left behind.
func (b *fanoutBench) takeMemory(scene fanoutScene, targets []*target) error {
	for _, t := range targets {
		m := fanoutMemory{Scene: scene, Contender: t.name, Before: t.before}
		var err error
		if m.Unforced, err = t.memory(false); err != nil {
			return err
		}
		if m.Forced, err = t.memory(true); err != nil {
			return err
		}
		if err := b.results.write("memory", m); err != nil {
			return err
		}
	}
	return nil
}

func printFanoutMemory(w io.Writer, memories []fanoutMemory) {
	if len(memories) == 0 {
		return
	}
	fmt.Fprintf(w, "bytes of server memory per connection, after all loads and above what the server began with; live heap: after a collection\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "subscribers\tsize\tcontender\tresident, unforced\tresident, forced\tlive heap\tstacks\t")
	for _, m := range memories {
		per := func(after serving.Memory, bytes func(serving.Memory) int64) string {
			return fmt.Sprintf("%.0f", float64(bytes(after)-bytes(m.Before))/float64(m.Scene.Subscribers))
		}
		resident := func(m serving.Memory) int64 { return m.Resident }
		fmt.Fprintf(t, "%d\t%d\t%s\t%s\t%s\t%s\t%s\t\n", m.Scene.Subscribers, m.Scene.Size, m.Contender,
			per(m.Unforced, resident), per(m.Forced, resident),
			per(m.Forced, func(m serving.Memory) int64 { return m.HeapAlloc }), per(m.Forced, func(m serving.Memory) int64 { return m.Stacks }))
	}
	t.Flush()
	fmt.Fprintln(w)
}
