package caddyqwen

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

const migrating = "docs/migrating.md"

// TestDocsMigratingRoutes checks that all routes of the Python program are there,
// and that they need a key where the table says so.
func TestDocsMigratingRoutes(t *testing.T) {
	g := mustGateway(t, setup{})
	rows := mustReadDocument(t, migrating).rows("route")
	if len(rows) != 10 {
		t.Errorf("the table has %d routes, want 10", len(rows))
	}
	for _, row := range rows {
		path, method := codes(row[0])[0], row[1]
		route, known := routes[path]
		if !known || !strings.Contains(route.methods, method) {
			t.Errorf("there is no %s %s", method, path)
			continue
		}
		got := g.do(method, strings.Replace(path, "{id}", "1", 1), "", "Authorization", "")
		if open := method == http.MethodGet; (got.status == http.StatusOK) != open || !open && got.status != http.StatusUnauthorized {
			t.Errorf("%s %s without a key: status %d", method, path, got.status)
		}
	}
}

// TestDocsMigratingModels checks the short names of models.
func TestDocsMigratingModels(t *testing.T) {
	g := mustGateway(t, setup{})
	_, text, found := strings.Cut(mustReadDocument(t, migrating).prose, "**Short names of models:**")
	text, _, end := strings.Cut(text, "If the model")
	names := codes(text)
	if !found || !end || len(names) != 7 {
		t.Fatalf("the names are %q", names)
	}
	for _, name := range names {
		if got := g.do(http.MethodPost, chatPath, fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"hello"}]}`, name)); got.status != http.StatusOK {
			t.Errorf("%s: status %d: %s", name, got.status, got.body)
		}
	}
}

// TestDocsMigratingDifferences checks what the second table says of failures, of a
// missing key, and of keys from documentation.
func TestDocsMigratingDifferences(t *testing.T) {
	cells := make(map[string]string)
	for _, row := range mustReadDocument(t, migrating).rows("what") {
		cells[row[0]] = row[2]
	}
	for what, want := range map[string]failed{"a wrong key": {status: 401, code: "invalid_api_key"}, "expired cookies": wantExpired} {
		if cell := fmt.Sprintf("%d `%s`", want.status, want.code); cells[what] != cell {
			t.Errorf("%s is %s, want %s", what, cells[what], cell)
		}
	}
	g := mustGateway(t, setup{})
	if got := g.do(http.MethodPost, chatPath, chatBody("hello", ""), "Authorization", "Bearer sk-wrong"); got.status != 401 || got.code() != "invalid_api_key" {
		t.Errorf("a wrong key: status %d: %s", got.status, got.body)
	}
	if _, err := newKeySet("your-token"); err == nil || !strings.HasPrefix(cells["keys such as `your-token`"], "refused") {
		t.Errorf("the key of the documentation: %v", err)
	}
}

// newKeySet is a configuration with one key.
func newKeySet(key string) (*keySet, error) {
	s := new(keySet)
	return s, s.addAll("here", "", []string{key})
}

// TestDocsMigratingEnv checks the example of a .env file, as the process reads it.
func TestDocsMigratingEnv(t *testing.T) {
	examples := mustReadDocument(t, migrating).in("ini")
	if len(examples) != 1 {
		t.Fatalf("%d examples, want 1", len(examples))
	}
	site, err := emulator.Start(emulator.Options{})
	must(t, err)
	t.Cleanup(site.Close)
	s := envServer(t, site, examples[0])
	if got := s.chat("sk-second"); got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	want, _, _ := strings.Cut(strings.TrimPrefix(examples[0], "QWEN_COOKIES="), "\n")
	if got := site.Requests()[0].Header.Get("Cookie"); got != want {
		t.Errorf("the cookies are %s, want %s", got, want)
	}
	s.stop(20 * time.Second)
}

// TestDocsMigratingDockerRun checks that `docker run` is what compose.yaml says.
func TestDocsMigratingDockerRun(t *testing.T) {
	s := mustCompose(t, mustReadCompose(t), "")
	p := s.Ports[0]
	words := []string{"docker run -d --name", composeService, "--env-file .env --restart", s.Restart, "-p", fmt.Sprintf("%s:%s:%d", p.HostIP, p.Published, p.Target),
		"-v caddy-qwen:" + s.Volumes[0].Target, "--read-only --tmpfs", strings.Join(s.Tmpfs, " --tmpfs "), "--cap-drop", strings.Join(s.CapDrop, " --cap-drop "),
		"--security-opt", strings.Join(s.SecurityOpt, " --security-opt "), fmt.Sprintf("--stop-timeout %.0f", time.Duration(*s.StopGracePeriod).Seconds()),
		"--log-opt max-size=" + s.Logging.Options["max-size"], "--log-opt max-file=" + s.Logging.Options["max-file"], s.Image}
	text, err := os.ReadFile(migrating)
	must(t, err)
	if want := strings.Join(words, " "); !strings.Contains(string(text), "\n"+want+"\n") {
		t.Errorf("there is no\n%s", want)
	}
}
