package caddyqwen

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// fileSecret is in every account file of these tests, and in no error.
const fileSecret = "canary-in-the-account-file"

// testAccount is an account with everything that a file can hold.
func testAccount() qwen.Credential {
	return qwen.Credential{
		Cookies: `token=a.b=; x="` + fileSecret + `"; y=<&>ü\`,
		Token:   "eyJ." + fileSecret,
		Header:  http.Header{"User-Agent": {`Browser "1" <&>`}, "Bx-Ua": {"231!" + fileSecret}},
	}
}

func newAccountFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "caddy", "qwen", "account.json")
}

func mustWriteAccount(t *testing.T, path string, c qwen.Credential) {
	t.Helper()
	if err := writeAccountFile(path, c); err != nil {
		t.Fatal(err)
	}
}

func mustReadAccount(t *testing.T, path string) (qwen.Credential, fs.FileInfo) {
	t.Helper()
	cred, info, err := readAccountFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return cred, info
}

func TestDefaultAccountFile(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", filepath.FromSlash("/data"))
	if got, want := defaultAccountFile(), filepath.FromSlash("/data/caddy/qwen/account.json"); got != want {
		t.Errorf("path %s, want %s", got, want)
	}
}

func TestAccountFileRoundTrip(t *testing.T) {
	path := newAccountFile(t)
	for _, want := range []qwen.Credential{
		testAccount(),
		{Token: "only-a-token", Header: http.Header{}},
		{Cookies: "only=cookies", Header: http.Header{}},
	} {
		mustWriteAccount(t, path, want)
		got, info := mustReadAccount(t, path)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("read %+v, want %+v", got, want)
		}
		if tooOpen(info) {
			t.Error("others may read the file")
		}
		checkMode(t, path, 0o600)
		checkMode(t, filepath.Dir(path), 0o700)
		checkFiles(t, filepath.Dir(path), "account.json")
	}
}

// checkFiles fails the test unless exactly the named files are in a directory.
func checkFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s contains %q, want %q", dir, got, want)
	}
}

func TestAccountFileIsReplacedAsAWhole(t *testing.T) {
	path := newAccountFile(t)
	mustWriteAccount(t, path, testAccount())
	open, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	_, before := mustReadAccount(t, path)
	mustWriteAccount(t, path, qwen.Credential{Token: "new"})
	if _, after := mustReadAccount(t, path); sameContent(before, after) {
		t.Error("the replacement cannot be told from the old file")
	}
	old := make([]byte, 2000)
	if n, _ := open.Read(old); !strings.Contains(string(old[:n]), fileSecret) {
		t.Error("who was reading the old file sees something else")
	}
}

// TestAccountFileStaysIfWritingFails lets the last step fail, as the file of that
// name is a directory with something in it.
func TestAccountFileStaysIfWritingFails(t *testing.T) {
	path := newAccountFile(t)
	mustWriteFile(t, filepath.Join(path, "inside"), "old", 0o600)
	err := writeAccountFile(path, testAccount())
	if err == nil || strings.Contains(err.Error(), fileSecret) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v; want one that names the file and no secret", err)
	}
	checkFiles(t, filepath.Dir(path), "account.json")
	checkFiles(t, path, "inside")
}

// TestAccountFileLeftovers leaves what a crash right before the last step leaves.
func TestAccountFileLeftovers(t *testing.T) {
	path := newAccountFile(t)
	mustWriteAccount(t, path, testAccount())
	for name, age := range map[string]time.Duration{".account.json-1": 2 * time.Hour, ".account.json-2": 0, ".other-3": 2 * time.Hour} {
		file := filepath.Join(filepath.Dir(path), name)
		mustWriteFile(t, file, `{"token":"`+fileSecret, 0o600)
		if err := os.Chtimes(file, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := mustReadAccount(t, path); !reflect.DeepEqual(got, testAccount()) {
		t.Error("a crash has changed the file")
	}
	mustWriteAccount(t, path, qwen.Credential{Token: "new"})
	checkFiles(t, filepath.Dir(path), ".account.json-2", ".other-3", "account.json")
}

func TestAccountFileBehindALink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "real", "a.json"), filepath.Join(dir, "account.json")
	mustWriteAccount(t, target, testAccount())
	if err := os.Symlink(target, link); err != nil {
		t.Skip(err)
	}
	mustWriteAccount(t, link, qwen.Credential{Token: "new"})
	if got, _ := mustReadAccount(t, target); got.Token != "new" {
		t.Error("what the link names was not replaced")
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().IsRegular() {
		t.Errorf("the link is gone: %v", err)
	}
}

func TestAccountFileWrittenByHand(t *testing.T) {
	tests := []struct{ name, content string }{
		{"one line", `{"token":"T","headers":{"user-agent":"U"}}`},
		{"white space", "\n {\"token\" : \" T\\n\",\r\n\t\"headers\": {\"USER-AGENT\": \" U \"}}\r\n\r\n"},
		{"byte order mark", "\ufeff" + `{"token":"T","headers":{"User-Agent":"U"}}`},
		{"UTF-16", "\xff\xfe" + strings.Join(strings.Split(`{"token":"T","headers":{"User-Agent":"U"}}`, ""), "\x00") + "\x00"},
		{"a paste", "curl https://chat.qwen.ai/ -H 'authorization: Bearer T' -H 'user-agent: U' --compressed"},
		{"null", `{"cookies":null,"token":"T","headers":{"User-Agent":"U"}}`},
	}
	want := qwen.Credential{Token: "T", Header: http.Header{"User-Agent": {"U"}}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := newAccountFile(t)
			mustWriteFile(t, path, tt.content, 0o644)
			got, info := mustReadAccount(t, path)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("read %+v, want %+v", got, want)
			}
			if !tooOpen(info) {
				t.Error("it is not reported that others may read the file")
			}
		})
	}
}

func TestReadAccountFileErrors(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		text    string // a part of the error
	}{
		{"missing", func(*testing.T, string) {}, "no such file"},
		{"directory", mustMkdir, "not a regular file"},
		{"empty", writes(""), "it is empty"},
		{"only space", writes(" \r\n\t"), "it is empty"},
		{"too large", writes(strings.Repeat(" ", accountFileMaxSize) + `{"token":"` + fileSecret + `"}`), "larger than 1 MiB"},
		{"cut", writes(`{"token":"` + fileSecret), "not a JSON object"},
		{"list", writes(`["` + fileSecret + `"]`), "it is JSON"},
		{"something else", writes("the token is " + fileSecret), "copy the request as cURL"},
		{"a request to another site", writes("curl 'https://example.com/' -b 'a=" + fileSecret + "'"), "another site, example.com"},
		{"not text", writes(fileSecret + "\x00"), "not text"},
		{"two", writes(`{"token":"` + fileSecret + `"}{}`), "not a JSON object"},
		{"nesting", writes(`{"token":` + strings.Repeat("[", 500_000)), "not a JSON object"},
		{"nothing to log in with", writes(`{"headers":{"User-Agent":"` + fileSecret + `"}}`), "neither cookies nor a token"},
		{"unknown field", writes(`{"token":"` + fileSecret + `","Tokens":""}`), `no field "Tokens"`},
		{"unknown field with odd letters", writes(`{"tok\u202een":"` + fileSecret + `"}`), `no field "tok\u202een"`},
		{"secret as a field", writes(`{"` + fileSecret + fileSecret + `":1}`), "no field with a name of that length"},
		{"token of the wrong kind", writes(`{"token":["` + fileSecret + `"]}`), "field token"},
		{"header of the wrong kind", writes(`{"headers":{"A":["` + fileSecret + `"]}}`), "field headers"},
		{"line break in the cookies", writes(`{"cookies":"a=` + fileSecret + `\r\nHost: x"}`), "cookies contain line breaks"},
		{"control character in the token", writes(`{"token":"` + fileSecret + `\u0000"}`), "token contains line breaks"},
		{"line break in a header", writes(`{"token":"T","headers":{"A":"` + fileSecret + `\nB: c"}}`), `header "A"`},
		{"reserved header", writes(`{"token":"T","headers":{"host":"` + fileSecret + `"}}`), "header Host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := newAccountFile(t)
			tt.prepare(t, path)
			cred, info, err := readAccountFile(path)
			if err == nil || !cred.Empty() || info != nil {
				t.Fatalf("read something, error %v; want only an error", err)
			}
			for _, part := range []string{tt.text, path, "caddy qwen import"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), fileSecret) || strings.ContainsAny(err.Error(), "\r\n\x00\u202e") {
				t.Errorf("error %q repeats the content", err)
			}
		})
	}
	if _, _, err := readAccountFile(newAccountFile(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v for no file, want %v", err, fs.ErrNotExist)
	}
}

func TestAccountFileHint(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "account.json", Err: fs.ErrPermission}
	if got := accountFileHint(denied); !strings.Contains(got, "as the user that runs the server") {
		t.Errorf("hint for a denied access: %q", got)
	}
	if got := accountFileHint(errors.New("disk")); !strings.Contains(got, "writes one") {
		t.Errorf("hint for another error: %q", got)
	}
}
