package netconn_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session/netconn"
)

// TestTLS has package tls shake hands over Conns, and sends megabytes both ways at the same
// time; what arrives is hashed, and ends with the peer's close_notify.
func TestTLS(t *testing.T) {
	forServer, forClient := certificates(t)
	sent := noise(8 << 20)
	want := sha256.Sum256(sent)
	everyMode(t, func(t *testing.T, opts []engine.Option) {
		e := launch(t, opts...)
		l := listen(t, e, "tcp")
		dialers := map[string]func() (net.Conn, error){
			"plain": func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) },
			"both":  func() (net.Conn, error) { return netconn.Dial(context.Background(), e, "tcp", l.Addr().String()) },
		}
		for name, dial := range dialers {
			t.Run(name, func(t *testing.T) {
				raw, err := dial()
				must(t, err)
				defer raw.Close()
				accepted, err := l.Accept()
				must(t, err)
				defer accepted.Close()
				client, server := tls.Client(raw, forClient), tls.Server(accepted, forServer)
				ended := make(chan error, 4)
				for _, c := range []*tls.Conn{client, server} {
					must(t, c.SetDeadline(time.Now().Add(patience)))
					go func() {
						_, err := io.Copy(c, bytes.NewReader(sent))
						if err == nil {
							err = c.CloseWrite()
						}
						ended <- err
					}()
					go func() {
						hash := sha256.New()
						n, err := io.Copy(hash, c)
						if err == nil && (n != int64(len(sent)) || !bytes.Equal(hash.Sum(nil), want[:])) {
							t.Errorf("got %d bytes that differ from the %d sent", n, len(sent))
						}
						ended <- err
					}()
				}
				for range cap(ended) {
					must(t, await(t, "end of a direction", ended))
				}
				if !client.ConnectionState().HandshakeComplete {
					t.Error("no handshake")
				}
			})
		}
	})
}

// certificates makes a certificate for 127.0.0.1, and a client that trusts it.
func certificates(t *testing.T) (forServer, forClient *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "weir"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:        true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	forServer = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return forServer, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
}
