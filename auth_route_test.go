package caddyqwen

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// wantKey is the answer to a request without a valid key.
func wantKey(code string) failed {
	return failed{status: 401, code: code, class: classClient, final: true}
}

func TestAuthRefused(t *testing.T) {
	g := mustGateway(t, setup{qwen: "public_models off"})
	for _, test := range []struct {
		name   string
		header []string
		code   string
	}{
		{"A01 AU-01 nothing", []string{"Authorization", ""}, "invalid_api_key"},
		{"A03 AU-03 only the scheme", []string{"Authorization", "Bearer"}, "invalid_api_key"},
		{"A02 AU-02 another key", []string{"Authorization", "Bearer sk-wrong-key-0123456789"}, "invalid_api_key"},
		{"A02 AU-03 the start of the key", []string{"Authorization", "Bearer " + testKey[:20]}, "invalid_api_key"},
		{"A02 AU-03 more than the key", []string{"Authorization", "Bearer " + testKey + "x"}, "invalid_api_key"},
		{"A02 AU-03 other case", []string{"Authorization", "Bearer " + strings.ToUpper(testKey)}, "invalid_api_key"},
		{"A03 AU-03 Basic", []string{"Authorization", "Basic " + testKey}, "invalid_api_key"},
		{"A03 no scheme", []string{"Authorization", testKey}, "invalid_api_key"},
		{"A03 too long", []string{"Authorization", "Bearer " + strings.Repeat("x", 600)}, "invalid_api_key"},
		{"A05 SQL", []string{"Authorization", "Bearer ' OR '1'='1"}, "invalid_api_key"},
		{"A12 headers of other software", []string{"Authorization", "", "X-Forwarded-User", "root", "X-User-Id", "1", "OpenAI-Organization", testKey}, "invalid_api_key"},
		{"AU-05 wrong X-Api-Key", []string{"Authorization", "", "X-Api-Key", "sk-wrong-key-0123456789"}, "invalid_api_key"},
	} {
		for _, request := range []struct{ method, path, body string }{
			{"POST", chatPath, chatBody("hello", "")},
			{"POST", chatPath, chatBody("hello", `"stream":true`)},
			{"GET", "/v1/models", ""},
			{"GET", "/v1/models/qwen", ""},
			{"GET", "/v1/nothing", ""},
			{"PUT", chatPath, ""},
		} {
			t.Run(test.name+"/"+request.method+" "+request.path, func(t *testing.T) {
				got := g.do(request.method, request.path, request.body, test.header...)
				wantKey(test.code).check(t, got)
				if got.header.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("WWW-Authenticate: %q", got.header.Get("WWW-Authenticate"))
				}
				if strings.Contains(got.body, "sk-wrong") {
					t.Errorf("AU-02 the key comes back: %s", got.body)
				}
			})
		}
	}
	t.Run("A03 two headers", func(t *testing.T) {
		conn := g.dial()
		fmt.Fprintf(conn, "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nAuthorization: Bearer other\r\n\r\n", testKey)
		wantKey("invalid_api_key").check(t, mustReadReply(t, conn))
	})
	t.Run("J26 key in the address", func(t *testing.T) {
		got := g.do("POST", chatPath+"?key="+testKey+"&api_key="+testKey, chatBody("hello", ""), "Authorization", "")
		wantKey("invalid_api_key").check(t, got)
	})
	if n := len(g.site.Requests()); n != 0 {
		t.Errorf("AU-06 the site got %d requests", n)
	}
}

func TestAuthAccepted(t *testing.T) {
	g := mustGateway(t, setup{qwen: "public_models off\napi_key second sk-second-0123456789 sk-third-0123456789"})
	for name, header := range map[string][]string{
		"AU-04 lower case":          {"Authorization", "bearer " + testKey},
		"AU-04 upper case":          {"Authorization", "BEARER " + testKey},
		"AU-04 several spaces":      {"Authorization", "Bearer   " + testKey},
		"AU-05 X-Api-Key":           {"Authorization", "", "X-Api-Key", testKey},
		"AU-05 api-key":             {"Authorization", "", "Api-Key", testKey},
		"AU-05 the same key twice":  {"X-Api-Key", testKey},
		"A20 another key":           {"Authorization", "Bearer sk-second-0123456789"},
		"A20 another key of theirs": {"Authorization", "Bearer sk-third-0123456789"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/v1/models", "/v1/models/qwen"} {
				if got := g.do(http.MethodGet, path, "", header...); got.status != http.StatusOK {
					t.Errorf("%s: status %d: %s", path, got.status, got.body)
				}
			}
			if got := g.do(http.MethodPost, chatPath, chatBody("hello", ""), header...); got.status != http.StatusOK {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

func TestAuthOpenRoutes(t *testing.T) {
	g := mustGateway(t, setup{})
	for _, path := range []string{"/", "/health", "/v1/models", "/v1/models/qwen3.7-plus"} {
		t.Run("A15 "+path, func(t *testing.T) {
			for _, key := range []string{"", "Bearer sk-wrong-key-0123456789"} {
				if got := g.do(http.MethodGet, path, "", "Authorization", key); got.status != http.StatusOK {
					t.Errorf("status %d: %s", got.status, got.body)
				}
			}
		})
	}
	t.Run("A16 the list is asked for once", func(t *testing.T) {
		for range 50 {
			g.do(http.MethodGet, "/v1/models", "", "Authorization", "")
		}
		if n := len(g.site.Requests()); n != 1 {
			t.Errorf("the site got %d requests", n)
		}
	})
}

// The answer comes before the body: neither is it read nor asked for.
func TestAuthBeforeBody(t *testing.T) {
	g := mustGateway(t, setup{})
	for name, key := range map[string]string{"J27 bad key": "sk-wrong-key-0123456789", "J27 good key": testKey} {
		t.Run(name, func(t *testing.T) {
			conn := g.dial()
			body := chatBody("hello", "")
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", chatPath, key, len(body))
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if key != testKey && resp.StatusCode != http.StatusUnauthorized || key == testKey && resp.StatusCode != http.StatusContinue {
				t.Errorf("AU-06 status %d", resp.StatusCode)
			}
			if key == testKey {
				fmt.Fprint(conn, body)
				if got := mustReadReply(t, conn); got.status != http.StatusOK {
					t.Errorf("status %d: %s", got.status, got.body)
				}
			}
		})
	}
}

func TestAuthGeneratedKey(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	file := filepath.Join(dir, "caddy", "qwen", "api_key")
	s := setup{bare: true, qwen: "account {\ntoken " + testToken + "\n}"}
	g := mustGateway(t, s)
	if _, err := os.Stat(file); err == nil {
		t.Error("the key was made before anyone needed it")
	}
	t.Run("A07 nothing is open", func(t *testing.T) {
		got := g.do("POST", chatPath, chatBody("hello", ""), "Authorization", "Bearer x")
		wantKey("invalid_api_key").check(t, got)
		if !strings.Contains(got.body, "caddy qwen key") {
			t.Errorf("the remedy is missing: %s", got.body)
		}
	})
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the mode %v", info.Mode())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(string(text))
	chat := func() int {
		return g.do("POST", chatPath, chatBody("hello", ""), "Authorization", "Bearer "+key).status
	}
	if status := chat(); status != http.StatusOK {
		t.Errorf("status %d with the generated key", status)
	}
	t.Run("it is the same after a reload", func(t *testing.T) {
		g.load(s)
		if status := chat(); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	})
	if strings.Contains(g.logged(), key) {
		t.Error("the key is in the log")
	}
}

func TestAuthByCaddy(t *testing.T) {
	g := mustGateway(t, setup{
		site: "basic_auth {\nalice " + passwordHash + "\n}", bare: true,
		qwen: "auth caddy\naccount {\ntoken " + testToken + "\n}",
	})
	const credentials = "Basic YWxpY2U6Y2FuYXJ5LXBhc3N3b3Jk" // alice:canary-password
	if got := g.do("POST", chatPath, chatBody("hello", ""), "Authorization", credentials); got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if got := g.do("POST", chatPath, chatBody("hello", "")); got.status != http.StatusUnauthorized {
		t.Errorf("with a key instead: status %d: %s", got.status, got.body)
	}
}

// passwordHash is the bcrypt hash of `canary-password`.
const passwordHash = "$2a$04$PK2E9O9vTD/Jl7qj0gm/q.yPi9Yx1gq0U0npOdhWP.LlwbQAM25X6"

func TestAuthByCaddyWithoutUser(t *testing.T) {
	g := mustGateway(t, setup{bare: true, qwen: "auth caddy\naccount {\ntoken " + testToken + "\n}"})
	for name, header := range map[string][]string{
		"nothing":         {"Authorization", ""},
		"some key":        {"Authorization", "Bearer " + testKey},
		"the user's name": {"Authorization", "", "X-Forwarded-User", "alice", "Remote-User", "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			wantKey("invalid_api_key").check(t, g.do("POST", chatPath, chatBody("hello", ""), header...))
		})
	}
	g.untouched()
}

func TestAuthOff(t *testing.T) {
	g := mustGateway(t, setup{bare: true, qwen: "auth off\naccount {\ntoken " + testToken + "\n}"})
	for _, key := range []string{"", "Bearer anything", "Basic eDp5"} {
		if got := g.do("POST", chatPath, chatBody("hello", ""), "Authorization", key); got.status != http.StatusOK {
			t.Errorf("%q: status %d: %s", key, got.status, got.body)
		}
	}
	if !strings.Contains(g.logged(), "auth is off") {
		t.Error("the log does not warn")
	}
}

// Caddy hides this header by itself. That of other headers needs the filter of
// example.Caddyfile, which has tests of its own.
func TestAuthAccessLog(t *testing.T) {
	g := mustGateway(t, setup{})
	paths := []string{chatPath, "/", "/health", "/v1/models", "/v1/nothing", "/other"}
	for _, path := range paths {
		for _, key := range []string{testKey, "sk-wrong-canary-0123456789"} {
			g.do("GET", path, "", "Authorization", "Bearer "+key)
		}
	}
	// A line is written after its answer.
	eventually(t, "all lines are in the access log", func() bool {
		return strings.Count(g.logged(), `"msg":"handled request"`) == 2*len(paths)
	})
	if log := g.logged(); strings.Contains(log, testKey) || strings.Contains(log, "sk-wrong-canary") {
		t.Errorf("a key is in the log:\n%s", log)
	}
}

// The SDK has a class for refused keys.
func TestAuthSDK(t *testing.T) {
	g := mustGateway(t, setup{})
	client := g.client(option.WithAPIKey("sk-wrong-key-0123456789"))
	_, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
		Model: "qwen3.7-plus", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello")},
	})
	var apiError *openai.Error
	if !errors.As(err, &apiError) {
		t.Fatalf("got %v", err)
	}
	if apiError.StatusCode != 401 || apiError.Code != "invalid_api_key" || apiError.Type != "invalid_request_error" {
		t.Errorf("got %+v", apiError)
	}
}
