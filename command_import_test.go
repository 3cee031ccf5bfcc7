package caddyqwen

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// importEnv has the data directory and the arguments of the process that
// TestImportProcess is.
const importEnv = "CADDY_QWEN_TEST_IMPORT"

// TestImportProcess is `caddy qwen` in a process of its own.
func TestImportProcess(t *testing.T) {
	args := os.Getenv(importEnv)
	if args == "" {
		t.Skip("only a part of other tests")
	}
	dir, args, _ := strings.Cut(args, "\n")
	os.Setenv("XDG_DATA_HOME", dir) // not before, because TestMain sets it
	os.Args = append([]string{"caddy", "qwen"}, strings.Split(args, "\n")...)
	caddycmd.Main() // ends the process if the command fails
	os.Exit(0)
}

// imported is what a process has done.
type imported struct {
	stdout, stderr string
	status         int
}

// runImport runs `caddy qwen import` in a process whose data directory is dir.
func runImport(t *testing.T, dir string, stdin []byte, args ...string) imported {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestImportProcess$")
	cmd.Env = append(os.Environ(), importEnv+"="+strings.Join(append([]string{dir, "import"}, args...), "\n"))
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	got := imported{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
	checkNoCanary(t, got.stdout+got.stderr)
	return got
}

// checkNoCanary fails the test if an output has a secret of the pastes.
func checkNoCanary(t *testing.T, output string) {
	t.Helper()
	if i := strings.Index(output, "canary"); i >= 0 {
		t.Errorf("a secret is in the output: %q", output[i:min(len(output), i+30)])
	}
}

// jwt returns a token that was issued at a time and is good for another.
func jwt(issued time.Time, life time.Duration) string {
	encode := base64.RawURLEncoding.EncodeToString
	payload := fmt.Sprintf(`{"id":"canary-id","iat":%d,"exp":%d}`, issued.Unix(), issued.Add(life).Unix())
	return encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(payload)) + ".canary-signature"
}

// curlWith returns a request as Chrome copies it.
func curlWith(cookies, token string) string {
	return "curl 'https://chat.qwen.ai/api/v2/chat/completions?chat_id=canary' \\\n  -H 'accept: */*' \\\n  -H 'authorization: Bearer " + token +
		"' \\\n  -b '" + cookies + "' \\\n  -H 'user-agent: canary-browser' \\\n  -H 'bx-ua: 231!canary' \\\n  --data-raw '{\"canary\":1}'"
}

const otherCookies = "cna=canary; x-ap=canary; acw_tc=canary; ssxmod_itna=canary=="

func goodPaste() (paste, token string) {
	token = jwt(time.Now(), 15*time.Minute)
	return curlWith(otherCookies+"; token="+token+"; refresh_token=canary", token), token
}

func TestImport(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "caddy", "qwen", "account.json")
	paste, token := goodPaste()
	got := runImport(t, dir, []byte(paste))
	if got.status != 0 || got.stderr != "" {
		t.Fatalf("status %d, %s", got.status, got.stderr)
	}
	for _, part := range []string{
		"cURL (bash), a request to https://chat.qwen.ai/api/v2/chat/completions\n",
		"Cookies:  cna, x-ap, acw_tc, ssxmod_itna, token, refresh_token\n",
		fmt.Sprintf("Token:    eyJ…(%d characters), good until 20", len(token)),
		"minutes from now); the cookie refresh_token renews it\n",
		"Headers:  Bx-Ua, User-Agent\n",
		"Written to " + path,
		"Nothing else is to be done",
	} {
		if !strings.Contains(got.stdout, part) {
			t.Errorf("the output does not say %q:\n%s", part, got.stdout)
		}
	}
	if strings.Contains(got.stdout, "Missing") {
		t.Errorf("something is missed:\n%s", got.stdout)
	}
	cred, _ := mustReadAccount(t, path)
	if cred.AccessToken() != token || cred.Token != "" || !cred.Renewable() || cred.Header.Get("User-Agent") != "canary-browser" {
		t.Errorf("stored %+v", cred)
	}
	checkMode(t, path, 0o600)
	checkFiles(t, filepath.Dir(path), "account.json")
}

func TestImportSources(t *testing.T) {
	paste, token := goodPaste()
	file := filepath.Join(t.TempDir(), "request.txt")
	mustWriteFile(t, file, strings.ReplaceAll(paste, "\n", "\r\n"), 0o644)
	stored, _ := json.Marshal(map[string]string{"token": token})
	tests := []struct {
		name  string
		stdin []byte
		args  []string
	}{
		{"file", nil, []string{file}},
		{"standard input by name", []byte(paste), []string{"-"}},
		{"PowerShell's redirection", append([]byte{0xff, 0xfe}, []byte(strings.Join(strings.Split(paste, ""), "\x00")+"\x00")...), nil},
		{"byte order mark", append([]byte("\ufeff"), paste...), nil},
		{"token", []byte(token + "\n"), nil},
		{"account file", stored, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if got := runImport(t, dir, tt.stdin, tt.args...); got.status != 0 {
				t.Fatalf("status %d, %s", got.status, got.stderr)
			}
			if cred, _ := mustReadAccount(t, filepath.Join(dir, "caddy", "qwen", "account.json")); cred.AccessToken() != token {
				t.Errorf("stored %+v", cred)
			}
		})
	}
}

func TestImportJSON(t *testing.T) {
	dir := t.TempDir()
	output := filepath.Join(dir, "sub", "my account.json")
	token := jwt(time.Now().Add(-time.Hour), 30*24*time.Hour)
	got := runImport(t, dir, []byte(curlWith("cna=canary; token="+token, token)), "--json", "--output", output)
	var report struct {
		File, Format, URL, Next  string
		Cookies, Headers, Advice []string
		Token                    struct {
			Characters int
			Expires    time.Time
			Expired    bool
		}
		Renewable bool
	}
	decoder := json.NewDecoder(strings.NewReader(got.stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil || decoder.More() {
		t.Fatalf("%v in\n%s%s", err, got.stdout, got.stderr)
	}
	if report.File != output || report.Format != "cURL (bash)" || report.URL != "https://chat.qwen.ai/api/v2/chat/completions" {
		t.Errorf("report %+v", report)
	}
	if !slices.Equal(report.Cookies, []string{"cna", "token"}) || !slices.Equal(report.Headers, []string{"Bx-Ua", "User-Agent"}) {
		t.Errorf("cookies %q, headers %q", report.Cookies, report.Headers)
	}
	if left := time.Until(report.Token.Expires); report.Token.Characters != len(token) || report.Token.Expired || left < 29*24*time.Hour || left > 30*24*time.Hour {
		t.Errorf("token %+v", report.Token)
	}
	if report.Renewable || len(report.Advice) != 1 || !strings.Contains(report.Advice[0], "acw_tc, x-ap, ssxmod_itna") {
		t.Errorf("renewable %v, advice %q", report.Renewable, report.Advice)
	}
	_, block, _ := strings.Cut(report.Next, ":\n")
	if config, _, err := adaptText("http://127.0.0.1 {\n\tqwen {\n" + block + "\n\t}\n}\n"); err != nil || !strings.Contains(config, output) {
		t.Errorf("next step %q: %v in %s", report.Next, err, config)
	}
	if cred, _ := mustReadAccount(t, output); cred.AccessToken() != token {
		t.Errorf("stored %+v", cred)
	}
}

func TestImportAdvice(t *testing.T) {
	now := time.Now()
	fresh, old := jwt(now, 15*time.Minute), jwt(now.Add(-time.Hour), 15*time.Minute)
	tests := []struct {
		name, paste string
		want        []string // what is told, besides what is told of a complete request
	}{
		{"complete", curlWith(otherCookies+"; refresh_token=canary; token="+fresh, fresh), nil},
		{"only a token", fresh, []string{"no cookies, only a token", "soon over"}},
		{"a short token that cannot be renewed", otherCookies + "; token=" + fresh, []string{"soon over"}},
		{"a token that is over", otherCookies + "; refresh_token=canary; token=" + old, []string{"was good until", "token is over"}},
		{"a token to come", otherCookies + "; refresh_token=canary", nil},
		{"a token that says nothing", otherCookies + "; token=canary", []string{"does not say until when"}},
		{"other cookies", "cna=canary; refresh_token=canary", []string{"also sends the cookies acw_tc, x-ap, ssxmod_itna."}},
		{"odd cookies", otherCookies + "; refresh_token=c; canary; canary\x7f=é; " + strings.Repeat("canary", 9) + "=x", []string{"(odd name), (odd name)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			paste := strings.ReplaceAll(tt.paste, "\x7f", "é")
			got := runImport(t, dir, []byte(paste))
			if got.status != 0 {
				t.Fatalf("status %d, %s", got.status, got.stderr)
			}
			for _, part := range tt.want {
				if !strings.Contains(got.stdout, part) {
					t.Errorf("the output does not say %q:\n%s", part, got.stdout)
				}
			}
			advice := 0
			for _, part := range tt.want {
				if !strings.Contains(part, "until") && !strings.Contains(part, "odd name") {
					advice++
				}
			}
			if n := strings.Count(got.stdout, "Missing:"); n != advice {
				t.Errorf("%d pieces of advice, want %d:\n%s", n, advice, got.stdout)
			}
		})
	}
}

func TestImportFails(t *testing.T) {
	paste, _ := goodPaste()
	dead := jwt(time.Now().Add(-48*time.Hour), time.Hour)
	tests := []struct {
		name, stdin string
		args        []string
		want        string
	}{
		{"nothing", "", nil, "nothing usable in standard input: it is empty"},
		{"garbage", "what is canary?", nil, "nothing that a browser copies"},
		{"too large", strings.Repeat(" ", accountFileMaxSize+1) + paste, nil, "larger than 1 MiB"},
		{"missing file", "", []string{"none.txt"}, "no such file"},
		{"a directory", "", []string{"."}, "not a regular file"},
		{"another site", "curl 'https://example.com/' -b 'a=canary'", nil, "another site, example.com"},
		{"a command", `curl https://chat.qwen.ai/ -b "a=$(touch canary)"`, nil, "nothing is executed"},
		{"nobody logged in", "curl https://chat.qwen.ai/", nil, "neither cookies nor a token"},
		{"a dead token", curlWith(otherCookies+"; token="+dead, dead), nil, "nothing was written: the token ended at 20"},
		{"nobody logged in, but with cookies", otherCookies, nil, "nothing was written: there is no token"},
		{"two files", paste, []string{"a", "b"}, "accepts at most 1 arg"},
		{"unknown flag", paste, []string{"--force"}, "unknown flag"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "caddy", "qwen", "account.json")
			mustWriteAccount(t, path, testAccount())
			got := runImport(t, dir, []byte(tt.stdin), tt.args...)
			if got.status != 1 || got.stdout != "" || !strings.Contains(got.stderr, tt.want) {
				t.Errorf("status %d, %s%s; want %q", got.status, got.stdout, got.stderr, tt.want)
			}
			if cred, _ := mustReadAccount(t, path); cred.Cookies != testAccount().Cookies {
				t.Error("the account file has changed")
			}
			checkFiles(t, filepath.Dir(path), "account.json")
		})
	}
}

func TestImportReplaces(t *testing.T) {
	paste, token := goodPaste()
	tests := []struct {
		name, old string
		output    bool // whether another file than the usual one is named
		want      string
	}{
		{"an account file", `{"token":"old"}`, true, ""},
		{"what was pasted into it", "token=old", true, ""},
		{"an empty file", "", true, ""},
		{"a damaged one at the usual place", `{"token":`, false, ""},
		{"another file", "canary: do not lose this", true, "it is no account file"},
		{"another file of JSON", `{"admin":"canary"}`, true, "it is no account file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path, args := filepath.Join(dir, "caddy", "qwen", "account.json"), []string(nil)
			if tt.output {
				path = filepath.Join(dir, "my.json")
				args = []string{"-o", path}
			}
			mustWriteFile(t, path, tt.old, 0o644)
			got := runImport(t, dir, []byte(paste), args...)
			if tt.want != "" {
				kept, err := os.ReadFile(path)
				if got.status != 1 || !strings.Contains(got.stderr, tt.want) || err != nil || string(kept) != tt.old {
					t.Errorf("status %d, %s, and the file has %q, %v", got.status, got.stderr, kept, err)
				}
				return
			}
			if cred, _ := mustReadAccount(t, path); got.status != 0 || cred.AccessToken() != token {
				t.Errorf("status %d, %s, stored %+v", got.status, got.stderr, cred)
			}
			checkMode(t, path, 0o600)
		})
	}
}

func TestImportIntoADirectoryThatCannotBeWritten(t *testing.T) {
	paste, _ := goodPaste()
	dir := t.TempDir()
	mustWriteFile(t, filepath.Join(dir, "file"), "", 0o600)
	got := runImport(t, dir, []byte(paste), "-o", filepath.Join(dir, "file", "account.json"))
	if got.status != 1 || got.stdout != "" || !strings.Contains(got.stderr, filepath.Join(dir, "file")) {
		t.Errorf("status %d, %s%s", got.status, got.stdout, got.stderr)
	}
	checkFiles(t, dir, "file")
}
