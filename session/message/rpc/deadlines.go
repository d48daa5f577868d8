package rpc

// deadlines are calls in the order in which they expire: a binary heap. Each call knows
// its place, so that one that is answered leaves in logarithmic time.
type deadlines []*call

// noPlace is the place of a call that is not among them.
const noPlace = -1

func (d *deadlines) add(c *call) {
	c.place = len(*d)
	*d = append(*d, c)
	d.rise(c.place)
}

// remove takes c out, if it is there.
func (d *deadlines) remove(c *call) {
	at, last := c.place, len(*d)-1
	if at == noPlace {
		return
	}
	d.swap(at, last)
	(*d)[last] = nil
	*d = (*d)[:last]
	c.place = noPlace
	if at < last {
		d.rise(at)
		d.sink(at)
	}
}

func (d deadlines) rise(at int) {
	for at > 0 {
		above := (at - 1) / 2
		if d[above].deadline <= d[at].deadline {
			return
		}
		d.swap(at, above)
		at = above
	}
}

func (d deadlines) sink(at int) {
	for {
		first := at
		for below := 2*at + 1; below <= 2*at+2 && below < len(d); below++ {
			if d[below].deadline < d[first].deadline {
				first = below
			}
		}
		if first == at {
			return
		}
		d.swap(at, first)
		at = first
	}
}

func (d deadlines) swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}
