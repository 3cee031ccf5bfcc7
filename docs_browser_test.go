package caddyqwen

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestDocsInBrowser uses the page at /docs as a person does.
func TestDocsInBrowser(t *testing.T) {
	for name, place := range map[string]struct {
		prefix, path  string
		width, height int
	}{
		"at the root, wide":      {"", "/docs", 1280, 900},
		"below a prefix, narrow": {"/ai/qwen", "/docs/", 390, 844},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{prefix: place.prefix})
			b := mustBrowse(t, place.width, place.height)
			b.run("open", chromedp.Navigate(g.url+place.path), chromedp.WaitVisible(".opblock"))
			b.showsAllRoutes()
			b.picture("page")
			b.authorize()
			b.tryFiles()
			b.tryStream()
			b.tryUpload()
			b.picture("stream")
			if kept := look[string](b, `JSON.stringify({...localStorage, ...sessionStorage}) + document.cookie`); kept != "{}" {
				t.Errorf("the browser keeps %s", kept)
			}
			b.fits()
			b.mustBeAlone(g.url)
		})
	}
}

// fits checks that nobody has to move the page sideways.
func (b *tab) fits() {
	b.t.Helper()
	const page = `document.documentElement.scrollWidth - document.documentElement.clientWidth`
	if wider := look[int](b, page); wider != 0 {
		const wide = `[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.tagName + "." + e.className)`
		b.t.Errorf("the page is %d pixels too wide: %q", wider, look[[]string](b, wide))
	}
}

// picture saves what the page looks like, if somebody wants to see it.
func (b *tab) picture(name string) {
	dir := os.Getenv("CADDY_QWEN_PICTURES")
	if dir == "" {
		return
	}
	image, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	name = strings.NewReplacer("/", "-", ",", "", "_", "-").Replace(b.t.Name()) + "-" + name + ".png"
	if err := os.WriteFile(filepath.Join(dir, name), image, 0o600); err != nil {
		b.t.Error(err)
	}
}

// showsAllRoutes compares the page with the description.
func (b *tab) showsAllRoutes() {
	b.t.Helper()
	shown := look[[]string](b, `[...document.querySelectorAll(".opblock")].map((block) =>
		block.querySelector(".opblock-summary-method").textContent + " " + block.querySelector(".opblock-summary-path").dataset.path)`)
	var want []string
	for name := range mustDescribe(b.t).operations() {
		if method, file, found := strings.Cut(name, " "+docsPrefix); found && file != "" {
			name = method + " " + docsPrefix + "{file}"
		}
		want = append(want, name)
	}
	slices.Sort(want)
	slices.Sort(shown)
	if want = slices.Compact(want); !slices.Equal(shown, want) {
		b.t.Errorf("the page shows\n%q, and there are\n%q", shown, want)
	}
}

// authorize gives the page the key.
func (b *tab) authorize() {
	b.t.Helper()
	b.run("authorize", chromedp.Click(".auth-wrapper .authorize"), chromedp.WaitVisible("#auth-bearer-value"),
		chromedp.SendKeys("#auth-bearer-value", testKey), chromedp.Click(`form .auth-btn-wrapper .authorize[type="submit"]`),
		chromedp.WaitVisible(`.auth-btn-wrapper button[aria-label="Remove authorization"]`), chromedp.Click(".auth-btn-wrapper .btn-done"),
		chromedp.WaitNotPresent(".dialog-ux"))
}

// open opens an operation to try it, and returns where it is.
func (b *tab) open(tag, operation string) (block string) {
	b.t.Helper()
	block = "#operations-" + tag + "-" + operation
	b.run("open "+operation, chromedp.Click(block+" .opblock-summary-control"), chromedp.Click(block+" .try-out__btn"), chromedp.WaitVisible(block+" .execute"))
	return block
}

// execute calls an operation that is open, and returns the status and the body that
// the page shows.
func (b *tab) execute(block string) (status, body string) {
	b.t.Helper()
	answer := block + " .live-responses-table .response"
	b.run("execute", chromedp.Click(block+" .execute"), chromedp.WaitVisible(answer))
	return look[string](b, fmt.Sprintf(`document.querySelector(%q).innerText.trim()`, answer+" .response-col_status")),
		look[string](b, fmt.Sprintf(`document.querySelector(%q).innerText`, answer+" .response-col_description"))
}

// tryFiles calls an operation that needs the key.
func (b *tab) tryFiles() {
	b.t.Helper()
	status, body := b.execute(b.open("Files", "listFiles"))
	if status != "200" || !strings.Contains(body, `"object": "list"`) {
		b.t.Errorf("the list of files: %q %s", status, body)
	}
}

// tryStream asks for an answer as a stream, with the example for it.
func (b *tab) tryStream() {
	b.t.Helper()
	block := b.open("Chat", "createChatCompletion")
	choose := block + " .opblock-section-request-body .examples-select-element"
	b.run("choose the example", chromedp.WaitVisible(choose), chromedp.SetValue(choose, "stream"))
	look[bool](b, fmt.Sprintf(`document.querySelector(%q).dispatchEvent(new Event("change", {bubbles: true}))`, choose))
	eventually(b.t, "the example is there", func() bool {
		return look[bool](b, fmt.Sprintf(`document.querySelector(%q).value.includes("include_usage")`, block+" textarea"))
	})
	status, body := b.execute(block)
	if status != "200" || !strings.Contains(body, "data: [DONE]") || !strings.Contains(body, "chat.completion.chunk") {
		b.t.Errorf("the stream: %q %s", status, body)
	}
	for _, name := range []string{"x-qwen-chat-id", "x-qwen-session", "x-request-id"} {
		if !strings.Contains(body, name+":") {
			b.t.Errorf("the page does not show the header %s: %s", name, body)
		}
	}
}

// tryUpload sends a form with a file.
func (b *tab) tryUpload() {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "photo.png")
	mustWriteFile(b.t, path, string(testPNG(1, 4000)), 0o600)
	block := b.open("Files", "createFile")
	b.run("choose the file", chromedp.SetUploadFiles(block+` input[type="file"]`, []string{path}))
	status, body := b.execute(block)
	if status != "200" || !strings.Contains(body, `"filename": "photo.png"`) {
		b.t.Errorf("the upload: %q %s", status, body)
	}
}

// TestDocsPolicyInBrowser checks that the browser holds to the policy, and that the
// test would see it.
func TestDocsPolicyInBrowser(t *testing.T) {
	g := mustGateway(t, setup{})
	b := mustBrowse(t, 800, 600)
	b.run("open", chromedp.Navigate(g.url+"/docs"), chromedp.WaitVisible(".opblock"))
	b.mustBeAlone(g.url)
	for name, try := range map[string]string{
		"a script in the page":  `(() => { const s = document.createElement("script"); s.textContent = "window.bad = 1"; document.head.append(s) })()`,
		"a script of elsewhere": `(() => { const s = document.createElement("script"); s.src = "http://127.0.0.2:1/x.js"; document.head.append(s) })()`,
		"a call elsewhere":      `fetch("http://127.0.0.2:1/").catch(() => {}) && undefined`,
		"an image of elsewhere": `void (new Image().src = "http://127.0.0.2:1/x.png")`,
		"a style in the page":   `(() => { const s = document.createElement("style"); s.textContent = "body { display: none }"; document.head.append(s) })()`,
	} {
		t.Run(name, func(t *testing.T) {
			before := len(b.complaints())
			look[chromedp.Void](b, try)
			eventually(t, "the browser complains", func() bool {
				return strings.Contains(strings.Join(b.complaints()[before:], "\n"), "Content Security Policy")
			})
		})
	}
	if bad := look[bool](b, `"bad" in window || getComputedStyle(document.body).display === "none"`); bad {
		t.Error("the page was changed")
	}
}
