package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// maxAddresses is how many addresses of one name are tried.
const maxAddresses = 4

// dialer connects to addresses that the guard lets pass, and to no others: it
// resolves names itself, drops the addresses that are not allowed, and dials the
// others as they are, so that no second lookup can give another answer.
type dialer struct {
	guard    *guard
	resolver *net.Resolver // nil: the system's
	connect  func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	times    times
}

func (d *dialer) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, err
	}
	found, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	targets, refused := d.sift(found, uint16(port))
	if len(targets) == 0 && refused != "" {
		return nil, &Error{Kind: KindBlocked, Reason: host + ": " + refused}
	}
	return d.connectAny(ctx, targets)
}

func (d *dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{address}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.times.lookup)
	defer cancel()
	return d.resolver.LookupNetIP(ctx, "ip", host)
}

// sift keeps the addresses that may be dialled, and tells why it dropped others.
func (d *dialer) sift(found []netip.Addr, port uint16) (targets []netip.AddrPort, refused string) {
	for _, address := range found {
		to := netip.AddrPortFrom(address.Unmap(), port)
		if reason := d.guard.refusesAddress(to); reason != "" {
			refused = fmt.Sprintf("%s (%s)", reason, address)
		} else if len(targets) < maxAddresses {
			targets = append(targets, to)
		}
	}
	return targets, refused
}

// connectAny tries one address after the other, each for its share of the time.
func (d *dialer) connectAny(ctx context.Context, targets []netip.AddrPort) (net.Conn, error) {
	failed := errors.New("no address")
	deadline := time.Now().Add(d.times.connect)
	for i, to := range targets {
		share := time.Until(deadline) / time.Duration(len(targets)-i)
		conn, err := d.connectTo(ctx, to, share)
		if err == nil {
			return conn, nil
		}
		failed = err
	}
	return nil, failed
}

func (d *dialer) connectTo(ctx context.Context, to netip.AddrPort, within time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if d.connect != nil {
		return d.connect(ctx, to)
	}
	dialer := &net.Dialer{Control: d.control}
	return dialer.DialContext(ctx, "tcp", to.String())
}

// control looks at what the system is about to connect to, in case something
// between the check and here went wrong.
func (d *dialer) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return &Error{Kind: KindBlocked, Reason: "an address that cannot be read", Err: err}
	}
	if reason := d.guard.refusesAddress(to); reason != "" {
		return &Error{Kind: KindBlocked, Reason: fmt.Sprintf("%s (%s)", reason, to)}
	}
	return nil
}
