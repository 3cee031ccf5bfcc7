package caddyqwen

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// Answers to uploads that the storage did not take.
var (
	wantUploadFailed = failed{status: 502, code: "upload_failed", class: classUpstream, param: "file"}
	wantUploadLater  = failed{status: 502, code: "upload_failed", class: classUpstream, param: "file", retry: 5}
	wantUploadNever  = failed{status: 502, code: "upload_failed", class: classUpstream, param: "file", final: true}
	wantUploadBroken = failed{status: 502, code: "upload_failed", class: classNetwork, param: "file", retry: 5}
)

// image and film are files of a size to upload.
func image(seed uint64, size int) field {
	return field{name: "file", file: "photo.png", kind: "image/png", value: string(testPNG(seed, size))}
}

func film(seed uint64, size int) field {
	return field{name: "file", file: "film.mp4", kind: "video/mp4", value: string(testMP4(seed, size))}
}

// every makes each request for some operations fail.
func every(f emulator.Fault, ops ...string) func(*emulator.Storage) {
	return func(s *emulator.Storage) {
		for _, op := range ops {
			s.Fail(op, 0, f)
		}
	}
}

// nth makes a single request for an operation fail.
func nth(op string, n int, f emulator.Fault) func(*emulator.Storage) {
	return func(s *emulator.Storage) { s.Fail(op, n, f) }
}

// The ways in which files are sent, and what follows if the storage refuses one.
func TestUploadWays(t *testing.T) {
	denied := emulator.Fault{Status: 403, Code: "AccessDenied", EC: "0003-00000001"}
	post, open, put := emulator.OpPost, emulator.OpInitiate, emulator.OpPut
	big := strings.Repeat("some text ", 5<<20/10+1)
	for name, test := range map[string]struct {
		file   field
		script func(*emulator.Storage)
		way    string
	}{
		"an image by a form":                            {image(1, 5000), nil, post},
		"an image just below 5 MiB by a form":           {image(2, 5<<20-1), nil, post},
		"an image of 5 MiB in parts":                    {image(3, 5<<20), nil, multipartWay},
		"a video in parts":                              {film(4, 5000), nil, multipartWay},
		"a sound by a form":                             {testSound(5000), nil, post},
		"a document by a form":                          {textFile("a.txt", "some text"), nil, post},
		"a large document in parts":                     {textFile("b.txt", big), nil, multipartWay},
		"an image by a plain request, forms refused":    {image(5, 5000), every(denied, post), wayOf(post, put)},
		"a large image by a form, parts refused":        {image(6, 5<<20), every(denied, open), wayOf(open, post)},
		"a large image by a plain request, all refused": {image(7, 5<<20), every(denied, open, post), wayOf(open, post, put)},
		"a video by a form, parts refused":              {film(8, 5000), every(denied, open), wayOf(open, post)},
		"a video by a plain request, all refused":       {film(9, 5000), every(denied, open, post), wayOf(open, post, put)},
		"a video by a form, a part refused":             {film(10, 5000), every(denied, emulator.OpPart), wayOf(open, emulator.OpPart, emulator.OpAbort, post)},
		"a video by a form, completing refused":         {film(11, 5000), every(denied, emulator.OpComplete), wayOf(open, emulator.OpPart, emulator.OpComplete, emulator.OpAbort, post)},
		"a video by a form, parts not implemented":      {film(12, 5000), every(emulator.Fault{Status: 501, Code: "NotImplemented"}, open), wayOf(open, post)},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			if test.script != nil {
				test.script(g.site.Storage())
			}
			f := g.mustUpload(t, test.file)
			if got := g.steps(); got != test.way {
				t.Errorf("it went by %s", got)
			}
			g.mustHold(t, test.file.value)
			o := g.site.Storage().Objects()[0]
			if f.Bytes != int64(len(test.file.value)) || o.ContentType != f.MIME || !strings.HasSuffix(o.Key, "_"+f.Filename) {
				t.Errorf("%+v is stored as %v", f, o)
			}
			g.nothingLeft()
		})
	}
	t.Run("all ways refused", func(t *testing.T) {
		g := mustGateway(t, setup{})
		every(denied, open, post, put)(g.site.Storage())
		got := g.form("/v1/files", film(1, 5000))
		wantUploadNever.check(t, got)
		checkStage(t, g, got, stageTransfer)
		if g.steps() != wayOf(open, post, put) || g.listed(t) != 0 {
			t.Errorf("the storage got %v", g.site.Storage().Requests())
		}
		if !strings.Contains(g.logged(), "AccessDenied") || !strings.Contains(g.logged(), "0003-00000001") {
			t.Error("the log does not tell the storage's codes")
		}
		g.nothingLeft()
	})
}

// checkStage checks that an error and the log name the stage that failed.
func checkStage(t *testing.T, g *gateway, got reply, stage string) {
	t.Helper()
	if !strings.Contains(got.body, stage) {
		t.Errorf("the error does not name the stage %q: %s", stage, got.body)
	}
	if got.status >= 500 {
		eventually(t, "the stage is in the log", func() bool { return strings.Contains(g.logged(), stage) })
	}
}

// transferFaults are faults of the storage, and what becomes of the upload.
var transferFaults = map[string]struct {
	script func(*emulator.Storage)
	video  bool
	want   failed // none: it succeeds
	ops    map[string]int
}{
	"U19 a part fails once with 500":   {nth(emulator.OpPart, 2, emulator.Fault{Status: 500}), true, failed{}, map[string]int{emulator.OpPart: 4, emulator.OpComplete: 1}},
	"U19 a part fails once with 503":   {nth(emulator.OpPart, 1, emulator.Fault{Status: 503, Code: "ServiceUnavailable"}), true, failed{}, map[string]int{emulator.OpPart: 4}},
	"U19 a part is reset":              {nth(emulator.OpPart, 1, emulator.Fault{Reset: true}), true, failed{}, map[string]int{emulator.OpPart: 4}},
	"U19 a part is cut off":            {nth(emulator.OpPart, 3, emulator.Fault{Cut: 100_000}), true, failed{}, map[string]int{emulator.OpPart: 4}},
	"U19 the answer to a part is lost": {nth(emulator.OpPart, 3, emulator.Fault{Drop: true, Late: true}), true, failed{}, map[string]int{emulator.OpPart: 4}},
	"U19 a form fails once":            {nth(emulator.OpPost, 1, emulator.Fault{Status: 502}), false, failed{}, map[string]int{emulator.OpPost: 2}},
	"U19 a form fails twice": {func(s *emulator.Storage) {
		s.Fail(emulator.OpPost, 1, emulator.Fault{Status: 500})
		s.Fail(emulator.OpPost, 2, emulator.Fault{Reset: true})
	}, false, failed{}, map[string]int{emulator.OpPost: 3}},
	"U19 opening fails once":               {nth(emulator.OpInitiate, 1, emulator.Fault{Status: 503}), true, failed{}, map[string]int{emulator.OpInitiate: 2, emulator.OpPart: 3}},
	"U19 forms always fail":                {every(emulator.Fault{Status: 503}, emulator.OpPost), false, wantUploadLater, map[string]int{emulator.OpPost: 3, emulator.OpPut: 0}},
	"U19 forms are always reset":           {every(emulator.Fault{Reset: true}, emulator.OpPost), false, wantUploadBroken, map[string]int{emulator.OpPost: 3}},
	"U19 parts always fail":                {every(emulator.Fault{Status: 500}, emulator.OpPart), true, wantUploadLater, map[string]int{emulator.OpComplete: 0}},
	"U20 a part is stored differently":     {nth(emulator.OpPart, 2, emulator.Fault{Flip: true}), true, failed{}, map[string]int{emulator.OpPart: 4}},
	"U20 the sum of a part is another one": {nth(emulator.OpPart, 1, emulator.Fault{WrongCRC: true}), true, failed{}, map[string]int{emulator.OpPart: 4}},
	"U20 the whole is another one, once":   {nth(emulator.OpComplete, 1, emulator.Fault{WrongCRC: true}), true, failed{}, map[string]int{emulator.OpComplete: 2}},
	"U20 a form is stored differently":     {nth(emulator.OpPost, 1, emulator.Fault{Flip: true}), false, failed{}, map[string]int{emulator.OpPost: 2}},
	"U20 parts always differ":              {every(emulator.Fault{Flip: true}, emulator.OpPart), true, wantUploadFailed, map[string]int{emulator.OpComplete: 0}},
	"U20 the whole always differs":         {every(emulator.Fault{WrongCRC: true}, emulator.OpComplete), true, wantUploadFailed, map[string]int{emulator.OpComplete: 2}},
	"U20 forms always differ":              {every(emulator.Fault{Flip: true}, emulator.OpPost), false, wantUploadFailed, map[string]int{emulator.OpPost: 3}},
	"U21 completing is lost afterwards":    {nth(emulator.OpComplete, 1, emulator.Fault{Drop: true, Late: true}), true, failed{}, map[string]int{emulator.OpComplete: 1, emulator.OpHead: 1}},
	"U21 completing is reset afterwards":   {nth(emulator.OpComplete, 1, emulator.Fault{Reset: true, Late: true}), true, failed{}, map[string]int{emulator.OpComplete: 1, emulator.OpHead: 1}},
	"U21 completing fails afterwards":      {nth(emulator.OpComplete, 1, emulator.Fault{Status: 500, Late: true}), true, failed{}, map[string]int{emulator.OpComplete: 1, emulator.OpHead: 1}},
	"U21 completing is lost before":        {nth(emulator.OpComplete, 1, emulator.Fault{Drop: true}), true, failed{}, map[string]int{emulator.OpComplete: 2, emulator.OpHead: 1}},
	"U21 completing always fails":          {every(emulator.Fault{Status: 500}, emulator.OpComplete), true, wantUploadLater, map[string]int{emulator.OpComplete: 3, emulator.OpHead: 3}},
}

// slowFaults are those that take several pauses and resemble others. They are only
// tried in long tests.
var slowFaults = map[string]bool{
	"U19 a form fails twice": true, "U19 forms are always reset": true, "U20 parts always differ": true, "U20 forms always differ": true,
	"U21 completing always fails": true, "U20 the whole always differs": true, "U19 a part fails once with 503": true, "U21 completing is reset afterwards": true,
}

func TestUploadTransferFaults(t *testing.T) {
	for name := range slowFaults {
		if _, known := transferFaults[name]; !known {
			t.Errorf("there is no fault %q", name)
		}
	}
	for name, test := range transferFaults {
		if slowFaults[name] && !long {
			continue
		}
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			test.script(g.site.Storage())
			file := image(1, 400_000)
			if test.video {
				file = film(1, 3<<20)
			}
			got := g.form("/v1/files", file)
			g.nothingLeft()
			for op, n := range test.ops {
				if g.ops(op) != n {
					t.Errorf("%d of %s, want %d: %v", g.ops(op), op, n, g.site.Storage().Requests())
				}
			}
			if test.want.status == 0 {
				if got.status != http.StatusOK {
					t.Errorf("status %d: %s", got.status, got.body)
				}
				g.mustHold(t, file.value)
				return
			}
			test.want.check(t, got)
			checkStage(t, g, got, stageTransfer)
			if g.listed(t) != 0 {
				t.Error("U20 it is reported as uploaded")
			}
			// It is not taken for the same file later.
			g.site.Storage().Heal()
			g.mustUpload(t, file)
		})
	}
}

// A file that failed never becomes a chat without it.
func TestUploadFailsChat(t *testing.T) {
	for mode, fields := range modes {
		t.Run("U20 "+mode, func(t *testing.T) {
			g := mustGateway(t, setup{})
			every(emulator.Fault{Flip: true}, emulator.OpPart)(g.site.Storage())
			file := film(1, 3<<20)
			file.name = "video"
			stream := field{name: "stream", value: map[bool]string{true: "true", false: "false"}[fields != ""]}
			want := wantUploadFailed
			want.param = "video"
			got := g.form("/v1/video/upload_and_chat", file, field{name: "prompt", value: "What?"}, stream)
			want.check(t, got)
			checkStage(t, g, got, stageTransfer)
			if n := g.requested(emulator.EndpointCompletions) + g.requested(emulator.EndpointNewChat); n != 0 {
				t.Errorf("the site got %v", g.site.Requests())
			}
			g.nothingLeft()
		})
	}
}

func TestUploadClock(t *testing.T) {
	for name, skew := range map[string]time.Duration{
		"U17 an hour behind": time.Hour, "U17 an hour ahead": -time.Hour, "U17 a year behind": 365 * 24 * time.Hour,
	} {
		for kind, file := range map[string]func(uint64) field{
			"form": func(seed uint64) field { return image(seed, 5000) }, "parts": func(seed uint64) field { return film(seed, 3<<20) },
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				// A grant is good for an hour by the storage's clock.
				g := mustGateway(t, setup{})
				g.site.Storage().SetSkew(skew)
				g.mustUpload(t, file(1))
				refused := len(refusedBy(g))
				if refused == 0 {
					t.Error("nothing was refused, so that this test proves nothing")
				}
				g.mustUpload(t, file(2))
				if now := len(refusedBy(g)); now != refused {
					t.Errorf("the clock was forgotten: %v", refusedBy(g))
				}
				g.mustHold(t, file(1).value, file(2).value)
				if n := strings.Count(g.logged(), "the storage's clock differs"); n != 1 {
					t.Errorf("%d warnings", n)
				}
				g.nothingLeft()
			})
		}
	}
}

// refusedBy returns what the storage has refused.
func refusedBy(g *gateway) (list []emulator.StorageRequest) {
	for _, r := range g.site.Storage().Requests() {
		if r.Code != "" {
			list = append(list, r)
		}
	}
	return list
}
