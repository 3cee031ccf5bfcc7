package fetch

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"code.dny.dev/ssrf"
	"golang.org/x/net/idna"
)

const maxURL = 2048 // characters

// guard decides what may be reached.
type guard struct {
	public   *ssrf.Guardian
	ports    []uint16
	allowed  []netip.Prefix // on any port
	ownHosts func() []string
}

// besides are addresses that the library takes for public, and that are not: the
// one under which Azure's platform serves its virtual machines.
var besides = []netip.Prefix{netip.MustParsePrefix("168.63.129.16/32")}

func newGuard(c *Client) *guard {
	ports := c.ports
	if ports == nil {
		ports = []uint16{80, 443}
	}
	return &guard{
		public:   ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(besides...)),
		ports:    ports,
		allowed:  c.Allowed,
		ownHosts: c.OwnHosts,
	}
}

// parse checks a URL as far as that is possible without the network.
func (g *guard) parse(raw string) (*url.URL, error) {
	u, err := usable(raw)
	if err != nil {
		return nil, err
	}
	blocked := func(reason string) (*url.URL, error) { return nil, &Error{Kind: KindBlocked, Reason: reason} }
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return blocked(fmt.Sprintf("no http or https URL with a host: scheme %.20q", u.Scheme))
	}
	host, err := asciiHost(u.Hostname())
	if err != nil {
		return nil, &Error{Kind: KindInvalid, Reason: fmt.Sprintf("host %.80q: %v", u.Hostname(), err)}
	}
	port, err := portOf(u)
	if err != nil {
		return nil, &Error{Kind: KindInvalid, Reason: fmt.Sprintf("%s: port %.20q", host, u.Port())}
	}
	if u.User != nil {
		return blocked(host + ": user name in the URL")
	}
	if reason := g.refuses(host, port); reason != "" {
		return blocked(host + ": " + reason)
	}
	setHost(u, host)
	return u, nil
}

// usable checks what every URL must be.
func usable(raw string) (*url.URL, error) {
	invalid := func(reason string) (*url.URL, error) { return nil, &Error{Kind: KindInvalid, Reason: reason} }
	if raw == "" || utf8.RuneCountInString(raw) > maxURL {
		return invalid("empty or longer than 2048 characters")
	}
	if !utf8.ValidString(raw) || strings.ContainsFunc(raw, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return invalid("blanks, control characters or invalid UTF-8")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return invalid("not a URL") // the error has all of the URL in it
	}
	return u, nil
}

// asciiHost gives the name that will be looked up. It maps what looks like digits
// and dots to digits and dots, as browsers do, so that addresses written that way
// are known as such here.
func asciiHost(host string) (string, error) {
	ascii := !strings.ContainsFunc(host, func(r rune) bool { return r >= utf8.RuneSelf })
	if !ascii {
		var err error
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return "", err
		}
	}
	return strings.ToLower(host), nil
}

// setHost writes the host back without changing the port.
func setHost(u *url.URL, host string) {
	port := u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Host = host; port != "" {
		u.Host += ":" + port
	}
}

func portOf(u *url.URL) (uint16, error) {
	switch {
	case u.Port() != "":
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		return uint16(port), err
	case u.Scheme == "https":
		return 443, nil
	}
	return 80, nil
}

// refuses gives the reason why a host and port are not even looked up, or "".
func (g *guard) refuses(host string, port uint16) string {
	if address, err := netip.ParseAddr(host); err == nil {
		return g.refusesLiteral(address, port)
	}
	name := strings.TrimRight(host, ".")
	switch {
	case numeric(name):
		return "an address in an odd spelling"
	case !slices.Contains(g.ports, port) && len(g.allowed) == 0:
		return fmt.Sprintf("port %d", port)
	case g.own(name):
		return "our own name"
	}
	return ""
}

// refusesLiteral checks an address in a URL as it is written there: one that
// names an IPv4 address in IPv6 is refused whatever it names, unlike one that
// the resolver gives.
func (g *guard) refusesLiteral(address netip.Addr, port uint16) string {
	if address.Zone() != "" || address.Is4In6() && !g.isAllowed(address.Unmap()) {
		return "an address that is not public"
	}
	return g.refusesAddress(netip.AddrPortFrom(address, port))
}

// refusesAddress gives the reason why an address must not be dialled, or "".
func (g *guard) refusesAddress(to netip.AddrPort) string {
	address := to.Addr().Unmap()
	switch {
	case address.Zone() == "" && g.isAllowed(address):
		return ""
	case g.public.SafeAddr(address) != nil:
		return "an address that is not public"
	case !slices.Contains(g.ports, to.Port()):
		return fmt.Sprintf("port %d", to.Port())
	}
	return ""
}

func (g *guard) isAllowed(address netip.Addr) bool {
	return slices.ContainsFunc(g.allowed, func(p netip.Prefix) bool { return p.Contains(address) })
}

// numeric tells whether a name ends in a number, which some resolvers take for
// an address: 127.1, 0x7f.1, 0177.0.0.1, 2130706433.
func numeric(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// own tells whether name is one of this server's.
func (g *guard) own(name string) bool {
	if g.ownHosts == nil {
		return false
	}
	return slices.ContainsFunc(g.ownHosts(), func(own string) bool {
		own, err := asciiHost(strings.TrimRight(own, "."))
		if parent, ok := strings.CutPrefix(own, "*."); ok {
			_, above, _ := strings.Cut(name, ".")
			return err == nil && above == parent
		}
		return err == nil && own == name
	})
}
