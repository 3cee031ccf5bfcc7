package caddyqwen

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// The account that applies when none is configured.
const (
	envCookies = "{env.QWEN_COOKIES}"
	envToken   = "{env.QWEN_AUTH_TOKEN}"

	defaultLabel = "default"
)

// setUpAccounts finds the credentials of the accounts, and has the accounts looked
// after once the configuration has been started.
func (h *Handler) setUpAccounts(ctx caddy.Context, repl *caddy.Replacer) error {
	h.watcher = new(background)
	configured := h.Accounts
	if len(configured) == 0 {
		configured = []*Account{nil}
	}
	for i, c := range configured {
		label := c.label()
		if slices.ContainsFunc(h.accounts, func(a *account) bool { return a.label == label }) {
			return fmt.Errorf("accounts: account %d has the label %s of another one; give each a label of its own", i+1, label)
		}
		source, err := h.sourceOf(c, repl)
		if err == nil {
			var k *keeper
			if k, err = acquireKeeper(label, source); err == nil {
				h.held = append(h.held, k)
				h.accounts = append(h.accounts, h.newAccount(label, k))
				continue
			}
		}
		return fmt.Errorf("account %s: %w", label, err)
	}
	h.warnOfTwins()
	return onStart(ctx, h.startWatching)
}

// warnOfTwins warns of accounts that are one on the site. They have one state file, and
// what ends the one, ends the other.
func (h *Handler) warnOfTwins() {
	for i, a := range h.accounts {
		for _, other := range h.accounts[:i] {
			if a.twin(other.keeper) {
				h.logger.Warn("two accounts are the same one on the site, so that neither can take over for the other: remove one of them",
					zap.Strings("accounts", []string{other.label, a.label}))
			}
		}
	}
}

// twin reports whether another keeper looks after the same account of the same site.
func (k *keeper) twin(other *keeper) bool {
	id := k.id()
	k.mu.Lock()
	empty := k.supplied.Empty()
	k.mu.Unlock()
	return !empty && id == other.id()
}

// label is the account's name in logs, metrics and commands.
func (c *Account) label() string {
	if c == nil || c.Label == "" {
		return defaultLabel
	}
	return c.Label
}

// sourceOf returns where the credential of an account is. Only the account that
// applies without configuration may have none.
func (h *Handler) sourceOf(c *Account, repl *caddy.Replacer) (accountSource, error) {
	source := accountSource{baseURL: h.BaseURL}
	if c == nil {
		source.given.Cookies = fromEnvironment(repl, envCookies)
		source.given.Token = fromEnvironment(repl, envToken)
		if source.given.Empty() {
			source.path, source.optional = defaultAccountFile(), true
		}
		return source, checkCredential(source.given)
	}
	var err error
	if c.File != "" {
		if c.Cookies != "" || c.Token != "" || len(c.Headers) > 0 {
			return source, errors.New("file: it holds all of the account, so that cookies, token and headers cannot be given besides it")
		}
		if source.path, err = repl.ReplaceOrErr(c.File, true, true); err != nil {
			err = fmt.Errorf("file: %w", err)
		}
		return source, err
	}
	if source.given, err = c.credential(repl); err != nil {
		return source, err
	}
	if source.given.Empty() {
		return source, errors.New("neither cookies, nor a token, nor a file are given")
	}
	return source, checkCredential(source.given)
}

// credential puts values in place of placeholders.
func (c *Account) credential(repl *caddy.Replacer) (qwen.Credential, error) {
	cred := qwen.Credential{Header: make(http.Header, len(c.Headers))}
	for name, value := range c.Headers {
		resolved, err := repl.ReplaceOrErr(value, true, true)
		if err != nil {
			return cred, fmt.Errorf("header %s: %w", name, err)
		}
		cred.Header.Set(name, resolved)
	}
	for _, field := range []struct {
		name, value string
		to          *string
	}{{"cookies", c.Cookies, &cred.Cookies}, {"token", c.Token, &cred.Token}} {
		resolved, err := repl.ReplaceOrErr(field.value, true, true)
		if err != nil {
			return cred, fmt.Errorf("%s: %w", field.name, err)
		}
		*field.to = strings.TrimSpace(resolved)
	}
	return cred, nil
}

// startWatching has each account looked after.
func (h *Handler) startWatching() {
	accounts := h.accounts
	h.watcher.start(func(ctx context.Context) {
		var watches sync.WaitGroup
		for _, a := range accounts {
			watches.Go(func() {
				keepDoing(ctx, a.logger, "an account was looked after", func() { a.watch(ctx) })
			})
		}
		watches.Wait()
	})
}
