package caddyqwen

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var update = flag.Bool("update", false, "write the JSON of testdata/*.caddytest anew")

// adaptText adapts a Caddyfile and returns indented JSON.
func adaptText(text string) (string, []string, error) {
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	config, warnings, err := adapter.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return "", nil, err
	}
	var texts []string
	for _, w := range warnings {
		texts = append(texts, w.Message)
	}
	var buf bytes.Buffer
	if err := json.Indent(&buf, config, "", "\t"); err != nil {
		return "", nil, err
	}
	return buf.String(), texts, nil
}

// TestCaddyfile adapts every testdata/*.caddytest: a Caddyfile, a line of
// hyphens, and the expected JSON or a part of the expected error.
func TestCaddyfile(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.caddytest"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddytest"), func(t *testing.T) {
			text, want := mustReadGolden(t, file)
			got, warnings, err := adaptText(text)
			switch {
			case strings.HasPrefix(filepath.Base(file), "error_"):
				if err == nil || want == "" || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v\nwant one with %q", err, want)
				}
				return
			case err != nil:
				t.Fatal(err)
			case len(warnings) > 0:
				t.Errorf("warnings %q", warnings)
			case *update:
				mustWriteFile(t, file, text+"----------\n"+got+"\n", 0o644)
			case got != want:
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// mustReadGolden returns the two parts of a test file.
func mustReadGolden(t *testing.T, file string) (text, want string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	content := strings.ReplaceAll(string(data), "\r\n", "\n")
	text, want, ok := strings.Cut(content, "----------\n")
	if !ok {
		t.Fatalf("%s has no line of hyphens", file)
	}
	return text, strings.TrimSpace(want)
}

// unmarshalBlock parses lines of a qwen block.
func unmarshalBlock(lines string) (*Handler, error) {
	h := new(Handler)
	tokens, err := caddyfile.Tokenize([]byte("qwen {\n"+lines+"\n}"), "Caddyfile")
	if err != nil {
		return h, err // caddyfile.NewTestDispenser ends the process
	}
	return h, h.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens))
}

// TestCaddyfileEverySubdirective checks, for each subdirective, that it has an
// error case, that it is refused without a value, and that only api_key may be
// there twice with the same value.
func TestCaddyfileEverySubdirective(t *testing.T) {
	examples := map[string]string{
		"account": "{\ntoken x\n}", "api_key": "sk-1", "auth": "keys", "base_url": "https://a.example", "auth_base_url": "https://a.example", "frontend_version": "1",
		"transport": "http", "model_alias": "a b", "default_model": "m", "cors": "*", "public_models": "on",
		"sessions": "off", "chats": "keep",
		"storage_endpoint": "https://a.example", "sts_endpoint": "off", "vision_model": "m", "fetch_allow": "10.0.0.1", "long_prompts": "refuse", "tools": "native",
		"max_image": "1", "max_video": "1", "max_audio": "1", "max_document": "1", "max_spool": "1",
		"heartbeat": "1s", "first_byte_hold": "1s", "idle_timeout": "1s", "max_duration": "1s", "drain_timeout": "1s", "queue_wait": "1s",
		"max_body": "1", "max_json_tokens": "1", "max_json_depth": "1", "max_prompt": "1", "max_frame": "1", "max_answer": "1",
		"max_streams": "1", "max_streams_per_key": "1", "max_streams_per_account": "1", "queue_length": "1",
	}
	for name := range new(Handler).subdirectives() {
		t.Run(name, func(t *testing.T) {
			if files, _ := filepath.Glob("testdata/error_" + name + "*.caddytest"); len(files) == 0 {
				t.Error("no error case in testdata")
			}
			if _, err := unmarshalBlock(name); err == nil {
				t.Error("accepted without a value")
			}
			line := name + " " + examples[name]
			h, err := unmarshalBlock(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if config, err := json.Marshal(h); err != nil || string(config) == "{}" {
				t.Errorf("%s configures nothing: %s, %v", line, config, err)
			}
			if _, err := unmarshalBlock(line + "\n" + line); (err == nil) != (name == "api_key") {
				t.Errorf("twice: error %v", err)
			}
		})
	}
}

// TestCaddyfileCoversTheConfiguration checks that every field of the JSON
// configuration can be set in a Caddyfile: testdata/full.caddytest sets all.
func TestCaddyfileCoversTheConfiguration(t *testing.T) {
	text, _ := mustReadGolden(t, filepath.Join("testdata", "full.caddytest"))
	lines := strings.SplitAfter(text, "\n")
	h, err := unmarshalBlock(strings.Join(lines[2:len(lines)-3], ""))
	if err != nil {
		t.Fatal(err)
	}
	checkAllSet(t, "Handler", *h)
	account := *h.Accounts[0]
	account.File = h.Accounts[1].File // which excludes the rest
	checkAllSet(t, "Account", account)
	checkAllSet(t, "APIKey", *h.APIKeys[0])
	checkAllSet(t, "SQLiteSessions", *mustSQLite(t, h.SessionsRaw))
}

func TestCaddyfileErrorsShowNoSecret(t *testing.T) {
	const secret = "eyJhbGciOi.canary.secret"
	tests := []string{
		"account {\ncookies " + secret + " " + secret + "\n}",
		"account {\ncookies a=" + secret + "; b=c\n}",
		"account {\ntoken " + secret + " x\n}",
		"account {\ntoken " + secret + "\ntoken " + secret + "\n}",
		"account {\ntoken\n" + secret + "\n}",
		"account {\n" + secret + "\n}",
		"account " + secret + " {\n}",
		"account a " + secret + "\n",
		"account {\ntoken x\nheader Bx-Ua " + secret + " x\n}",
		"account {\ntoken x\nheader Bx-Ua " + secret + "\nheader Bx-Ua " + secret + "\n}",
		"api_key " + secret + " x",
		"api_key name " + secret + " \"\"",
		secret,
	}
	for _, lines := range tests {
		_, err := unmarshalBlock(lines)
		if err == nil {
			t.Errorf("accepted:\n%s", lines)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("the secret is in the error: %v", err)
		}
	}
}

func TestCheckBaseURL(t *testing.T) {
	for _, s := range []string{"https://chat.qwen.ai", "https://chat.qwen.ai/", "http://127.0.0.1:8080", "http://[::1]:80"} {
		if err := checkBaseURL(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{
		"", "chat.qwen.ai", "//chat.qwen.ai", "ftp://chat.qwen.ai", "https://", "https://:443", "https://a b", "https://a\n",
		"https://a/api", "https://u@a", "https://a?q", "https://a?", "https://a#f", "https://a#",
	} {
		if err := checkBaseURL(s); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}

// FuzzCaddyfile checks that the parser of the directive neither panics nor
// depends on anything but its input, and that what it accepts is a configuration
// that Caddy can read.
func FuzzCaddyfile(f *testing.F) {
	files, _ := filepath.Glob(filepath.Join("testdata", "*.caddytest"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		text, _, _ := strings.Cut(string(data), "----------\n")
		if lines := strings.SplitAfter(text, "\n"); len(lines) > 5 {
			f.Add(strings.Join(lines[2:len(lines)-3], ""))
		}
	}
	f.Add("heartbeat 1s\n}\n{")
	f.Add("account {\naccount {\n")
	f.Fuzz(func(t *testing.T, lines string) {
		h, err := unmarshalBlock(lines)
		again, errAgain := unmarshalBlock(lines)
		if (err == nil) != (errAgain == nil) {
			t.Fatalf("once %v, once %v", err, errAgain)
		}
		if err != nil {
			return
		}
		config, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(config, second) {
			t.Errorf("once\n%s\nonce\n%s", config, second)
		}
		if err := caddy.StrictUnmarshalJSON(config, new(Handler)); err != nil {
			t.Errorf("Caddy cannot read %s: %v", config, err)
		}
	})
}

// checkAllSet fails the test if an exported field of a struct is empty.
func checkAllSet(t *testing.T, name string, value any) {
	t.Helper()
	v := reflect.ValueOf(value)
	for i := range v.NumField() {
		if field := v.Type().Field(i); field.IsExported() && v.Field(i).IsZero() {
			t.Errorf("%s.%s is not set", name, field.Name)
		}
	}
}
