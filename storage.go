package caddyqwen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/internal/fetch"
	"github.com/caddy-qwen/caddy-qwen/internal/spool"
	"github.com/caddy-qwen/caddy-qwen/oss"
)

// The values of [Handler.LongPrompts].
const (
	longUpload = "upload"
	longRefuse = "refuse"
)

// files is what a handler needs to take in files and to send them on.
type files struct {
	spool        *spool.Spool
	storage      *oss.Client
	fetchAllowed []netip.Prefix

	clockOffset atomic.Int64 // of the storage's clock, as it was logged last
}

// setUpFiles prepares for files. Nothing is opened or made before it is needed.
func (h *Handler) setUpFiles() error {
	h.files = new(files)
	h.spool = spool.New(filepath.Join(caddy.AppDataDir(), "qwen", "spool"), h.MaxSpool)
	h.storage = &oss.Client{Transport: h.client.Transport}
	if h.StorageEndpoint != "" {
		if err := checkBaseURL(h.StorageEndpoint); err != nil {
			return fmt.Errorf("storage_endpoint: %w", err)
		}
		h.storage.Endpoint, _ = url.Parse(h.StorageEndpoint) // it has just been checked
	}
	var err error
	if h.fetchAllowed, err = parsePrefixes(h.FetchAllow); err != nil {
		return fmt.Errorf("fetch_allow: %w", err)
	}
	return nil
}

// parsePrefixes reads addresses and networks.
func parsePrefixes(list []string) ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			var address netip.Addr
			if address, err = netip.ParseAddr(s); err == nil {
				prefix, err = address.Prefix(address.BitLen())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address, such as 192.168.1.10, nor a network, such as 192.168.1.0/24", s)
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}

// fetcher returns what fetches files that a client of this server, which it has
// called by a name, has named.
func (h *Handler) fetcher(host string) *fetch.Client {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	own := []string{strings.Trim(host, "[]")}
	return &fetch.Client{Allowed: h.fetchAllowed, OwnHosts: func() []string { return own }}
}

// logFetch tells the owner why a file was not fetched.
func (h *Handler) logFetch(ctx context.Context, err error) {
	var e *fetch.Error
	if !errors.As(err, &e) || e.Kind == fetch.KindInvalid {
		return
	}
	info := infoOf(ctx)
	h.logger.Warn("a file that a client has named was not fetched",
		zap.String("request_id", info.id), zap.String("caller", info.caller), zap.String("reason", e.Reason))
}

// logClock tells, once for each change, that the storage's clock is another.
func (h *Handler) logClock() {
	offset := h.storage.ClockOffset()
	if h.clockOffset.Swap(int64(offset)) != int64(offset) {
		h.logger.Warn("the storage's clock differs from that of the server, which is probably wrong", zap.Duration("offset", offset.Round(time.Second)))
	}
}
