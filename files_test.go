package caddyqwen

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"
)

// TestUpload is the whole way of a file: to the storage, and into a chat.
func TestUpload(t *testing.T) {
	g := mustGateway(t, setup{})
	image := testPNG(1, 5000)
	r := g.form("/v1/files/upload", field{name: "file", file: "图 a+b%.png", value: string(image), kind: "image/png"})
	var f struct {
		ID, Object, Filename, Purpose, URL string
		Bytes                              int
		CreatedAt                          int64 `json:"created_at"`
	}
	if err := json.Unmarshal([]byte(r.body), &f); err != nil || r.status != 200 {
		t.Fatalf("status %d, %v: %s", r.status, err, tail(r.body))
	}
	if f.ID == "" || f.Object != "file" || f.Bytes != len(image) || f.Filename != "图 a+b%.png" || f.Purpose == "" || f.URL == "" || f.CreatedAt == 0 {
		t.Errorf("FI-01: %+v", f)
	}
	stored := g.site.Storage().Objects()
	if len(stored) != 1 || stored[0].SHA256 != fmt.Sprintf("%x", sha256.Sum256(image)) {
		t.Errorf("the storage has %d objects, or another content", len(stored))
	}
}
