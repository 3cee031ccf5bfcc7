package caddyqwen

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browserVariable has pages tried in a browser, which takes long and needs Chromium.
const browserVariable = "CADDY_QWEN_BROWSER"

// mustFindBrowser returns the path of Chromium.
func mustFindBrowser(t *testing.T) string {
	t.Helper()
	if os.Getenv(browserVariable) != "1" {
		t.Skip("this takes a browser; set " + browserVariable + "=1")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium")
	return ""
}

// tab is a page of a browser without a window.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	asked    []string // all addresses that it has asked for
	troubles []string // what it has complained about
}

// mustBrowse starts a browser that talks to nobody by itself and has no memory, and
// opens an empty page of a size.
func mustBrowse(t *testing.T, width, height int) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(mustFindBrowser(t)), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(width, height),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true), chromedp.Flag("lang", "en"),
	)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	b := &tab{t: t}
	b.ctx, stop = chromedp.NewContext(ctx, chromedp.WithListener(b.note))
	t.Cleanup(stop) // waits for its end, before its directory goes
	b.run("start", chromedp.EmulateViewport(int64(width), int64(height)))
	return b
}

// note takes down what happens on the page.
func (b *tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch event := event.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, event.Request.URL)
	case *network.EventLoadingFailed:
		b.troubles = append(b.troubles, "loading failed: "+event.ErrorText+" "+string(event.BlockedReason))
	case *log.EventEntryAdded:
		if event.Entry.Level == log.EntryLevelError || event.Entry.Level == log.EntryLevelWarning {
			b.troubles = append(b.troubles, event.Entry.Text+" "+event.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		b.troubles = append(b.troubles, event.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if event.Type == "error" || event.Type == "warning" {
			text := string(event.Type)
			for _, arg := range event.Args {
				text += " " + string(arg.Value) + arg.Description
			}
			b.troubles = append(b.troubles, text)
		}
	}
}

// run has the page do something.
func (b *tab) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v; %q", what, err, b.complaints())
	}
}

// look evaluates an expression of JavaScript. The policy of the page does not apply
// to it.
func look[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v; %q", expression, err, b.complaints())
	}
	return value
}

// complaints are what the browser has complained about so far.
func (b *tab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.troubles...)
}

// mustBeAlone checks that the page has asked for nothing but what is below an
// address, and that the browser has complained about nothing: no violation of the
// policy, no error of a script, nothing that is missing.
func (b *tab) mustBeAlone(address string) {
	b.t.Helper()
	if list := b.complaints(); len(list) > 0 {
		b.t.Errorf("the browser complains: %q", list)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	below := 0
	for _, url := range b.asked {
		switch {
		case strings.HasPrefix(url, address+"/"):
			below++
		case !strings.HasPrefix(url, "data:"):
			b.t.Errorf("the page asks for %s", url)
		}
	}
	if below == 0 {
		b.t.Errorf("the page has asked for nothing below %s", address)
	}
}
