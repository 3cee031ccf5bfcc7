package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestS06NamesOfPrivateAddresses(t *testing.T) {
	w := newWeb(t, nil)
	for name, records := range map[string][]string{
		"loopback.test": {"127.0.0.1"}, "private.test": {"10.0.0.1", "192.168.0.1"}, "v6.test": {"::1", "fd00::1"}, "mapped.test": {"::ffff:10.0.0.1"},
		"metadata.google.internal": {"169.254.169.254"}, "alibaba.test": {"100.100.100.200"}, "both.test": {"127.0.0.1", "::1"},
		"alias.test": {"alias2.test"}, "alias2.test": {"loopback.test"}, "alias-metadata.test": {"metadata.google.internal"}, "nat64.test": {"64:ff9b::7f00:1"},
	} {
		w.dns.set(name, records...)
	}
	for _, name := range []string{"loopback.test", "private.test", "v6.test", "mapped.test", "metadata.google.internal", "alibaba.test", "both.test", "alias.test", "alias-metadata.test", "nat64.test"} {
		for _, scheme := range []string{"http", "https"} {
			mustFail(t, &w.client, scheme+"://"+name+"/", KindBlocked)
			w.mustHaveDialled(t)
		}
	}
	if w.dns.questions() == 0 {
		t.Error("the names were not looked up, so the addresses were not what stopped it")
	}
}

// The check before a fetch saw a public address; now the name has another one.
func TestS07Rebinding(t *testing.T) {
	w := newWeb(t, func(http.ResponseWriter, *http.Request) {})
	w.dns.set("rebind.test", public)
	w.dns.set("rebind.test", "127.0.0.1")
	mustGet(t, &w.client, "http://rebind.test/")
	w.mustHaveDialled(t, public+":80")
	mustFail(t, &w.client, "http://rebind.test/", KindBlocked)
	w.mustHaveDialled(t)
	t.Run("between a redirect and its target", func(t *testing.T) {
		w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "/again", http.StatusFound) })
		w.dns.set("rebind.test", public)
		w.dns.set("rebind.test", "127.0.0.1")
		mustFail(t, &w.client, "http://rebind.test/", KindBlocked)
		w.mustHaveDialled(t, public+":80")
	})
}

func TestS08OnlyPublicAddressesOfANameAreDialled(t *testing.T) {
	w := newWeb(t, func(http.ResponseWriter, *http.Request) {})
	w.dns.set("mixed.test", "127.0.0.1", public, "10.0.0.1", "::1", "fd00::1")
	mustGet(t, &w.client, "http://mixed.test/")
	w.mustHaveDialled(t, public+":80")
	t.Run("even if they do not answer", func(t *testing.T) {
		w := newWeb(t, nil)
		w.dns.set("mixed.test", "127.0.0.1", otherPublic)
		mustFail(t, &w.client, "http://mixed.test/", KindFailed)
		w.mustHaveDialled(t, otherPublic+":80")
	})
}

func TestNextAddressIsTriedWhenOneFails(t *testing.T) {
	w := newWeb(t, func(http.ResponseWriter, *http.Request) {})
	d := &dialer{guard: newGuard(&w.client), connect: w.connect, times: times{}.withDefaults()}
	targets := []netip.AddrPort{netip.MustParseAddrPort(otherPublic + ":80"), netip.MustParseAddrPort(public + ":80")}
	conn, err := d.connectAny(t.Context(), targets)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	w.mustHaveDialled(t, otherPublic+":80", public+":80")
}

func TestNotAllAddressesOfANameAreTried(t *testing.T) {
	w := newWeb(t, nil)
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("93.184.217.%d", i+1))
	}
	w.dns.set("many.test", many...)
	mustFail(t, &w.client, "http://many.test/", KindFailed)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.dialled) != maxAddresses {
		t.Errorf("%d addresses were tried", len(w.dialled))
	}
}

// With the real dialer and servers on loopback whose ports are allowed: nobody
// connects, however the address is written or found.
func TestNoPacketReachesLoopback(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"} {
		t.Run(at, func(t *testing.T) {
			tr := newTrap(t, at)
			moved := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, fmt.Sprintf("http://127.0.0.1:%d/", tr.port()), http.StatusFound)
			})
			_, err := (&moved.client).Get(t.Context(), "http://site.test/")
			if err == nil {
				t.Error("a redirect to loopback is followed")
			}
			names := newDNS(t)
			names.set("loopback.test", "127.0.0.1", "::1", "0.0.0.0")
			names.set("alias.test", "loopback.test")
			c := &Client{resolver: names.resolver(), ports: []uint16{tr.port()}}
			for _, host := range []string{"127.0.0.1", "127.9.9.9", "[::1]", "0.0.0.0", "[::]", "0", "127.1", "2130706433", "0x7f.1", "①②⑦.0.0.1", "[::ffff:127.0.0.1]", "[::127.0.0.1]",
				"loopback.test", "alias.test", "localhost", "localhost.", "LOCALHOST", "ⓛocalhost", "ip6-localhost", "localhost.localdomain"} {
				for _, scheme := range []string{"http", "https"} {
					response, err := c.Get(t.Context(), fmt.Sprintf("%s://%s:%d/", scheme, host, tr.port()))
					if err == nil {
						response.Body.Close()
						t.Errorf("%s is reached", host)
					}
				}
			}
			tr.mustBeUntouched(t)
		})
	}
}

// The last check stands alone too: the system's dialer asks it.
func TestTheLastCheckGuardsTheRealDialer(t *testing.T) {
	tr := newTrap(t, "127.0.0.1:0")
	d := &dialer{guard: newGuard(&Client{ports: []uint16{tr.port()}}), times: times{}.withDefaults()}
	conn, err := d.connectTo(t.Context(), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), tr.port()), time.Minute)
	if err == nil {
		conn.Close()
	}
	if typed, ok := errors.AsType[*Error](err); !ok || typed.Kind != KindBlocked {
		t.Errorf("%v", err)
	}
	tr.mustBeUntouched(t)
}

func TestS05NamesThatLookLikeOthers(t *testing.T) {
	w := newWeb(t, nil)
	for _, host := range []string{"xn--lcalhost-54g", "xn--e1afmkfd.test", "locaⅼhost.test", "127.0.0.1.nip.test"} {
		mustFail(t, &w.client, "http://"+host+"/", KindFailed)
	}
	w.mustHaveDialled(t)
}

func TestS09Redirects(t *testing.T) {
	var to string
	status := http.StatusFound
	w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/end" {
			return
		}
		if to != "" {
			rw.Header().Set("Location", to)
		}
		rw.WriteHeader(status)
	})
	w.dns.set("private.test", "192.168.0.1")
	w.dns.set("other.test", public)
	w.servers[public+":443"] = "127.0.0.1:1"
	const start = "http://site.test/start"
	for _, status = range []int{301, 302, 303, 307, 308} {
		for _, to = range []string{
			"http://127.0.0.1/", "http://[::1]/", "//127.0.0.1/", "http://169.254.169.254/", "http://private.test/", "https://100.100.100.200/",
			"file:///etc/passwd", "gopher://site.test/", "http://site.test:22/", "//site.test:6379/", "http://user:pass@site.test/", "http://127.1/", "http://①②⑦.0.0.1/",
		} {
			t.Run(fmt.Sprint(status, " to ", to), func(t *testing.T) {
				mustFail(t, &w.client, start, KindBlocked)
				w.mustHaveDialled(t, public+":80")
			})
		}
		for _, to = range []string{"/end", "end", "http://other.test/end", "//other.test/end", "HTTP://SITE.test/end#x"} {
			mustGet(t, &w.client, start)
			w.mustHaveDialled(t, public+":80", public+":80")
		}
		for _, to = range []string{"", "http://site.test:port/", "http://site.test/%zz", "http://[/", "http://nobody.test/",
			"http://site.test:65536/", "/" + strings.Repeat("x", maxURL)} {
			mustFail(t, &w.client, start, KindFailed)
			w.mustHaveDialled(t, public+":80")
		}
	}
}

func TestS09NumberOfRedirects(t *testing.T) {
	var hops int
	w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		if hops--; hops >= 0 {
			http.Redirect(rw, r, fmt.Sprintf("/%d", hops), http.StatusFound)
		}
	})
	const dial = public + ":80"
	hops = 3
	mustGet(t, &w.client, "http://site.test/")
	w.mustHaveDialled(t, dial, dial, dial, dial)
	for _, hops = range []int{4, 1000} {
		mustFail(t, &w.client, "http://site.test/", KindFailed)
		w.mustHaveDialled(t, dial, dial, dial, dial)
	}
	t.Run("loop", func(t *testing.T) {
		w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "/", http.StatusFound) })
		mustFail(t, &w.client, "http://site.test/", KindFailed)
		w.mustHaveDialled(t, dial, dial, dial, dial)
	})
}

// The content of a redirect is not waited for, nor kept open meanwhile.
func TestS09RedirectWithContentWithoutEnd(t *testing.T) {
	ended := make(chan struct{})
	w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/end" {
			<-ended
			return
		}
		rw.Header().Set("Location", "/end")
		rw.WriteHeader(http.StatusFound)
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
		close(ended)
	})
	mustGet(t, &w.client, "http://site.test/")
	w.mustHaveDialled(t, public+":80", public+":80")
}

// Each limit alone stops what hangs; the others are too long to be the cause.
func TestS15Times(t *testing.T) {
	const short = 30 * time.Millisecond
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	silent := newSilent(t)
	for what, c := range map[string]struct {
		handler http.HandlerFunc
		prepare func(*web)
		url     string
	}{
		"name that nobody answers for": {nil, func(w *web) { w.dns.silent, w.client.times.lookup = true, short }, "http://site.test/"},
		"connection": {nil, func(w *web) {
			w.client.connect = func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
			w.client.times.connect = short
		}, "http://site.test/"},
		"handshake":             {nil, func(w *web) { w.servers[public+":443"], w.client.times.handshake = silent, short }, "https://site.test/"},
		"first byte":            {hang, func(w *web) { w.client.times.firstByte = short }, "http://site.test/"},
		"everything, no answer": {hang, func(w *web) { w.client.times.total = short }, "http://site.test/"},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWeb(t, c.handler)
			c.prepare(w)
			begin := time.Now()
			err := mustFail(t, &w.client, c.url, KindFailed)
			if took := time.Since(begin); took > 4*time.Second { // less than the system's own limits
				t.Errorf("it took %v", took)
			}
			if timeout, ok := errors.AsType[net.Error](err.Err); !ok || !timeout.Timeout() {
				t.Errorf("%v is no timeout", err.Err)
			}
		})
	}
}

func TestS15TimeForTheContent(t *testing.T) {
	w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	w.client.times.total = 100 * time.Millisecond
	response := mustGet(t, &w.client, "http://site.test/")
	_, err := response.Body.Read(make([]byte, 1))
	if typed, ok := err.(*Error); !ok || typed.Kind != KindFailed || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestUsualTimes(t *testing.T) {
	want := times{lookup: 5 * time.Second, connect: 5 * time.Second, handshake: 5 * time.Second, firstByte: 10 * time.Second, total: 30 * time.Second}
	if got := (times{}).withDefaults(); got != want {
		t.Errorf("%+v", got)
	}
	via := (&Client{}).transport(newGuard(&Client{}), want).(*http.Transport)
	if via.TLSHandshakeTimeout != want.handshake || via.ResponseHeaderTimeout != want.firstByte {
		t.Errorf("%v, %v", via.TLSHandshakeTimeout, via.ResponseHeaderTimeout)
	}
}

// The time for connecting is shared, so that one address that does not answer
// leaves some for the next.
func TestS15OneSilentAddressLeavesTimeForTheNext(t *testing.T) {
	w := newWeb(t, func(http.ResponseWriter, *http.Request) {})
	w.dns.set("two.test", otherPublic, public)
	w.client.times.connect = 2 * time.Second
	w.client.connect = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		if to.Addr().String() == otherPublic {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > 1100*time.Millisecond {
				t.Errorf("the first address may take up to %v", deadline)
			}
			return nil, context.DeadlineExceeded
		}
		return w.connect(ctx, to)
	}
	d := &dialer{guard: newGuard(&w.client), connect: w.client.connect, times: w.client.times.withDefaults()}
	conn, err := d.connectAny(t.Context(), []netip.AddrPort{netip.MustParseAddrPort(otherPublic + ":80"), netip.MustParseAddrPort(public + ":80")})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// newSilent gives the address of a server that accepts and never answers.
func newSilent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() }) // the system accepts for it
	return listener.Addr().String()
}
