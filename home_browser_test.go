package caddyqwen

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// contrasts computes the contrast of all texts of the page with what is behind them, as
// WCAG 2 does, and returns those below 4.5.
const contrasts = `(() => {
	const canvas = document.createElement("canvas").getContext("2d");
	const luminance = (color) => {
		canvas.fillStyle = color;
		const [r, g, b] = [1, 3, 5].map((i) => parseInt(canvas.fillStyle.slice(i, i + 2), 16) / 255)
			.map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
		return .2126 * r + .7152 * g + .0722 * b;
	};
	const behind = (e) => {
		const color = getComputedStyle(e).backgroundColor;
		return color !== "rgba(0, 0, 0, 0)" || !e.parentElement ? color : behind(e.parentElement);
	};
	const seen = [], low = [];
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
		const pair = [luminance(getComputedStyle(e).color), luminance(behind(e))].sort((a, b) => b - a);
		const ratio = (pair[0] + .05) / (pair[1] + .05);
		seen.push(ratio);
		if (ratio < 4.5) low.push(e.tagName + "." + e.className + " " + ratio.toFixed(2));
	}
	return seen.length < 20 ? ["too few texts"] : low;
})()`

// TestHomeInBrowser looks at the page as people have it before them.
func TestHomeInBrowser(t *testing.T) {
	for name, view := range map[string]struct {
		prefix, scheme, language, lang string
		width, height                  int
		copied                         string
	}{
		"wide, light, English":   {"", "light", "en-GB,en;q=0.9", "en", 1280, 900, "Copied"},
		"narrow, dark, Chinese":  {"/ai/qwen", "dark", "zh-CN,zh;q=0.9", "zh-Hans", 390, 844, "已复制"},
		"narrow, light, English": {"", "light", "en", "en", 320, 600, "Copied"},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{prefix: view.prefix})
			g.do(http.MethodGet, "/v1/models", "")
			g.checked()
			b := mustBrowse(t, view.width, view.height)
			b.as(view.language, view.scheme)
			b.run("open", chromedp.Navigate(g.url+"/"), chromedp.WaitVisible("#base-url + button"))
			if lang := look[string](b, `document.documentElement.lang`); lang != view.lang {
				t.Errorf("the language is %s", lang)
			}
			b.picture("closed")
			b.fits()
			look[bool](b, `(document.querySelectorAll("details").forEach((d) => d.open = true), true)`)
			b.fits()
			b.picture("open")
			if low := look[[]string](b, contrasts); len(low) > 0 {
				t.Errorf("hard to read: %q", low)
			}
			b.copies(view.copied, g.url+"/v1")
			b.mustBeAlone(g.url)
			if kept := look[string](b, `JSON.stringify({...localStorage, ...sessionStorage}) + document.cookie`); kept != "{}" {
				t.Errorf("the browser keeps %s", kept)
			}
		})
	}
}

// copies checks that each setting has a button, which names what it does, and that
// the first copies the address.
func (b *tab) copies(copied, want string) {
	b.t.Helper()
	if n := look[int](b, `[...document.querySelectorAll(".copy")].filter((c) => c.querySelectorAll("button").length !== 1).length`); n != 0 {
		b.t.Errorf("%d settings have no button", n)
	}
	const clipboard = `(window.copies = [], navigator.clipboard.writeText = async (text) => { copies.push(text); }, true)`
	const older = `(Object.defineProperty(navigator, "clipboard", {value: undefined}), document.execCommand = (command) => copies.push(command + " " + getSelection()), true)`
	look[bool](b, clipboard)
	b.copyFirst(copied)
	look[bool](b, older) // without HTTPS
	b.copyFirst(copied)
	if got := look[[]string](b, `copies`); !slices.Equal(got, []string{want, "copy " + want}) {
		b.t.Errorf("copied is %q, want %q", got, want)
	}
}

// copyFirst presses the first button, and waits until it does not tell of that any
// more.
func (b *tab) copyFirst(copied string) {
	b.t.Helper()
	const button = "#base-url + button"
	before := look[string](b, `document.querySelector("`+button+`").textContent`)
	b.run("copy", chromedp.Click(button))
	told := func() string {
		return look[string](b, `document.querySelector("`+button+`").textContent + "|" + document.querySelector("[role=status]").textContent`)
	}
	eventually(b.t, "the button tells", func() bool { return told() == copied+"|"+copied })
	eventually(b.t, "the button is as before", func() bool { return told() == before+"|" })
}

// as has the page asked for by a reader of languages, in light or dark.
func (b *tab) as(languages, scheme string) {
	b.t.Helper()
	headers := network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": languages}}
	_, err := chromedp.Call(b.ctx, network.SetExtraHTTPHeaders, headers)
	must(b.t, err)
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	_, err = chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media)
	must(b.t, err)
}

// Headings come in their order, each part has a name, and what can be used can be
// reached with the keyboard.
func TestHomeStructure(t *testing.T) {
	g := mustGateway(t, setup{})
	b := mustBrowse(t, 1280, 900)
	b.run("open", chromedp.Navigate(g.url+"/"), chromedp.WaitVisible("#base-url + button"))
	headings := look[[]string](b, `[...document.querySelectorAll("h1, h2, h3")].map((h) => h.tagName)`)
	if want := []string{"H1", "H2", "H2", "H2", "H2", "H2"}; !slices.Equal(headings, want) {
		t.Errorf("headings %q, want %q", headings, want)
	}
	if unnamed := look[int](b, `[...document.querySelectorAll("section")].filter((s) => !document.getElementById(s.getAttribute("aria-labelledby"))?.textContent).length`); unnamed != 0 {
		t.Errorf("%d parts have no name", unnamed)
	}
	reachable := look[int](b, `[...document.querySelectorAll("a[href], button, summary")].filter((e) => { e.focus(); return document.activeElement !== e && e.checkVisibility(); }).length`)
	if reachable != 0 {
		t.Errorf("%d cannot be reached with the keyboard", reachable)
	}
	b.mustBeAlone(g.url)
}

// A browser refuses what is not the page's own, even if something got into it.
func TestHomePolicyInBrowser(t *testing.T) {
	g := mustGateway(t, setup{})
	b := mustBrowse(t, 1280, 900)
	b.run("open", chromedp.Navigate(g.url+"/"), chromedp.WaitVisible("#base-url + button"))
	look[bool](b, `(() => {
		const script = document.createElement("script");
		script.textContent = "document.title = 'taken over'";
		document.body.append(script);
		document.body.insertAdjacentHTML("beforeend", "<img src='/favicon.ico' onerror='document.title = 1'><p style='color: red'>");
		return true;
	})()`)
	eventually(t, "the browser complains", func() bool { return len(b.complaints()) >= 3 })
	if title := look[string](b, `document.title`); title != "caddy-qwen" {
		t.Errorf("the title is %q", title)
	}
	for _, text := range b.complaints() {
		if !strings.Contains(text, "Content Security Policy") && !strings.Contains(text, "csp") {
			t.Errorf("%q", text)
		}
	}
}
