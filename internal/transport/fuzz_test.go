package transport

import (
	"slices"
	"testing"

	"github.com/weirnet/weir/internal/fuzz"
)

// FuzzErrands leaves errands and runs them. One that runs may leave others, and itself.
func FuzzErrands(f *testing.F) {
	fuzz.Seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzz.New(data)
		var s Errands
		var all [5]Errand
		var waiting, ran []int // what is to run next time; what has run
		leave := func(i int) {
			there := slices.Contains(waiting, i)
			if s.Leave(&all[i]) == there {
				t.Fatalf("errand %d: waits already: %v, and was left all the same", i, there)
			}
			if !there {
				waiting = append(waiting, i)
			}
		}
		var now []int // those of this run that have not begun
		for i := range all {
			all[i].Run = func() {
				ran = append(ran, i)
				now = now[1:]
				for range c.IntN(3) {
					// One that is still to run now would wait for that, not for the next time.
					if other := c.IntN(len(all)); !slices.Contains(now, other) {
						leave(other)
					} else if s.Leave(&all[other]) {
						t.Fatalf("errand %d is to run, and was left once more", other)
					}
				}
			}
		}
		for c.More() {
			if c.IntN(3) > 0 {
				leave(c.IntN(len(all)))
			} else {
				want := waiting
				now, waiting, ran = want, nil, nil
				if n := s.RunAll(); n != len(want) || !slices.Equal(ran, want) {
					t.Fatalf("%d ran: %v, want %v", n, ran, want)
				}
			}
			if s.Empty() != (len(waiting) == 0) {
				t.Fatalf("empty: %v, but %v wait", s.Empty(), waiting)
			}
		}
	})
}

// FuzzCork gathers, holds, releases and flushes, at the top and in what is let go. Nothing
// is held when nobody gathers, and what was held goes in the order in which it came.
func FuzzCork(f *testing.F) {
	fuzz.Seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := fuzz.New(data)
		var cork Cork
		told, gathering, depth := 0, 0, 0
		cork.Holding = func() { told++ }
		var all [4]Held
		var held []int // the oldest first
		hold := func(i int) {
			before, flush := told, gathering == 0
			if !flush && !slices.Contains(held, i) {
				held = append(held, i)
				before++
			}
			cork.Hold(&all[i])
			if !flush && told != before {
				t.Fatalf("told %d times that something is held, want %d", told, before)
			}
		}
		var going []int // what a Flush under way is still to let go
		flush := func(call func()) {
			outer := going
			going, held = held, nil
			if call(); len(going) > 0 {
				t.Fatalf("%v did not go", going)
			}
			going = outer
		}
		var act func()
		for i := range all {
			all[i].Go = func() {
				switch {
				case len(going) > 0 && going[0] == i:
					going = going[1:]
				case gathering > 0:
					t.Fatalf("%d goes before %v, while somebody gathers", i, going)
				}
				if depth++; depth < 4 && c.IntN(4) == 0 {
					act()
				}
				depth--
			}
		}
		act = func() {
			switch c.IntN(6) {
			case 0:
				cork.Gather()
				gathering++
			case 1:
				if gathering > 0 && len(going) == 0 { // whoever lets go has not released yet
					gathering--
					flush(cork.Release)
				}
			case 2:
				if len(going) == 0 {
					flush(cork.Flush)
				}
			default:
				// What is about to go is held already.
				if i := c.IntN(len(all)); !slices.Contains(going, i) {
					hold(i)
				}
			}
		}
		for c.More() {
			act()
			if gathering == 0 && (cork.held.Load() != nil || len(held) > 0) {
				t.Fatalf("%v are held, and nobody gathers", held)
			}
		}
	})
}
