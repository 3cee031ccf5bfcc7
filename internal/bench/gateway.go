//go:build linux

package main

import (
	"encoding/json"
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	caddyqwen "github.com/caddy-qwen/caddy-qwen"
)

// apiKey is what clients present to the handler.
const apiKey = "sk-bench-0123456789abcdef"

// object is a JSON object.
type object = map[string]any

// plenty is a limit that no workload reaches.
const plenty = 20_000

// startHandler runs Caddy with the handler and this record of conversations.
func startHandler(upstream string, sessions object) (string, error) {
	handler, err := qwenHandler(upstream)
	if err != nil {
		return "", err
	}
	handler["sessions"] = sessions
	return startCaddy(handler)
}

// qwenHandler is the handler with its default settings, but without limits on
// how many chats are served at once.
func qwenHandler(upstream string) (object, error) {
	raw, err := json.Marshal(caddyqwen.Handler{
		BaseURL:              "http://" + upstream,
		Accounts:             []*caddyqwen.Account{{Label: "bench", Token: "bench"}},
		APIKeys:              []*caddyqwen.APIKey{{Name: "bench", Keys: []string{apiKey}}},
		MaxStreams:           plenty,
		MaxStreamsPerKey:     plenty,
		MaxStreamsPerAccount: plenty,
		QueueLength:          plenty,
	})
	if err != nil {
		return nil, err
	}
	handler := object{}
	if err := json.Unmarshal(raw, &handler); err != nil {
		return nil, err
	}
	handler["handler"] = "qwen"
	return handler, nil
}

// proxyHandler is a reverse_proxy that passes on what it reads at once, with as
// many idle connections as the handler keeps by default.
func proxyHandler(upstream string) object {
	return object{
		"handler":        "reverse_proxy",
		"flush_interval": -1,
		"upstreams":      []object{{"dial": upstream}},
		"transport":      object{"protocol": "http", "keep_alive": object{"max_idle_conns_per_host": 1024}},
	}
}

// startCaddy runs a Caddy with one handler in this process. It writes no files
// and opens no port but the one whose address is returned.
func startCaddy(handler object) (string, error) {
	config, err := json.Marshal(object{
		"admin": object{"disabled": true, "config": object{"persist": false}},
		"apps": object{
			"http": object{"servers": object{"bench": object{
				"listen":          []string{"127.0.0.1:0"},
				"automatic_https": object{"disable": true},
				"routes":          []object{{"handle": []object{handler}}},
			}}},
			"tls": object{"disable_storage_check": true, "disable_storage_clean": true},
		},
	})
	if err != nil {
		return "", err
	}
	if err := caddy.Load(config, true); err != nil {
		return "", err
	}
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
