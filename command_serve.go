package caddyqwen

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// serveTime is how long the requests of a command may go on when it ends.
const serveTime = 10 * time.Second

// reporterKey is the key, in a request's context, of what is to be called with how
// much of a large file is at the site, in percent.
type reporterKey struct{}

// reporterOf returns what the upload of a request is to tell its progress, or nil.
func reporterOf(ctx context.Context) func(percent int) {
	report, _ := ctx.Value(reporterKey{}).(func(int))
	return report
}

// forCommand is the change to a configuration for a command that serves the API to
// itself: with a key that nobody else has, and without a record.
func forCommand(key string) func(map[string]any) {
	return func(config map[string]any) {
		config["api_keys"] = []any{map[string]any{"name": "command", "keys": []string{key}}}
		config["auth"] = authKeys
		config["sessions"] = map[string]string{"store": "off"}
		if config["chats"] == chatsDelete {
			// Nobody would remember when the chat is due.
			config["chats"] = chatsTemporary
			delete(config, "delete_chats_after")
		}
	}
}

// serve serves the API on a free port of this computer until stop is called, and
// has the progress of uploads reported.
func (t *tool) serve(report func(percent int)) (base string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	site := new(caddyhttp.Server)
	nothing := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusNotFound)
		return nil
	})
	server := &http.Server{
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), reporterKey{}, report)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = t.ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, site), nothing) // it answers failures itself
		}),
		ReadHeaderTimeout: serveTime,
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends with ErrServerClosed
	}()
	return "http://" + listener.Addr().String() + "/v1", func() {
		ctx, cancel := context.WithTimeout(context.Background(), serveTime)
		defer cancel()
		if err := server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			server.Close()
		}
		<-served
	}, nil
}
