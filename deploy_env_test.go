package caddyqwen

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// argsEnv holds the arguments of Caddy, separated by spaces, if the program of the
// tests is to be Caddy itself.
const argsEnv = "CADDY_QWEN_TEST_ARGS"

// actAsCaddy is Caddy, with its environment as it is, in processes of these tests.
func actAsCaddy() {
	args := os.Getenv(argsEnv)
	if args == "" {
		return
	}
	os.Unsetenv(argsEnv)
	os.Args = strings.Fields(args)
	caddycmd.Main()
	os.Exit(0) // without a word of the tests
}

// server is a program that serves the API on a port of this computer.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	log  bytes.Buffer // to be read when the program has ended
	done chan error
}

// mustServe starts a program and waits until it answers.
func mustServe(t *testing.T, cmd *exec.Cmd, url string) *server {
	t.Helper()
	s := &server{t: t, cmd: cmd, url: url, done: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	must(t, cmd.Start())
	go func() { s.done <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended unless the test has failed
	eventually(t, "the program answers", func() bool {
		select {
		case err := <-s.done:
			t.Fatalf("it has ended: %v\n%s", err, s.log.String())
		default:
		}
		return s.get("/health").status == http.StatusOK
	})
	return s
}

func (s *server) get(path string) reply {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	must(s.t, err)
	return s.send(r)
}

func (s *server) send(r *http.Request) reply {
	transport := &http.Transport{DisableKeepAlives: true}
	return answerTo(transport.RoundTrip(r))
}

// chat asks for an answer, with a key.
func (s *server) chat(key string) reply {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodPost, s.url+chatPath, strings.NewReader(chatBody("Hello!", "")))
	must(s.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+key)
	return s.send(r)
}

// stop has the program end by SIGTERM, and returns its log.
func (s *server) stop(within time.Duration) string {
	s.t.Helper()
	must(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Errorf("it ended with %v:\n%s", err, s.log.String())
		}
	case <-time.After(within):
		s.t.Fatalf("it does not end within %v", within)
	}
	return s.log.String()
}

// mustFreeAddress returns an address at which nothing listens.
func mustFreeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// emulated returns a Caddyfile whose handler talks to an emulated site, at another
// port than 8080.
func emulated(t *testing.T, text string, site *emulator.Server, port string) string {
	t.Helper()
	block := fmt.Sprintf("\tqwen {\n\t\tbase_url %s\n\t\tstorage_endpoint %s\n\t}\n", site.URL(), site.StorageURL())
	changed := strings.ReplaceAll(strings.Replace(text, "\tqwen\n", block, 1), ":8080", ":"+port)
	if !strings.Contains(changed, block) || !strings.Contains(changed, ":"+port+" {") {
		t.Fatalf("it has no handler or no port 8080:\n%s", text)
	}
	return changed
}

// envServer is the example in a process, with a file .env.
func envServer(t *testing.T, site *emulator.Server, env string) *server {
	t.Helper()
	dir := t.TempDir()
	address := mustFreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	must(t, err)
	mustWriteFile(t, filepath.Join(dir, ".env"), env, 0o600)
	mustWriteFile(t, filepath.Join(dir, "Caddyfile"), emulated(t, mustReadExample(t), site, port), 0o600)
	cmd := exec.Command(os.Args[0])
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), argsEnv+"=caddy run --config Caddyfile --envfile .env", "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "CADDY_ADMIN=unix/"+filepath.Join(mustShortDir(t), "admin"))
	return mustServe(t, cmd, "http://"+address)
}

// mustShortDir returns a directory whose path is short enough for sockets.
func mustShortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "qwen")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

const (
	firstKey  = "sk-0f1e2d3c4b5a69788796a5b4"
	secondKey = "sk-b4a5968778695a4b3c2d1e0f"
)

// TestEnvFile checks that a .env of the Python program works as it is, in every
// way to write one: each value arrives at the site exactly.
func TestEnvFile(t *testing.T) {
	quoted := strings.ReplaceAll(hardCookies, `"`, "") // which a quoted value cannot have
	for name, test := range map[string]struct {
		env, cookies string
		keys         []string
	}{
		"plain, a JSON list":        {"# comment\n\nQWEN_COOKIES=" + hardCookies + "\r\nVALID_TOKENS=[\"" + firstKey + "\", \"" + secondKey + "\"]\n", hardCookies, []string{firstKey, secondKey}},
		"exported, commas":          {"export QWEN_COOKIES=" + hardCookies + "\nVALID_TOKENS=" + firstKey + "," + secondKey + "\n", hardCookies, []string{firstKey, secondKey}},
		"double quotes, one key":    {"QWEN_COOKIES=\"" + quoted + "\"\nVALID_TOKENS=\"" + firstKey + "\"\n", quoted, []string{firstKey}},
		"single quotes, a list":     {"QWEN_COOKIES='" + hardCookies + "'\nVALID_TOKENS='[\"" + firstKey + "\"]'\n", hardCookies, []string{firstKey}},
		"token, and quoted cookies": {"QWEN_COOKIES=\"cna=1\"\nQWEN_AUTH_TOKEN=\"" + testToken + "\"\nVALID_TOKENS=" + firstKey + "\n", "cna=1", []string{firstKey}},
	} {
		t.Run(name, func(t *testing.T) {
			site, err := emulator.Start(emulator.Options{Tokens: []string{testToken}})
			must(t, err)
			t.Cleanup(site.Close)
			s := envServer(t, site, test.env)
			for _, key := range test.keys {
				if got := s.chat(key); got.status != http.StatusOK {
					t.Errorf("status %d: %s", got.status, got.body)
				}
			}
			for _, r := range site.Requests() {
				if r.Endpoint == emulator.EndpointCompletions && r.Header.Get("Cookie") != test.cookies {
					t.Errorf("the cookies are\n%s, want\n%s", r.Header.Get("Cookie"), test.cookies)
				}
			}
			if log := s.stop(20 * time.Second); strings.Contains(log, firstKey) || strings.Contains(log, testToken) {
				t.Errorf("there is a secret in the log:\n%s", log)
			}
			if n := len(site.Completions()); n != len(test.keys) {
				t.Errorf("the site got %d chats, want %d", n, len(test.keys))
			}
		})
	}
}

// TestEnvironmentQuotes checks values with quotes around them, as `docker run
// --env-file` passes them on.
func TestEnvironmentQuotes(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "a=b": "a=b", `"a=b; c=d"`: "a=b; c=d", " 'a=b' \n": "a=b", `"`: `"`, `""`: "", `"a'`: `"a'`, `a="b"`: `a="b"`, `"a"=b`: `"a"=b`,
	} {
		t.Setenv("QWEN_COOKIES", value)
		if got := fromEnvironment(caddy.NewReplacer(), envCookies); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
	t.Setenv("QWEN_COOKIES", `"`+testCookie+`"`)
	t.Setenv("QWEN_AUTH_TOKEN", `'`+testToken+`'`)
	t.Setenv("VALID_TOKENS", `'["`+testKey+`"]'`)
	g := mustGateway(t, setup{bare: true})
	if got := g.chat("hello", ""); got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if got := g.site.Requests()[0].Header; got.Get("Cookie") != testCookie || got.Get("Authorization") != "Bearer "+testToken {
		t.Errorf("the site gets %q and %q", got.Get("Cookie"), got.Get("Authorization"))
	}
}
