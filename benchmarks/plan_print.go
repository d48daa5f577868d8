package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// print says what a plan measures, and how long that takes.
func (p plan) print(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "plan     %s: %d rounds of %v after %v, interleaved; server and load in two processes, over loopback\n", p.mode, p.rounds, p.round, p.warmUp)
	for _, e := range p.echo {
		var cells []string
		for _, c := range e.cells {
			cells = append(cells, c.String())
		}
		if len(cells) > 0 {
			fmt.Fprintf(w, "echo     %s\n", strings.Join(cells, " "))
		}
		cells = nil
		for _, c := range e.churn {
			cells = append(cells, c.String())
		}
		if len(cells) > 0 {
			fmt.Fprintf(w, "churn    %s\n", strings.Join(cells, " "))
		}
	}
	if len(p.fanout) > 0 {
		var cells []string
		for _, c := range p.fanout {
			cells = append(cells, c.String())
		}
		fmt.Fprintf(w, "fan-out  %s\n", strings.Join(cells, " "))
	}
	if len(p.idle.contenders) > 0 {
		fmt.Fprintf(w, "idle     %v connections\n", p.idle.counts())
	}
	takes := p.time()
	fmt.Fprintf(w, "takes    about %s, until %s; Ctrl-C ends it and reports what there is\n", takesText(takes), now.Add(takes).Format("15:04"))
}

func takesText(d time.Duration) string {
	if d < 90*time.Second {
		return fmt.Sprintf("%d seconds", int(d.Seconds()))
	}
	return fmt.Sprintf("%d minutes", int(d.Round(time.Minute).Minutes()))
}
