package caddyqwen

import (
	"os"
	"path/filepath"
	"testing"
)

// The console of Chrome shows a text in quotation marks, which get copied with it.
func TestImportQuotedCookies(t *testing.T) {
	for _, quoted := range []string{`'cna=1; token=a.b.c'`, `"cna=1; token=a.b.c"`, `Cookie: "cna=1; token=a.b.c"`} {
		paste, err := parsePaste([]byte(quoted))
		if err != nil || paste.Cookies != "cna=1; token=a.b.c" || pasted(paste).AccessToken() != "a.b.c" {
			t.Errorf("%s: %+v, %v", quoted, paste, err)
		}
	}
}

// A file with a single setting looks like a cookie.
func TestImportKeepsSettings(t *testing.T) {
	const old = "VALID_TOKENS=sk-1234567890\n"
	path := filepath.Join(t.TempDir(), ".env")
	must(t, os.WriteFile(path, []byte(old), 0o600))
	if err := checkReplaceable(path, false); err == nil {
		t.Error("it may be replaced")
	}
}
