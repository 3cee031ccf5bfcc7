package caddyqwen

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-qwen/caddy-qwen/internal/browser"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// accountFileMaxSize is more than an account file, or what a browser copies of one
// request, ever has.
const accountFileMaxSize = 1 << 20

// importHint ends errors about an account file that cannot be used.
const importHint = "; run `caddy qwen import` to write it anew"

// accountFile is the content of an account file: what the owner's own browser
// sends to the site.
type accountFile struct {
	Cookies string            `json:"cookies,omitempty"`
	Token   string            `json:"token,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
}

// defaultAccountFile returns where `caddy qwen import` writes the account: the file
// `qwen/account.json` in Caddy's data directory.
func defaultAccountFile() string {
	return filepath.Join(caddy.AppDataDir(), "qwen", "account.json")
}

// readAccountFile returns the credential in the file at path and the state of the
// file, of which sameContent tells whether it has changed since. If there is no
// file, the error is fs.ErrNotExist. No error repeats what is in the file.
func readAccountFile(path string) (qwen.Credential, fs.FileInfo, error) {
	data, info, err := readSmallFile(path)
	if err != nil {
		return qwen.Credential{}, nil, fmt.Errorf("reading the account file: %w%s", err, accountFileHint(err))
	}
	cred, err := parseAccount(data)
	if err != nil {
		return qwen.Credential{}, nil, fmt.Errorf("the account file %s: %w%s", path, err, importHint)
	}
	return cred, info, nil
}

// accountFileHint says what to do about a file that cannot be read.
func accountFileHint(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return " (run `caddy qwen import` as the user that runs the server, or give that user the file)"
	}
	return " (`caddy qwen import` writes one)"
}

// readSmallFile returns the content of a regular file of at most
// accountFileMaxSize bytes.
func readSmallFile(path string) ([]byte, fs.FileInfo, error) {
	// Opening anything else, such as a named pipe, could block for ever.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, accountFileMaxSize+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > accountFileMaxSize {
		return nil, nil, fmt.Errorf("%s is larger than 1 MiB, so it is something else", path)
	}
	return data, info, nil
}

// parseAccount returns the credential in the content of an account file. People also
// keep there what their browser has copied.
func parseAccount(data []byte) (qwen.Credential, error) {
	paste, err := parsePaste(data)
	if err != nil {
		return qwen.Credential{}, err
	}
	return pasted(paste), nil
}

// parsePaste reads an account file, or what a browser's developer tools copy.
func parsePaste(data []byte) (paste browser.Paste, err error) {
	if text, bad := browser.Text(data); bad == nil && strings.HasPrefix(strings.TrimSpace(text), "{") {
		paste, err = parseAccountJSON(text)
	} else {
		paste, err = browser.Parse(data)
	}
	if err != nil {
		return browser.Paste{}, err
	}
	return paste, checkCredential(pasted(paste))
}

// pasted returns the credential in a paste.
func pasted(p browser.Paste) qwen.Credential {
	return qwen.Credential{Cookies: p.Cookies, Token: p.Token, Header: p.Header}
}

// parseAccountJSON reads the form in which account files are written.
func parseAccountJSON(text string) (browser.Paste, error) {
	var file accountFile
	if err := file.decode([]byte(text)); err != nil {
		return browser.Paste{}, err
	}
	cred := file.credential()
	if cred.Empty() {
		return browser.Paste{}, errors.New("it has neither cookies nor a token")
	}
	return browser.Paste{Format: "account file", Cookies: cred.Cookies, Token: cred.Token, Header: cred.Header}, nil
}

// decode reads JSON. Errors of package json may repeat content, so they are
// replaced.
func (a *accountFile) decode(data []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return errors.New("it is not a JSON object")
	}
	known := map[string]any{"cookies": &a.Cookies, "token": &a.Token, "headers": &a.Headers}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		to, ok := known[name]
		if !ok {
			return fmt.Errorf("there is no field %s; the fields are cookies, token and headers", shortName(name))
		}
		if json.Unmarshal(fields[name], to) != nil {
			return fmt.Errorf("the field %s has a value of the wrong kind: cookies and token are texts, headers are an object of texts", name)
		}
	}
	return nil
}

// shortName returns a name for an error. What is too long for one may be a secret
// at the wrong place.
func shortName(name string) string {
	if len(name) > 32 {
		return "with a name of that length"
	}
	return fmt.Sprintf("%+q", name)
}

// credential returns what the client of the site needs.
func (a *accountFile) credential() qwen.Credential {
	cred := qwen.Credential{
		Cookies: strings.TrimSpace(a.Cookies),
		Token:   strings.TrimSpace(a.Token),
		Header:  make(http.Header, len(a.Headers)),
	}
	for name, value := range a.Headers {
		cred.Header.Set(name, strings.TrimSpace(value))
	}
	return cred
}

// writeAccountFile stores a credential at path, readable by the owner only. It
// takes the place of a file that is there at once and as a whole: whatever
// happens, there is the old content or the new.
func writeAccountFile(path string, c qwen.Credential) error {
	file := accountFile{Cookies: c.Cookies, Token: c.Token, Headers: make(map[string]string, len(c.Header))}
	for name := range c.Header {
		file.Headers[name] = c.Header.Get(name)
	}
	var text bytes.Buffer
	if err := encodeJSON(&text, file, "\t"); err != nil {
		return err
	}
	if err := replaceFile(path, text.Bytes()); err != nil {
		return fmt.Errorf("writing the account file: %w", err)
	}
	return nil
}

// replaceFile writes a private file under a temporary name, brings it to disk and
// gives it its name. A link stays, and what it names is replaced.
func replaceFile(path string, data []byte) error {
	_, err := replaceFileUnless(path, data, func() error { return nil })
	return err
}

// replaceFileUnless is replaceFile, unless a last look returns an error. It returns
// the state of the new file.
func replaceFileUnless(path string, data []byte, look func() error) (fs.FileInfo, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	dir, prefix := filepath.Dir(path), "."+filepath.Base(path)+"-"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	removeLeftovers(dir, prefix)
	tmp, err := os.CreateTemp(dir, prefix+"*") // readable by the owner only
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name()) // if it still has that name
	_, err = tmp.Write(data)
	// Under its own name, it may be another process's the next moment.
	info, unknown := tmp.Stat()
	if err := errors.Join(err, unknown, tmp.Sync(), tmp.Close()); err != nil {
		return nil, err
	}
	if err := look(); err != nil {
		return nil, err
	}
	return info, os.Rename(tmp.Name(), path)
}

// removeLeftovers removes temporary files that crashes have left, as there are
// secrets in them. Those of others who are writing right now are younger.
func removeLeftovers(dir, prefix string) {
	entries, _ := os.ReadDir(dir) // what cannot be read can stay
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && strings.HasPrefix(entry.Name(), prefix) && time.Since(info.ModTime()) > time.Hour {
			os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// tooOpen reports whether others than the owner may read an account file. On
// Windows, where files have none of these bits, the user's profile directory
// protects the file.
func tooOpen(info fs.FileInfo) bool {
	return info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows"
}
