package load

// trouble is what went wrong on connections: the first few in words, the rest counted.
type trouble struct {
	errors    []string
	errorsAll int
}

// errorsMax bounds how many are kept in words.
const errorsMax = 8

func (t *trouble) note(text string) {
	t.errorsAll++
	if len(t.errors) < errorsMax {
		t.errors = append(t.errors, text)
	}
}
