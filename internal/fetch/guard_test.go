package fetch

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Nothing is sent to these, and no name is looked up.
var blocked = map[string][]string{
	"S01 this host": {"http://127.0.0.1/", "http://127.9.9.9/", "http://[::1]/", "http://0.0.0.0/", "http://0/", "http://[::]/", "https://127.0.0.1/"},
	"S02 metadata services": {"http://169.254.169.254/latest/meta-data/", "http://100.100.100.200/", "http://[fd00:ec2::254]/",
		"http://192.0.0.192/", "http://168.63.129.16/"},
	"S03 private and special IPv4": {"http://10.0.0.1/", "http://10.255.255.255/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.0.1/",
		"http://100.64.0.1/", "http://100.127.255.255/", "http://192.0.0.1/", "http://198.18.0.1/", "http://198.19.255.255/", "http://240.0.0.1/",
		"http://224.0.0.1/", "http://239.255.255.255/", "http://255.255.255.255/", "http://192.0.2.1/", "http://198.51.100.1/", "http://203.0.113.1/", "http://192.88.99.1/"},
	"S04 special IPv6": {"http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::ffff:93.184.216.34]/", "http://[::127.0.0.1]/", "http://[::a00:1]/",
		"http://[::93.184.216.34]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b::5db8:d822]/", "http://[64:ff9b:1::1]/", "http://[2002:7f00:1::]/", "http://[2002:5db8:d822::1]/",
		"http://[2001::1]/", "http://[2001:1ff::1]/", "http://[fc00::1]/", "http://[fdff::1]/", "http://[fe80::1]/", "http://[fe80::1%25eth0]/", "http://[fe80::1%25lo]/",
		"http://[2606:2800:220:1::1%25eth0]/", "http://[::1%25lo]/", "http://[fec0::1]/", "http://[ff02::1]/", "http://[100::1]/", "http://[2001:db8::1]/", "http://[3fff::1]/", "http://[5f00::1]/", "http://[4000::1]/"},
	"S05 odd spellings": {"http://127.1/", "http://2130706433/", "http://0x7f.1/", "http://0x7f000001/", "http://0X7F.1/", "http://0177.0.0.1/", "http://①②⑦.0.0.1/", "http://127。0。0。1/",
		"http://127.0.0.1./", "http://１２７.0.0.1/", "http://127.0.1/", "http://a.127/", "http://0x/", "http://a.0x1f./"},
	"S10 schemes and what has none": {"file:///etc/passwd", "gopher://site.test/", "ftp://site.test/", "unix:/run/x.sock", "//site.test/", "/etc/passwd", "photo.png", "../photo.png",
		"data:image/png;base64,AAAA", "javascript:alert(1)", "http:site.test", "http:///x", "http://", "https:/site.test/x", "http://:80/", "site.test/photo.png"},
	"S11 ports":      {"http://site.test:22/", "http://site.test:8080/", "https://site.test:6379/", "http://site.test:0/", "http://93.184.216.34:25/", "http://site.test:65535/"},
	"S12 user names": {"http://user:pass@site.test/", "http://user@site.test/", "http://@site.test/", "http://site.test@127.0.0.1/", "http://127.0.0.1@site.test/"},
}

func TestBlocked(t *testing.T) {
	for what, urls := range blocked {
		for _, url := range urls {
			t.Run(what+" "+url, func(t *testing.T) {
				w := newWeb(t, nil)
				mustFail(t, &w.client, url, KindBlocked)
				w.mustHaveDialled(t)
				if asked := w.dns.questions(); asked != 0 {
					t.Errorf("%d names were looked up", asked)
				}
			})
		}
	}
}

// The same addresses do not pass the checks at the moment of dialling, whatever
// let them through before.
func TestBlockedAddressesDoNotPassTheDialer(t *testing.T) {
	c := &Client{}
	d := &dialer{guard: newGuard(c), connect: func(_ context.Context, to netip.AddrPort) (net.Conn, error) {
		t.Errorf("%s is dialled", to)
		return nil, fmt.Errorf("dialled")
	}, times: times{}.withDefaults()}
	tried := 0
	for _, raw := range slices.Concat(blocked["S01 this host"], blocked["S02 metadata services"], blocked["S03 private and special IPv4"], blocked["S04 special IPv6"]) {
		u := mustURL(t, raw)
		address, err := netip.ParseAddr(u.Hostname())
		if err != nil || address.Is4In6() && strings.HasSuffix(address.String(), public) {
			continue // not an address, or one that the resolver too gives for a public one
		}
		tried++
		to := netip.AddrPortFrom(address, 80).String()
		if _, err := d.dial(t.Context(), "tcp", to); err == nil || err.(*Error).Kind != KindBlocked {
			t.Errorf("%s: %v", to, err)
		}
		if err := d.control("tcp", to, nil); err == nil || err.(*Error).Kind != KindBlocked {
			t.Errorf("%s passes the last check: %v", to, err)
		}
	}
	if tried < 40 {
		t.Errorf("only %d addresses", tried)
	}
	for _, to := range []string{public + ":80", public + ":443", "[" + publicV6 + "]:443"} {
		if err := d.control("tcp", to, nil); err != nil {
			t.Errorf("%s does not pass: %v", to, err)
		}
	}
	for _, to := range []string{public + ":22", "site.test:80", public} {
		if err := d.control("tcp", to, nil); err == nil {
			t.Errorf("%s passes", to)
		}
	}
}

func TestS13UnusableURLs(t *testing.T) {
	w := newWeb(t, func(http.ResponseWriter, *http.Request) {})
	fits := "http://site.test/" + strings.Repeat("长", maxURL-len("http://site.test/"))
	mustGet(t, &w.client, fits)
	w.mustHaveDialled(t, public+":80")
	for _, raw := range []string{
		"", fits + "x", "http://site.test/a b", " http://site.test/", "http://site.test/\n", "http://site.test/\t", "http://site.test/\x00", "http://site.test/\u00a0",
		"http://site.test/\u3000", "http://site.test/\u0085", "http://site.test/\xff", "http://site.test/\x7f", "http://[::1/", "http://site.test:port/", "http://site.test:65536/",
		"http://site.test:-1/", "http://a%31.test/", "http://site.test\\@127.0.0.1/", "http://xn--\u00fc.test/", "http://\u2260\u0338.test/", "%", ":", "http://[zz]/",
	} {
		mustFail(t, &w.client, raw, KindInvalid)
	}
	w.mustHaveDialled(t)
}

func TestPublicAddressesAreReached(t *testing.T) {
	w := newWeb(t, func(http.ResponseWriter, *http.Request) {})
	w.servers["["+publicV6+"]:80"] = w.servers[public+":80"]
	w.servers[public+":443"] = w.servers[public+":80"]
	for _, c := range [][2]string{
		{"http://" + public + "/", public + ":80"}, {"HTTP://SITE.test./", public + ":80"}, {"http://site.test:80/", public + ":80"},
		{"http://[" + publicV6 + "]/", "[" + publicV6 + "]:80"}, {"http://site.test:443/", public + ":443"}, {"http://ＳＩＴＥ.test/", public + ":80"}, {"http://site.test:/", public + ":80"},
	} {
		mustGet(t, &w.client, c[0])
		w.mustHaveDialled(t, c[1])
	}
}

func mustURL(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

// What passes as a URL is http or https, to a standard port of a host in ASCII
// that is no address but a public one.
func FuzzParse(f *testing.F) {
	for _, urls := range blocked {
		for _, raw := range urls {
			f.Add(raw)
		}
	}
	f.Add("https://site.test/photo.png?a=b#c")
	g := newGuard(&Client{})
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := g.parse(raw)
		if err != nil {
			if _, ok := err.(*Error); !ok {
				t.Errorf("%T", err)
			}
			return
		}
		port, err := portOf(u)
		host := u.Hostname()
		if u.Scheme != "http" && u.Scheme != "https" || err != nil || port != 80 && port != 443 || u.User != nil || host == "" {
			t.Errorf("%q passes as %s", raw, u)
		}
		if strings.ContainsFunc(host, func(r rune) bool { return r > '~' || r <= ' ' }) {
			t.Errorf("%q passes with the host %q", raw, host)
		}
		if address, err := netip.ParseAddr(host); err == nil && g.refusesAddress(netip.AddrPortFrom(address, port)) != "" {
			t.Errorf("%q passes to %s", raw, address)
		}
		if again, err := g.parse(u.String()); len(u.String()) <= maxURL && (err != nil || again.Host != u.Host) {
			t.Errorf("%q becomes %s, and that %v, %v", raw, u, again, err)
		}
	})
}
