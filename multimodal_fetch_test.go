package caddyqwen

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// media is a server that has files on it, and counts who asks.
type media struct {
	*httptest.Server
	connected, asked atomic.Int64
}

// mustMedia starts a server of files.
func mustMedia(t testing.TB, serve http.HandlerFunc) *media {
	t.Helper()
	m := new(media)
	m.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.asked.Add(1)
		for _, name := range []string{"Authorization", "Cookie", "Referer", "X-Api-Key"} {
			if r.Header.Get(name) != "" {
				t.Errorf("the server of the file gets %s", name)
			}
		}
		serve(w, r)
	}))
	m.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			m.connected.Add(1)
		}
	}
	m.Start()
	t.Cleanup(m.Close)
	return m
}

// mustAsk checks how many requests the server has got.
func (m *media) mustAsk(t testing.TB, n int64) {
	t.Helper()
	if got := m.asked.Load(); got != n {
		t.Errorf("the server of the file was asked %d times, not %d", got, n)
	}
}

const fetchAllowed = "fetch_allow 127.0.0.1"

// Files that are elsewhere are fetched and uploaded, with their names and types.
func TestMultimodalFetched(t *testing.T) {
	image, jpeg, video, pdf := testPNG(1, 700), testFile(jpegHead, 2, 800), testMP4(3, 900), testFile(pdfHead, 4, 1000)
	m := mustMedia(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/图 a+b%.png":
			w.Header().Set("Content-Type", "image/png")
			w.Write(image)
		case "/named":
			w.Header().Set("Content-Disposition", `attachment; filename="x.jpg"; filename*=UTF-8''%E5%9B%BE%20%2B.jpg`)
			w.Write(jpeg)
		case "/bare":
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Write(image)
		case "/wrong.gif":
			w.Header().Set("Content-Type", "text/html")
			w.Write(jpeg)
		case "/movie.mp4":
			w.Write(video)
		case "/moved":
			http.Redirect(w, r, "/report.pdf", http.StatusFound)
		case "/report.pdf":
			w.Write(pdf)
		default:
			http.NotFound(w, r)
		}
	})
	for name, test := range map[string]struct {
		part             part
		content          []byte
		want, mime, kind string
	}{
		"MM-06 name and type from the URL":     {imageAt("/%E5%9B%BE%20a+b%25.png"), image, "图 a+b%.png", "image/png", "image"},
		"MM-06 a bare string":                  {part{"type": "image_url", "image_url": "/%E5%9B%BE%20a+b%25.png"}, image, "图 a+b%.png", "image/png", "image"},
		"MM-06 the name from the header":       {imageAt("/named"), jpeg, "图 +.jpg", "image/jpeg", "image"},
		"MM-06 the type from the content":      {imageAt("/bare"), image, "bare.png", "image/png", "image"},
		"MM-06 name and header are both wrong": {imageAt("/wrong.gif"), jpeg, "wrong.jpg", "image/jpeg", "image"},
		"MM-09 a video":                        {part{"type": "video_url", "video_url": map[string]any{"url": "/movie.mp4"}}, video, "movie.mp4", "video/mp4", "video"},
		"MM-08 a document that has moved":      {part{"type": "input_file", "file_url": "/moved"}, pdf, "report.pdf", "application/pdf", "file"},
		"MM-08 the name that the client gives": {part{"type": "input_file", "file_url": "/report.pdf", "filename": "mine.pdf"}, pdf, "mine.pdf", "application/pdf", "file"},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{qwen: fetchAllowed})
			g.parsesAtOnce()
			g.discuss([]any{say("What is it?", test.part.on(m))})
			c := g.last()
			g.mustShow(c.Files, test.content)
			if f := c.Files[0]; f.Name != test.want || f.FileType != test.mime || f.Type != test.kind {
				t.Errorf("the model sees %q, %s, %s", f.Name, f.FileType, f.Type)
			}
		})
	}
}

// on returns the part with its URL on a server.
func (p part) on(m *media) part {
	q := part{}
	for name, value := range p {
		switch value := value.(type) {
		case string:
			if strings.HasPrefix(value, "/") {
				q[name] = m.URL + value
				continue
			}
		case map[string]any:
			q[name] = map[string]any(part(value).on(m))
			continue
		}
		q[name] = value
	}
	return q
}

// Clients send the URLs of all turns again with each turn. Those of storages are
// signed anew each time.
func TestMultimodalFetchedOnce(t *testing.T) {
	image := testPNG(1, 700)
	for name, urls := range map[string][3]string{
		"the same URL":           {"/a.png", "/a.png", "/a.png"},
		"signed as by Amazon":    {"/a.png?v=1&X-Amz-Date=1&X-Amz-Signature=a", "/a.png?v=1&X-Amz-Date=2&X-Amz-Signature=b", "/a.png?X-Amz-Date=3&X-Amz-Signature=c&v=1"},
		"signed as by Alibaba":   {"/a.png?x-oss-date=1&x-oss-signature=a", "/a.png?x-oss-date=2&x-oss-signature=b", "/a.png"},
		"signed the old way":     {"/a.png?OSSAccessKeyId=x&Expires=1&Signature=a", "/a.png?OSSAccessKeyId=x&Expires=2&Signature=b", "/a.png?OSSAccessKeyId=y&Expires=3&Signature=c"},
		"signed as by Google":    {"/a.png?X-Goog-Date=1&X-Goog-Signature=a", "/a.png?X-Goog-Date=2&X-Goog-Signature=b", "/a.png?X-Goog-Date=3&X-Goog-Signature=c"},
		"signed as by Tencent":   {"/a.png?x-cos-security-token=1", "/a.png?x-cos-security-token=2", "/a.png?x-cos-security-token=3"},
		"signed, with a blank":   {"/a%20b.png?X-Amz-Signature=a", "/a%20b.png?X-Amz-Signature=b", "/a%20b.png?X-Amz-Signature=c"},
		"the order of the query": {"/a.png?v=1&w=2&X-Amz-Signature=a", "/a.png?w=2&v=1&X-Amz-Signature=b", "/a.png?X-Amz-Signature=c&v=1&w=2"},
	} {
		t.Run("MM-06, MM-07 "+name, func(t *testing.T) {
			m := mustMedia(t, func(w http.ResponseWriter, r *http.Request) { w.Write(image) })
			g := mustFilesGateway(t, setup{qwen: fetchAllowed})
			g.numbered()
			a := g.discuss([]any{say("one", imageAt(m.URL+urls[0]))})
			g.mustShow(g.last().Files, image)
			b := g.discuss([]any{say("one", imageAt(m.URL+urls[1])), a.said, user("two")})
			b.mustBe(t, "continued")
			g.mustSee("two", "one", a.Content)
			talk := []any{say("one", imageAt(m.URL+urls[2])), a.said, user("two"), b.said, user("three")}
			g.discuss(talk).mustBe(t, "continued")
			g.mustShow(g.last().Files)
			m.mustAsk(t, 1)

			g.discuss(talk, "X-Qwen-Session", "new").mustBe(t, "replayed")
			g.mustShow(g.last().Files, image)
			m.mustAsk(t, 2)
			g.mustStore(1)
		})
	}
	t.Run("MM-07 another query is another image", func(t *testing.T) {
		m := mustMedia(t, func(w http.ResponseWriter, r *http.Request) { w.Write(image) })
		g := mustFilesGateway(t, setup{qwen: fetchAllowed})
		a := g.discuss([]any{say("one", imageAt(m.URL+"/a.png?v=1"))})
		g.discuss([]any{say("one", imageAt(m.URL+"/a.png?v=2")), a.said, user("two")}).mustBe(t, "replayed")
		m.mustAsk(t, 2)
	})
}

// Several images come from elsewhere in any order, and are shown in theirs.
func TestMultimodalFetchedInOrder(t *testing.T) {
	const n = 10
	var images [][]byte
	var parts []part
	turn := make([]chan struct{}, n+1)
	for i := range turn {
		turn[i] = make(chan struct{})
	}
	m := mustMedia(t, func(w http.ResponseWriter, r *http.Request) {
		var i int
		fmt.Sscanf(r.URL.Path, "/%d.png", &i)
		if i < 3 { // the second and third before the first
			select {
			case <-turn[i+1]:
			case <-r.Context().Done():
			}
		}
		w.Write(images[i])
		close(turn[i])
	})
	for i := range n {
		images = append(images, testPNG(uint64(i), 600))
		parts = append(parts, imageAt(fmt.Sprintf("%s/%d.png", m.URL, i)))
	}
	g := mustFilesGateway(t, setup{qwen: fetchAllowed})
	t.Run("MM-02, S21 ten are fetched", func(t *testing.T) {
		g.discuss([]any{say("What is it?", parts...)})
		g.mustShow(g.last().Files, images...)
		m.mustAsk(t, n)
	})
	t.Run("S21 of eleven none is", func(t *testing.T) {
		parts = append(parts, imageAt(m.URL+"/one-more.png"))
		mustRefuse(t, g.show([]any{say("What is it?", parts...)}), 400, "invalid_value", "messages[0].content[1]")
		m.mustAsk(t, n)
	})
	if n := g.requested(emulator.EndpointCompletions); n != 1 {
		t.Errorf("the site got %d prompts", n)
	}
}
