package fetch

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

// A proxy that nobody answers at is in the environment of every test: what uses
// it fails.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		if err := os.Setenv(name, "http://127.0.0.1:1"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// Addresses that stand for public servers. Nothing is ever sent to them: tests
// put a server on loopback in their place.
const (
	public      = "93.184.216.34"
	otherPublic = "93.184.216.35"
	publicV6    = "2606:2800:220:1::1"
)

// web is a network of public servers, with a record of what is dialled.
type web struct {
	client Client
	dns    *dnsServer

	mu      sync.Mutex
	servers map[string]string // real addresses of the servers, by their public ones
	dialled []string
}

// newWeb returns a web with one public server, under the name site.test.
func newWeb(t *testing.T, handler http.HandlerFunc) *web {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	w := &web{dns: newDNS(t), servers: map[string]string{public + ":80": server.Listener.Addr().String()}}
	w.dns.set("site.test", public)
	w.client = Client{resolver: w.dns.resolver(), connect: w.connect}
	return w
}

func (w *web) connect(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	w.dialled = append(w.dialled, to.String())
	server, ok := w.servers[to.String()]
	w.mu.Unlock()
	if !ok {
		return nil, errors.New("connection refused")
	}
	return new(net.Dialer).DialContext(ctx, "tcp", server)
}

func (w *web) mustHaveDialled(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.Join(w.dialled, " "); got != strings.Join(want, " ") {
		t.Errorf("dialled %q, want %q", got, want)
	}
	w.dialled = nil
}

// mustFail demands an error of a kind, and gives it.
func mustFail(t *testing.T, c *Client, url string, kind Kind) *Error {
	t.Helper()
	response, err := c.Get(t.Context(), url)
	if err == nil {
		response.Body.Close()
		t.Fatalf("%s: no error", url)
	}
	typed, ok := err.(*Error)
	if !ok || typed.Kind != kind {
		t.Fatalf("%s: %#v, want kind %d", url, err, kind)
	}
	if typed.Reason == "" {
		t.Errorf("%s: no reason for the log", url)
	}
	return typed
}

func mustGet(t *testing.T, c *Client, url string) *Response {
	t.Helper()
	response, err := c.Get(t.Context(), url)
	if err != nil {
		t.Fatalf("%s: %v: %s", url, err, err.(*Error).Reason)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// dnsServer answers questions on loopback.
type dnsServer struct {
	conn net.PacketConn

	mu      sync.Mutex
	records map[string][][]string // answers by name; the last one stays
	asked   map[string]int
	silent  bool
	clients []net.Conn // of resolvers, which wait for answers longer than those who ask them
	closed  bool
}

func newDNS(t *testing.T) *dnsServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &dnsServer{conn: conn, records: map[string][][]string{}, asked: map[string]int{}}
	var done sync.WaitGroup
	done.Go(d.serve)
	t.Cleanup(func() {
		conn.Close()
		done.Wait()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.closed = true
		for _, client := range d.clients {
			client.Close()
		}
	})
	return d
}

// set gives the addresses of a name, or its alias: a name. With more than one
// set, each question for IPv4 addresses is answered from the next.
func (d *dnsServer) set(name string, answers ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records[name] = append(d.records[name], answers)
}

func (d *dnsServer) questions() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, asked := range d.asked {
		n += asked
	}
	return n
}

func (d *dnsServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.closed {
			return nil, net.ErrClosed
		}
		client, err := net.Dial("udp", d.conn.LocalAddr().String())
		if err == nil {
			d.clients = append(d.clients, client)
		}
		return client, err
	}}
}

func (d *dnsServer) serve() {
	packet := make([]byte, 1500)
	for {
		n, from, err := d.conn.ReadFrom(packet)
		if err != nil {
			return
		}
		if answer := d.answer(packet[:n]); answer != nil {
			_, _ = d.conn.WriteTo(answer, from) // the resolver asks again
		}
	}
}

func (d *dnsServer) answer(packet []byte) []byte {
	var message dnsmessage.Message
	if message.Unpack(packet) != nil || len(message.Questions) != 1 {
		return nil
	}
	question := message.Questions[0]
	name := strings.TrimSuffix(question.Name.String(), ".")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked[name]++
	if d.silent {
		return nil
	}
	message.Header = dnsmessage.Header{ID: message.ID, Response: true, RecursionAvailable: true}
	message.Answers = d.resources(question, name)
	message.Additionals = nil
	if d.records[name] == nil {
		message.RCode = dnsmessage.RCodeNameError
	}
	answer, err := message.Pack()
	if err != nil {
		return nil
	}
	return answer
}

// resources gives what is known of a name, following aliases.
func (d *dnsServer) resources(question dnsmessage.Question, name string) (found []dnsmessage.Resource) {
	sets := d.records[name]
	if len(sets) == 0 {
		return nil
	}
	if len(sets) > 1 && question.Type == dnsmessage.TypeAAAA {
		return nil // names that change have IPv4 addresses only
	}
	if len(sets) > 1 {
		d.records[name] = sets[1:]
	}
	header := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name + "."), Class: dnsmessage.ClassINET}
	for _, value := range sets[0] {
		address, err := netip.ParseAddr(value)
		switch {
		case err != nil:
			alias := &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(value + ".")}
			found = append(found, dnsmessage.Resource{Header: header, Body: alias})
			found = append(found, d.resources(question, value)...)
		case address.Is4() && question.Type == dnsmessage.TypeA:
			found = append(found, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: address.As4()}})
		case address.Is6() && question.Type == dnsmessage.TypeAAAA:
			found = append(found, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: address.As16()}})
		}
	}
	return found
}

// trap is a server on loopback that nobody must connect to.
type trap struct {
	listener net.Listener
	accepted chan string // from where
}

func newTrap(t *testing.T, address string) *trap {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("no %s here: %v", address, err)
	}
	tr := &trap{listener: listener, accepted: make(chan string, 1000)}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			tr.accepted <- conn.RemoteAddr().String()
			conn.Close()
		}
	})
	t.Cleanup(func() {
		listener.Close()
		done.Wait()
	})
	return tr
}

func (tr *trap) port() uint16 { return uint16(tr.listener.Addr().(*net.TCPAddr).Port) }

// mustBeUntouched connects itself: connections are accepted in their order, so
// that this one is the first if there was no other.
func (tr *trap) mustBeUntouched(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("tcp", tr.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if first := <-tr.accepted; first != conn.LocalAddr().String() {
		t.Errorf("there was a connection from %s", first)
	}
}
