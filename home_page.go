package caddyqwen

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the page
	"encoding/base64"
	"html/template"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/text/language"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// What the page for browsers is made of. In home.html, {{t}} has a text in English
// and in Chinese; both pages are the same in all else.
var (
	//go:embed home.html
	homeHTML string
	//go:embed home.css
	homeStyle string
	//go:embed home.js
	homeScript string
)

// homeLanguages are the languages of the page, the first of which is for readers of
// all others.
var homeLanguages = [...]language.Tag{english: language.English, chinese: language.SimplifiedChinese}

var homeMatcher = language.NewMatcher(homeLanguages[:])

// homePages are the pages, by their language.
var homePages = [...]*template.Template{english: newHomePage(english), chinese: newHomePage(chinese)}

func newHomePage(in tongue) *template.Template {
	return template.Must(template.New("home").Funcs(template.FuncMap{
		"t":    func(texts ...string) template.HTML { return withCode(texts[in]) },
		"lang": homeLanguages[in].String,
	}).Parse(homeHTML))
}

// homePolicy lets the page use its own style sheet and its own script, and nothing
// else.
var homePolicy = "default-src 'none'; script-src '" + sourceHash(homeScript) + "'; style-src '" + sourceHash(homeStyle) +
	"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// sourceHash returns the hash of a style sheet or script as browsers compute it: over
// all between the tags.
func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// homeState is what the page tells. It holds nothing that strangers must not know:
// of accounts, neither names nor times.
type homeState struct {
	Root          string // of the addresses
	Local         bool   // which nobody else can reach
	Accounts      []homeAccount
	Access        string // authKeys, authCaddy or authOff
	GeneratedKey  bool   // with authKeys: the key is the one that was made here
	PublicModels  bool   // the list of models can be read without a key or a login
	Models        []homeModel
	More          bool // there are further models
	Documentation string
	Style         template.CSS
	Script        template.JS
}

// homeAccount is what the page tells of an account.
type homeAccount struct {
	Number string // if there are several
	State  string
	Class  string
	Remedy template.HTML
}

// homeModel is what the page tells of a model.
type homeModel struct{ ID, Takes string }

// homeModels is how many models the page shows.
const homeModels = 40

// homeState returns what the page tells. It calls nobody.
func (h *Handler) homeState(root string, in tongue) homeState {
	s := homeState{
		Root: root, Local: localRoot.MatchString(root), Accounts: h.homeAccounts(in),
		Access: h.Auth, GeneratedKey: h.callers.generated != nil, PublicModels: h.publicModels(),
		Documentation: documentationURL, Style: template.CSS(homeStyle), Script: template.JS(homeScript),
	}
	if s.PublicModels {
		models := h.knownModels()
		s.More = len(models) > homeModels
		for _, m := range models[:min(len(models), homeModels)] {
			s.Models = append(s.Models, homeModel{m.ID, modelTakes(m, in)})
		}
	}
	return s
}

var localRoot = regexp.MustCompile(`^https?://(localhost|127\.[0-9.]+|\[::1\])(:|/|$)`)

func (h *Handler) homeAccounts(in tongue) (list []homeAccount) {
	h.hasCredential() // takes up what the owner has put there since
	for i, r := range h.accountReports() {
		text := r.text()
		a := homeAccount{State: text.name[in], Class: text.class, Remedy: withCode(text.remedy[in])}
		if len(h.accounts) > 1 {
			a.Number = strconv.Itoa(i + 1)
		}
		list = append(list, a)
	}
	return list
}

// knownModels returns those models that the site is known to answer chats with.
func (h *Handler) knownModels() (chat []qwen.Model) {
	shared, err := h.stateKey.acquire()
	if err != nil {
		return nil
	}
	defer func() { _ = h.stateKey.release() }() // of states, nothing is closed
	models, _ := shared.catalog.last()
	for _, m := range models {
		if textChat(m) {
			chat = append(chat, m)
		}
	}
	return chat
}

// modelTakes says what a model can do besides text.
func modelTakes(m qwen.Model, in tongue) string {
	var words []string
	for _, can := range []struct {
		is   bool
		word [2]string
	}{
		{m.Vision, [2]string{"images", "图片"}}, {m.Video, [2]string{"video", "视频"}},
		{m.Audio, [2]string{"sound", "音频"}}, {m.Document, [2]string{"documents", "文档"}},
		{m.Thinking || m.AlwaysThinks, [2]string{"thinking", "思考"}},
	} {
		if can.is {
			words = append(words, can.word[in])
		}
	}
	return strings.Join(words, " · ")
}

// writeHome answers with the page in a language that the reader understands.
func (h *Handler) writeHome(w http.ResponseWriter, r *http.Request) {
	in := readerLanguage(r.Header)
	var page bytes.Buffer
	// Into memory, and with values that cannot fail.
	_ = homePages[in].Execute(&page, h.homeState(publicRoot(r), in))
	header := w.Header()
	header.Set("Content-Language", homeLanguages[in].String())
	header.Set("Content-Security-Policy", homePolicy)
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(page.Len()))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(page.Bytes()) // a client that has gone away is nobody to tell
}

// readerLanguage returns the language of the page that suits what the reader
// understands best.
func readerLanguage(header http.Header) tongue {
	_, i := language.MatchStrings(homeMatcher, header.Values("Accept-Language")...)
	return tongue(i)
}

// withCode returns a text as HTML, in which what stands between backticks is code.
func withCode(text string) template.HTML {
	return template.HTML(backticked.ReplaceAllString(template.HTMLEscapeString(text), "<code>$1</code>"))
}

var backticked = regexp.MustCompile("`([^`]*)`")
