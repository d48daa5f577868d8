// Package fifo is a queue in memory: what is put in first is taken out first.
package fifo

// Queue is a queue of values. The zero value is empty and ready for use. It belongs
// to one goroutine at a time, and forgets what was taken.
type Queue[T any] struct {
	items []T // from first on
	first int
}

// Len returns how many values there are.
func (q *Queue[T]) Len() int { return len(q.items) - q.first }

// Put adds values at the end.
func (q *Queue[T]) Put(values ...T) {
	if q.first > len(q.items)/2 {
		n := copy(q.items, q.items[q.first:]) // fewer than were taken since the last time
		clear(q.items[n:])
		q.items, q.first = q.items[:n], 0
	}
	q.items = append(q.items, values...)
}

// Front returns the value that was put in first; there must be one.
func (q *Queue[T]) Front() T { return q.items[q.first] }

// Take removes the value that was put in first, and returns it; there must be one.
func (q *Queue[T]) Take() T {
	value := q.items[q.first]
	clear(q.items[q.first : q.first+1])
	q.first++
	if q.first == len(q.items) {
		q.items, q.first = q.items[:0], 0
	}
	return value
}

// TakeLast removes the value that was put in last, and returns it; there must be one.
func (q *Queue[T]) TakeLast() T {
	last := len(q.items) - 1
	value := q.items[last]
	clear(q.items[last:])
	q.items = q.items[:last]
	if q.first == last {
		q.items, q.first = q.items[:0], 0
	}
	return value
}

// All returns the values in order: a view that is good until the next call, through
// which they may be changed.
func (q *Queue[T]) All() []T { return q.items[q.first:] }
