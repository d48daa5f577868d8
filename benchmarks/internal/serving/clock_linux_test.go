package serving

import (
	"os"
	"testing"
	"time"
)

// What the clock of a process says lies between two of its own readings. Those of the
// kernel's accounting are rounded.
func TestClockOfAProcessAgreesWithItsOwn(t *testing.T) {
	const rounding = time.Millisecond
	before := ProcessCPU()
	for ProcessCPU()-before < 20*time.Millisecond { // has used some
	}
	least := ProcessCPU()
	got, ok := processorTimeOf(os.Getpid())
	most := ProcessCPU()
	if !ok || got < least-rounding || got > most+rounding {
		t.Errorf("the clock says %v (%v), the process %v to %v", got, ok, least, most)
	}
	if _, ok := processorTimeOf(1 << 23); ok {
		t.Error("there is a clock of a process that does not exist")
	}
}
