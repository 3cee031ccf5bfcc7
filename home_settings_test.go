package caddyqwen

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"golang.org/x/net/html"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// settingsOf returns what the page gives to copy, by the id of where it is.
func settingsOf(t *testing.T, page string) map[string][]string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	must(t, err)
	settings := make(map[string][]string)
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || attributeOf(n, "class") != "value" {
			continue
		}
		var text strings.Builder
		for child := range n.Descendants() {
			if child.Type == html.TextNode {
				text.WriteString(child.Data)
			}
		}
		for up := n.Parent; up != nil; up = up.Parent {
			if up.Data == "details" {
				settings[attributeOf(up, "id")] = append(settings[attributeOf(up, "id")], text.String())
			}
		}
	}
	return settings
}

func attributeOf(n *html.Node, name string) string {
	for _, attr := range n.Attr {
		if attr.Key == name {
			return attr.Val
		}
	}
	return ""
}

// clientPaths is what the clients put behind the address that they are given, and the
// other settings that they get, sorted.
var clientPaths = map[string]struct {
	path string
	more []string
}{
	"cherry-studio": {"/v1/chat/completions", nil}, // adds /v1 itself
	"nextchat":      {"/v1/chat/completions", []string{"qwen"}},
	"open-webui":    {"/chat/completions", nil},
	"lobechat":      {"/chat/completions", []string{"qwen"}},
	"cline":         {"/chat/completions", []string{"qwen"}},
	"dify":          {"/chat/completions", []string{"qwen"}},
}

// The address that the page gives for a client is the one that the client needs.
func TestHomeClientSettings(t *testing.T) {
	for _, prefix := range []string{"", "/ai/qwen"} {
		g := mustGateway(t, setup{prefix: prefix})
		page := g.do(http.MethodGet, "/", "", "Authorization", "", "Accept", browserAccept).body
		settings := settingsOf(t, page)
		for client, wanted := range clientPaths {
			t.Run(client+prefix, func(t *testing.T) {
				values := settings[client]
				slices.Sort(values)
				if len(values) == 0 || !slices.Equal(values[1:], wanted.more) {
					t.Fatalf("the page gives %q", values)
				}
				path, below := strings.CutPrefix(values[0]+wanted.path, g.url)
				got := g.do(http.MethodPost, path, `{"model":"qwen","messages":[{"role":"user","content":"Hello!"}]}`)
				if !below || got.status != http.StatusOK {
					t.Errorf("%s: %d %s", values[0]+wanted.path, got.status, got.body)
				}
			})
		}
		if want := len(clientPaths) + len(homePrograms); len(settings) != want {
			t.Errorf("the page has %d places with settings, and %d are tried", len(settings), want)
		}
		g.stop()
	}
}

// homePrograms runs what the page gives to programmers, and returns what it prints.
// SDKs that are not at hand are replaced by their outlines.
var homePrograms = map[string]func(t *testing.T, text string) string{
	"curl": func(t *testing.T, text string) string {
		mustCurl(t)
		return mustRunProgram(t, "sh", "-c", strings.Replace(text, "curl ", "curl --silent --show-error --fail-with-body --noproxy '*' ", 1))
	},
	"environment": func(t *testing.T, text string) string {
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			t.Setenv(name, value)
		}
		client := openai.NewClient(option.WithHTTPClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}))
		answer, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
			Model: "qwen", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello!")},
		})
		must(t, err)
		return answer.Choices[0].Message.Content
	},
	"go": func(t *testing.T, text string) string {
		main := filepath.Join(t.TempDir(), "main.go") // it may use what this module uses
		mustWriteFile(t, main, text, 0o600)
		return mustRunProgram(t, "go", "run", main)
	},
	"python": func(t *testing.T, text string) string {
		dir := t.TempDir()
		mustWriteFile(t, filepath.Join(dir, "openai.py"), pythonOutline, 0o600)
		mustWriteFile(t, filepath.Join(dir, "main.py"), text, 0o600)
		return mustRunProgram(t, "python3", filepath.Join(dir, "main.py"))
	},
	"javascript": func(t *testing.T, text string) string {
		dir := t.TempDir()
		must(t, os.MkdirAll(filepath.Join(dir, "node_modules", "openai"), 0o700))
		mustWriteFile(t, filepath.Join(dir, "node_modules", "openai", "index.mjs"), javascriptOutline, 0o600)
		mustWriteFile(t, filepath.Join(dir, "node_modules", "openai", "package.json"), `{"name":"openai","exports":"./index.mjs"}`, 0o600)
		mustWriteFile(t, filepath.Join(dir, "main.mjs"), text, 0o600)
		return mustRunProgram(t, "node", filepath.Join(dir, "main.mjs"))
	},
}

const pythonOutline = `
import json, types, urllib.request
class OpenAI:
    def __init__(self, *, base_url, api_key):
        self.base_url, self.api_key = base_url, api_key
        self.chat = types.SimpleNamespace(completions=self)
    def create(self, *, model, messages):
        request = urllib.request.Request(self.base_url + "/chat/completions", json.dumps({"model": model, "messages": messages}).encode(),
            {"Authorization": "Bearer " + self.api_key, "Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return json.load(opener.open(request), object_hook=lambda o: types.SimpleNamespace(**o))
`

const javascriptOutline = `
export default class {
  constructor({baseURL, apiKey}) {
    const create = async (body) => (await fetch(baseURL + "/chat/completions", {
      method: "POST", body: JSON.stringify(body), headers: {Authorization: "Bearer " + apiKey, "Content-Type": "application/json"},
    })).json();
    this.chat = {completions: {create}};
  }
}
`

// mustRunProgram returns what a program prints. If there is no such program, the test
// is skipped.
func mustRunProgram(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip(err)
	}
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

var keyPattern = regexp.MustCompile(`\bKEY\b`)

// What the page gives to programmers works as it is, but for the key.
func TestHomePrograms(t *testing.T) {
	g := mustGateway(t, setup{prefix: "/ai/qwen"})
	page := g.do(http.MethodGet, "/", "", "Authorization", "", "Accept", browserAccept).body
	settings := settingsOf(t, page)
	for name, run := range homePrograms {
		t.Run(name, func(t *testing.T) {
			if len(settings[name]) != 1 || !strings.Contains(settings[name][0], "KEY") {
				t.Fatalf("the page gives %q", settings[name])
			}
			g.site.Reply(emulator.Text("It works."))
			if out := run(t, keyPattern.ReplaceAllLiteralString(settings[name][0], testKey)); !strings.Contains(out, "It works.") {
				t.Errorf("%s", out)
			}
		})
	}
}

// The command works with each way to recognise callers.
func TestHomeCurlCallers(t *testing.T) {
	const hash = "$2a$04$ygEBf0YK16C/wGj6jC/ZW.JNujs/IiT8Hc9rdUQDg/DlR77fIM9Ka" // of "correct horse"
	for name, s := range map[string]setup{
		"everybody": {qwen: "auth off"},
		"users":     {qwen: "auth caddy", site: "basic_auth /v1/* {\nalice " + hash + "\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, s)
			page := g.do(http.MethodGet, "/", "", "Authorization", "", "Accept", browserAccept).body
			text := strings.ReplaceAll(settingsOf(t, page)["curl"][0], "NAME", "alice:correct horse")
			g.site.Reply(emulator.Text("It works."))
			if out := homePrograms["curl"](t, text); !strings.Contains(out, "It works.") {
				t.Errorf("%s", out)
			}
		})
	}
}
