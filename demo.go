package caddyqwen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/spf13/cobra"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// demoDelay is the time between two pieces of a canned answer: slow enough to
// see that they come one by one.
const demoDelay = 80 * time.Millisecond

// demoCommand returns `caddy qwen demo`.
func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Serves the API with canned answers, to try it without an account",
		Long: `
Serves the API on a free port of this computer, in front of an emulation of the
site. No account is needed and nothing leaves the computer. The answers are
canned: they repeat what was said and come from no model.

The command prints the base URL, an API key that is valid for this run, and a
curl line. Any client can use them. Interrupt it (Ctrl+C) to end it.`,
		Example: "  $ caddy qwen demo",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return runDemo(ctx, cmd.OutOrStdout())
		},
	}
}

// runDemo serves until the context ends.
func runDemo(ctx context.Context, out io.Writer) (err error) {
	site, err := emulator.Start(emulator.Options{Delay: demoDelay, NoRecord: true})
	if err != nil {
		return err
	}
	defer site.Close()
	dir, err := os.MkdirTemp("", "caddy-qwen-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // after Caddy has stopped
	restore := setDataDir(dir)
	defer restore()
	key := newGeneratedKey()
	config, err := demoConfig(site, key, filepath.Join(dir, "sessions.db"))
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, caddy.Stop()) }()
	address, err := listenAddress()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, demoText, address, key, address, key)
	<-ctx.Done()
	return nil
}

// setDataDir makes Caddy keep its data in a directory until restore is called.
func setDataDir(dir string) (restore func()) {
	const name = "XDG_DATA_HOME"
	before, set := os.LookupEnv(name)
	os.Setenv(name, dir)
	return func() {
		if set {
			os.Setenv(name, before)
		} else {
			os.Unsetenv(name)
		}
	}
}

const demoText = `This is a demonstration. The answers are canned: they come from an emulation of
the site, and no model and no account are behind them.

Base URL:  http://%s/v1
API key:   %s

Try it:

curl -N http://%s/v1/chat/completions -H "Authorization: Bearer %s" -H "Content-Type: application/json" -d '{"model":"qwen","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'

Press Ctrl+C to stop.
`

// demoConfig returns the configuration of a Caddy that serves nothing but the
// handler, writes no files but the session store, and temporary ones for large
// uploads, and opens no other port.
func demoConfig(site *emulator.Server, key, sessionsPath string) ([]byte, error) {
	handler := &Handler{
		BaseURL:         site.URL(),
		Accounts:        []*Account{{Label: "demo", Token: "demo"}},
		StorageEndpoint: site.StorageURL(),
		APIKeys:         []*APIKey{{Name: "demo", Keys: []string{key}}},
		SessionsRaw:     caddyconfig.JSONModuleObject(SQLiteSessions{Path: sessionsPath}, "store", "sqlite", nil),
	}
	server := &caddyhttp.Server{
		Listen:    []string{"127.0.0.1:0"},
		AutoHTTPS: &caddyhttp.AutoHTTPSConfig{Disabled: true},
		Routes: caddyhttp.RouteList{{
			HandlersRaw: []json.RawMessage{caddyconfig.JSONModuleObject(handler, "handler", "qwen", nil)},
		}},
	}
	http := caddyhttp.App{Servers: map[string]*caddyhttp.Server{"demo": server}, GracePeriod: caddy.Duration(time.Second)}
	persist := false
	return json.Marshal(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &persist}},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "ERROR"}}}},
		AppsRaw: caddy.ModuleMap{
			"http": caddyconfig.JSON(http, nil),
			"tls":  caddyconfig.JSON(caddytls.TLS{DisableStorageCheck: true, DisableStorageClean: true}, nil),
		},
	})
}

// listenAddress returns the address at which the running Caddy serves.
func listenAddress() (string, error) {
	app, err := caddy.ActiveContext().App("http")
	if err != nil {
		return "", err
	}
	for _, server := range app.(*caddyhttp.App).Servers {
		for _, listener := range server.Listeners() {
			return listener.Addr().String(), nil
		}
	}
	return "", errors.New("no listener")
}
