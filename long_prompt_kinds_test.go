package caddyqwen

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// A prompt is text, whatever it looks like, and goes up as such.
func TestLongPromptLooksLikeFile(t *testing.T) {
	for name, begin := range map[string]string{
		"RTF":            `{\rtf1\ansi is how it begins`,
		"PDF":            "%PDF-1.4\n1 0 obj",
		"a ZIP file":     "PK\x03\x04\x14\x00",
		"PostScript":     "%!PS-Adobe-3.0",
		"SVG":            `<svg xmlns="http://www.w3.org/2000/svg"></svg>`,
		"HTML":           "<!DOCTYPE html><html><body>",
		"XML":            `<?xml version="1.0"?><a/>`,
		"a GIF":          "GIF89a\x10\x00\x10\x00",
		"a WAV":          "RIFF\x24\x08\x00\x00WAVEfmt ",
		"a bell":         "a log with a \a bell",
		"backspaces":     "progress 10%\b\b\b20%",
		"NUL":            "a\x00b",
		"only NULs":      strings.Repeat("\x00", 600),
		"a script":       "#!/bin/sh\nset -e\n",
		"a mark of UTF8": "\ufeffa text",
		"colours":        "\x1b[31mred\x1b[0m",
		"CR and LF":      "one\r\ntwo\rthree\n",
	} {
		for mode, fields := range modes {
			t.Run("UP-02 "+name+"/"+mode, func(t *testing.T) {
				g := mustFilesGateway(t, setup{qwen: "max_prompt 2000"})
				g.parsesAtOnce()
				long := begin + strings.Repeat(" some text", 500)
				r := g.chat(long, fields)
				modelOf(t, r)
				if got := r.header.Get(longHeader); got != "uploaded" {
					t.Errorf("%s is %q", longHeader, got)
				}
				if g.document() != long { // which checks its name and type, too
					t.Error("the file is not the prompt")
				}
				if o := g.site.Storage().Objects()[0]; o.ContentType != "text/plain" {
					t.Errorf("it is stored as %s", o.ContentType)
				}
				if n := g.requested(emulator.EndpointFileParse); n != 1 {
					t.Errorf("the site was asked to read %d documents", n)
				}
			})
		}
	}
}

// Pages can see that a prompt went along as a file.
func TestLongPromptOfPage(t *testing.T) {
	for mode, fields := range modes {
		t.Run("CO-04 "+mode, func(t *testing.T) {
			g := mustFilesGateway(t, setup{qwen: "max_prompt 2000\ncors " + pageOrigin})
			g.parsesAtOnce()
			r := g.do(http.MethodPost, chatPath, chatBody(longText("The long text", 5000), fields), "Origin", pageOrigin)
			modelOf(t, r)
			exposed := strings.Split(strings.ToLower(r.header.Get("Access-Control-Expose-Headers")), ", ")
			for name := range r.header {
				if name = strings.ToLower(name); strings.HasPrefix(name, "x-qwen-") && !strings.Contains(","+strings.Join(exposed, ",")+",", ","+name+",") {
					t.Errorf("%s is not exposed: %q", name, exposed)
				}
			}
			if r.header.Get(longHeader) != "uploaded" {
				t.Errorf("%s is %q", longHeader, r.header.Get(longHeader))
			}
		})
	}
}
