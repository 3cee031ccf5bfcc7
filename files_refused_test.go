package caddyqwen

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// formHead is the head of a request with a form of a length.
func formHead(path, kind string, length int, more string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n", path, testKey, kind, length, more)
}

// Many clients look for an answer only when they have sent everything. What is
// refused is read on for a while, so that they see why.
func TestUploadRefusedIsSeen(t *testing.T) {
	const limit = 1_000_000
	g := mustGateway(t, setup{qwen: fmt.Sprintf("max_image %d\nmax_video %[1]d", limit)})
	for name, over := range map[string]int{"2 MB": 2_000_000, "7 MB": 7_000_000} {
		for _, route := range formRoutes() {
			t.Run("U06 a file that is too large by "+name+" "+route.path, func(t *testing.T) {
				kind, body := mustForm(t, route.fields(route.sized(limit+over))...)
				conn := g.dial()
				// What is sent must not just vanish in the buffers of the system.
				if err := conn.SetWriteBuffer(256 << 10); err != nil {
					t.Fatal(err)
				}
				fmt.Fprint(conn, formHead(route.path, kind, len(body), ""))
				if n, err := io.Copy(conn, bytes.NewReader(body)); err != nil {
					t.Fatalf("after %d bytes: %v", n, err)
				}
				wantFile(http.StatusRequestEntityTooLarge, "file_too_large", route.file.name).check(t, mustReadReply(t, conn))
			})
		}
	}
	g.notSent(t)
	g.nothingLeft()
}

// Those that send for ever are not read for ever.
func TestUploadRefusedEndless(t *testing.T) {
	const limit = 1_000_000
	g := mustGateway(t, setup{qwen: fmt.Sprintf("max_image %d\nmax_video %[1]d", limit)})
	for _, route := range formRoutes() {
		begin := "--" + boundary + "\r\n" + rawPart(`name="`+route.file.name+`"; filename="`+route.file.file+`"`, route.file.kind, route.file.value)
		t.Run("U06 a client that never reads "+route.path, func(t *testing.T) {
			const buffers = 16 << 20 // what can be on its way
			conn := g.dial()
			fmt.Fprint(conn, formHead(route.path, "multipart/form-data; boundary="+boundary, 1<<40, "")+begin)
			n, err := io.Copy(struct{ io.Writer }{conn}, &endless{text: strings.Repeat("x", 64<<10)})
			if err == nil || n > limit+lingerSize+buffers {
				t.Errorf("%d bytes were taken, %v", n, err)
			}
		})
		t.Run("U06 a client that stands still "+route.path, func(t *testing.T) {
			conn := g.dial()
			fmt.Fprint(conn, formHead(route.path, "multipart/form-data; boundary="+boundary, 1<<40, "")+begin)
			if _, err := io.CopyN(conn, &endless{text: strings.Repeat("x", 64<<10)}, 2*limit); err != nil {
				t.Fatal(err)
			}
			wantFile(http.StatusRequestEntityTooLarge, "file_too_large", route.file.name).check(t, mustReadReply(t, conn))
			if n, err := io.Copy(io.Discard, conn); n != 0 || err != nil {
				t.Errorf("after the answer come %d bytes, %v", n, err)
			}
		})
	}
	g.notSent(t)
	g.nothingLeft()
}

// A client that waits for leave to send gets the answer in its place.
func TestUploadRefusedBeforeItIsSent(t *testing.T) {
	g := mustGateway(t, setup{})
	for _, route := range formRoutes() {
		t.Run("A17 "+route.path, func(t *testing.T) {
			conn := g.dial()
			fmt.Fprint(conn, formHead(route.path, "multipart/form-data; boundary="+boundary, 1<<20, "Origin: https://evil.example\r\nExpect: 100-continue\r\n"))
			mustRefuse(t, mustReadReply(t, conn), 403, "origin_not_allowed", "")
		})
	}
	g.notSent(t)
}
