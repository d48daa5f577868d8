package engine_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
)

// established counts the connections that the kernel holds as ESTABLISHED at a local
// address: what `ss -tn state established src = address` lists. The kernel shows a row
// twice, or not at all, if connections come or go while the table is read, those of
// other programs too.
func established(t *testing.T, local *net.TCPAddr) int {
	t.Helper()
	const stateEstablished = "01"
	own := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(local.IP.To4()), local.Port)
	f, err := os.Open("/proc/net/tcp")
	must(t, err)
	defer f.Close()
	peers := make(map[string]bool)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// sl  local_address rem_address st …
		if fields := strings.Fields(lines.Text()); len(fields) > 3 && fields[1] == own && fields[3] == stateEstablished {
			peers[fields[2]] = true
		}
	}
	return len(peers)
}

// visitors are clients that come, and go in every way.
type visitors struct {
	engine *engine.Engine
	addr   string
	rng    *rand.Rand
	inside []net.Conn
}

// visit connects, and has somebody leave: often the new one.
func (v *visitors) visit(most int) error {
	c, err := net.DialTimeout("tcp4", v.addr, patience)
	if err != nil {
		return err
	}
	if err := c.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		return err
	}
	var id [8]byte // the session says it first
	if _, err := io.ReadFull(c, id[:]); err != nil {
		return err
	}
	switch v.rng.IntN(6) {
	case 0:
		return c.Close() // FIN
	case 1:
		if err := c.(*net.TCPConn).SetLinger(0); err != nil {
			return err
		}
		return c.Close() // RST
	case 2:
		if err := v.engine.Kick(binary.BigEndian.Uint64(id[:]), nil); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			return err
		}
		return c.Close()
	}
	v.inside = append(v.inside, c)
	if len(v.inside) > most {
		i := v.rng.IntN(len(v.inside))
		c := v.inside[i]
		v.inside[i] = v.inside[len(v.inside)-1]
		v.inside = v.inside[:len(v.inside)-1]
		return c.Close()
	}
	return nil
}

// TestBigCountIsWhatTheKernelSays: when ten thousand connections have come and most
// gone, Count is what the kernel has established, and what the clients have.
func TestBigCountIsWhatTheKernelSays(t *testing.T) {
	const goroutines, pauses = 8, 4
	each, most := amount(10_240, 2048, 512)/goroutines/pauses, amount(500, 50, 10)
	for name, opts := range map[string][]engine.Option{
		"pool":       {engine.WithMode(engine.Pool), engine.WithLoops(2)},
		"inline":     {engine.WithMode(engine.Inline), engine.WithLoops(2)},
		"reuse port": {engine.WithLoops(2), engine.WithReusePort()},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProbe()
			p.onOpen = func(s *session.Session) { check(t, s.Send(binary.BigEndian.AppendUint64(nil, s.ID()))) }
			v := serve(t, "tcp4", p, opts...)
			addr := v.listener.Addr().(*net.TCPAddr)
			var crowd [goroutines]*visitors
			for i := range crowd {
				crowd[i] = &visitors{engine: v.engine, addr: addr.String(), rng: rand.New(rand.NewPCG(1, uint64(i)))}
			}
			defer func() {
				for _, who := range crowd {
					for _, c := range who.inside {
						c.Close()
					}
				}
			}()
			for range pauses {
				var all sync.WaitGroup
				for _, who := range crowd {
					all.Go(func() {
						for range each {
							if err := who.visit(most); err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
				inside := 0
				for _, who := range crowd {
					inside += len(who.inside)
				}
				until(t, "Count is what the clients have", func() bool { return v.engine.Count() == inside })
				until(t, "so is what the kernel has", func() bool { return established(t, addr) == inside })
				listed := 0
				v.engine.Sessions(func(*session.Session) bool { listed++; return true })
				if listed != inside || v.engine.Count() != inside || v.engine.Stats().Sessions != inside {
					t.Errorf("of %d connections Count counts %d, Sessions %d, Stats %d", inside, v.engine.Count(), listed, v.engine.Stats().Sessions)
				}
				t.Logf("after %d connections: %d established, Count %d", v.engine.Stats().Accepted, inside, v.engine.Count())
			}
		})
	}
}
