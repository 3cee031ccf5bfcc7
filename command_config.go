package caddyqwen

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// configFlags tell which configuration a command is about, as those of `caddy run`
// do.
type configFlags struct {
	file, adapter string
	environment   []string // files
}

// add gives a command the flags.
func (f *configFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "config", "c", "", "Configuration file (default: the Caddyfile in the working directory; without one, the handler with its defaults)")
	flags.StringVarP(&f.adapter, "adapter", "a", "", "Name of the config adapter to apply")
	flags.StringSliceVar(&f.environment, "envfile", nil, "Environment file(s) to load")
}

// tool is a handler that a command works with. No server is started for it, and
// nothing runs in the background.
type tool struct {
	*Handler
	from   string // the file of the configuration, or empty
	others int    // further qwen handlers there, which are left out
	shares int    // of the state while no request is served
	close  func()
}

// notice tells, if it is so, that the handler is one of several.
func (t *tool) notice() string {
	if t.others == 0 {
		return ""
	}
	return fmt.Sprintf("%s has %s besides the first one, which this command is about.", t.from, counted(t.others, "qwen handler"))
}

// load provisions the first qwen handler of the configuration. Whoever got it has to
// close it.
func (f *configFlags) load(change func(config map[string]any)) (*tool, error) {
	cfg := &caddy.Config{
		Admin: &caddy.AdminConfig{Disabled: true},
		// Silent: what a person has to know, the command says. (Another writer would be
		// announced in the log.)
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "FATAL"}}}},
	}
	parent, err := caddy.ProvisionContext(cfg)
	if err != nil {
		return nil, err
	}
	for _, path := range f.environment {
		if err := loadEnvironment(path); err != nil {
			return nil, err
		}
	}
	config, from, _, err := caddycmd.LoadConfig(f.file, f.adapter)
	if err != nil {
		return nil, err
	}
	found, pki, err := findHandlers(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmp.Or(from, "the configuration"), err)
	}
	if pki != nil {
		cfg.AppsRaw = caddy.ModuleMap{"pki": pki} // which a transport may trust; it is loaded if it does
	}
	raw, err := changed(found[0], change)
	if err != nil {
		return nil, err
	}
	ctx, cancel := caddy.NewContext(parent)
	module, err := ctx.LoadModuleByID("http.handlers.qwen", raw)
	if err != nil {
		cancel()
		return nil, plainModuleError(err)
	}
	t := &tool{Handler: module.(*Handler), from: from, others: len(found) - 1}
	t.shares, _ = states.References(t.stateKey)
	t.close = func() {
		t.settled()
		cancel()
	}
	return t, nil
}

// plainModuleError takes off what only programmers can do something with.
func plainModuleError(err error) error {
	text := err.Error()
	for _, prefix := range []string{"provision http.handlers.qwen: ", "http.handlers.qwen: invalid configuration: ", "loading module 'http.handlers.qwen': "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return &toolError{text, err}
}

// settled waits for what goes on after the answer to a request: that the site is told
// to stop, or that a chat is deleted.
func (t *tool) settled() {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(2 * stopTime)
	for {
		if users, _ := states.References(t.stateKey); users <= t.shares {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			return
		}
	}
}

// findHandlers returns the different qwen handlers in a configuration, in an order
// that stays the same, and that of the pki app. Without a configuration, there is one
// with all defaults.
func findHandlers(config []byte) (found []json.RawMessage, pki json.RawMessage, err error) {
	if len(bytes.TrimSpace(config)) == 0 {
		return []json.RawMessage{json.RawMessage(`{"handler":"qwen"}`)}, nil, nil
	}
	var root any
	if err := json.Unmarshal(config, &root); err != nil {
		return nil, nil, errors.New("it is not JSON")
	}
	walkHandlers(root, func(handler map[string]any) {
		raw, _ := json.Marshal(handler) // it has just been read
		if !slices.ContainsFunc(found, func(other json.RawMessage) bool { return bytes.Equal(other, raw) }) {
			found = append(found, raw)
		}
	})
	if len(found) == 0 {
		return nil, nil, errors.New("there is no qwen handler in it; name the file that has one with --config")
	}
	var apps struct {
		Apps struct {
			PKI json.RawMessage `json:"pki"`
		} `json:"apps"`
	}
	_ = json.Unmarshal(config, &apps) // it is JSON, and what has another form is not there
	return found, apps.Apps.PKI, nil
}

// walkHandlers calls f for each qwen handler in a value.
func walkHandlers(value any, f func(map[string]any)) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			walkHandlers(element, f)
		}
	case map[string]any:
		if v["handler"] == "qwen" {
			f(v)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			walkHandlers(v[key], f)
		}
	}
}

// changed returns the configuration of a handler as LoadModuleByID wants it, with a
// change unless it is nil.
func changed(raw json.RawMessage, change func(map[string]any)) (json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var config map[string]any
	if err := decoder.Decode(&config); err != nil {
		return nil, err
	}
	delete(config, "handler")
	if change != nil {
		change(config)
	}
	return json.Marshal(config)
}
