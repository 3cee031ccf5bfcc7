package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestGet(t *testing.T) {
	w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "image/png")
		fmt.Fprintf(rw, "%s %s", r.Host, r.URL)
	})
	response := mustGet(t, &w.client, "http://site.test/a%20b/%E7%85%A7.png?q=1#fragment")
	const want = "site.test /a%20b/%E7%85%A7.png?q=1"
	if content, err := io.ReadAll(response.Body); err != nil || string(content) != want {
		t.Errorf("%q, %v", content, err)
	}
	if response.ContentType != "image/png" || response.FileName != "照.png" || response.Size != int64(len(want)) {
		t.Errorf("%+v", response)
	}
	w.mustHaveDialled(t, public+":80")
}

func TestRequestTellsNothingOfWhoAsks(t *testing.T) {
	var headers []http.Header
	w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		headers = append(headers, r.Header.Clone())
		http.SetCookie(rw, &http.Cookie{Name: "a", Value: "b"})
		if r.URL.Path == "/" {
			http.Redirect(rw, r, "/next", http.StatusFound)
		}
	})
	mustGet(t, &w.client, "http://site.test/")
	if len(headers) != 2 {
		t.Fatalf("%d requests", len(headers))
	}
	for _, header := range headers {
		names := slices.Sorted(maps.Keys(header))
		if got := strings.Join(names, " "); got != "Accept Accept-Encoding Connection User-Agent "+marker {
			t.Errorf("S09: headers %s", got)
		}
		if header.Get("User-Agent") != "caddy-qwen" || header.Get("Accept-Encoding") != "identity" {
			t.Errorf("%v", header)
		}
		if !IsMarked(header) {
			t.Error("S14: our own server cannot tell that we ask ourselves")
		}
	}
	if IsMarked(http.Header{"User-Agent": {"caddy-qwen"}}) {
		t.Error("S14: any request is taken for our own")
	}
}

func TestFileNames(t *testing.T) {
	disposition := ""
	w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(rw, r, "/to/photo.png", http.StatusFound)
		}
		rw.Header().Set("Content-Disposition", disposition)
	})
	for _, c := range []struct{ path, disposition, want string }{
		{"/a/b.png", "", "b.png"}, {"/a/b/", "", "b"}, {"/", "", ""}, {"", "", ""}, {"/moved", "", "photo.png"},
		{"/x", `attachment; filename="c d.png"`, "c d.png"}, {"/x", `inline; filename*=UTF-8''%E7%85%A7.png`, "照.png"},
		{"/x", `attachment; filename="../../y"`, "../../y"}, {"/x", `attachment`, "x"}, {"/x", `;;;`, "x"},
	} {
		disposition = c.disposition
		if response := mustGet(t, &w.client, "http://site.test"+c.path); response.FileName != c.want {
			t.Errorf("%s with %q: %q, want %q", c.path, c.disposition, response.FileName, c.want)
		}
	}
}

func TestStatus(t *testing.T) {
	status := 0
	w := newWeb(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(status)
	})
	for _, status = range []int{204, 206, 300, 304, 305, 400, 401, 403, 404, 410, 500, 503} {
		err := mustFail(t, &w.client, "http://site.test/", KindFailed)
		if strings.Contains(err.Error(), fmt.Sprint(status)) || !strings.Contains(err.Reason, fmt.Sprint(status)) {
			t.Errorf("S18: %d: %q, reason %q", status, err, err.Reason)
		}
	}
}

func TestS17Compression(t *testing.T) {
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	if _, err := packer.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := packer.Close(); err != nil {
		t.Fatal(err)
	}
	encoding := ""
	w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		if encoding != "" {
			rw.Header()["Content-Encoding"] = strings.Split(encoding, "|")
		}
		rw.Write(packed.Bytes())
	})
	for _, encoding = range []string{"gzip", "br", "GZIP", "deflate, gzip", "identity|gzip", "identity, gzip"} {
		mustFail(t, &w.client, "http://site.test/", KindEncoded)
	}
	for _, encoding = range []string{"", "identity", "Identity"} {
		response := mustGet(t, &w.client, "http://site.test/")
		if content, err := io.ReadAll(response.Body); err != nil || !bytes.Equal(content, packed.Bytes()) {
			t.Errorf("%q: %d bytes, %v", encoding, len(content), err)
		}
	}
}

func TestS16Lengths(t *testing.T) {
	w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/short":
			rw.Header().Set("Content-Length", "1000")
			rw.Write([]byte("not so much"))
		case "/endless":
			for r.Context().Err() == nil {
				rw.Write(make([]byte, 4096))
			}
		}
	})
	t.Run("less than declared", func(t *testing.T) {
		response := mustGet(t, &w.client, "http://site.test/short")
		if response.Size != 1000 {
			t.Errorf("size %d", response.Size)
		}
		_, err := io.ReadAll(response.Body)
		if typed, ok := err.(*Error); !ok || typed.Kind != KindFailed || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v", err)
		}
	})
	t.Run("no end", func(t *testing.T) {
		response := mustGet(t, &w.client, "http://site.test/endless")
		if response.Size != -1 {
			t.Errorf("size %d", response.Size)
		}
		if n, err := io.CopyN(io.Discard, response.Body, 1<<20); n != 1<<20 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		response.Body.Close() // the handler ends, or the server would not close
	})
}

func TestLongHeader(t *testing.T) {
	w := newWeb(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X", strings.Repeat("y", 2*maxHeader))
	})
	mustFail(t, &w.client, "http://site.test/", KindFailed)
}

func TestS23TLS(t *testing.T) {
	served := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
	server.Config.ErrorLog = discard()
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	for _, c := range []struct {
		what, url string
		roots     *x509.CertPool
		fine      bool
	}{
		{"good", "https://example.com/", roots, true},
		{"unknown authority", "https://example.com/", nil, false},
		{"other name", "https://site.test/", roots, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWeb(t, nil)
			w.servers[public+":443"] = server.Listener.Addr().String()
			w.dns.set("example.com", public)
			w.client.roots = c.roots
			before := served
			if c.fine {
				mustGet(t, &w.client, c.url)
			} else {
				mustFail(t, &w.client, c.url, KindFailed)
			}
			if fine := served > before; fine != c.fine {
				t.Errorf("served: %t", fine)
			}
			w.mustHaveDialled(t, public+":443")
		})
	}
}

// What a client sees of a target that is open, closed, silent or not there does
// not tell it which.
func TestS19ErrorsAreNoPortScanner(t *testing.T) {
	w := newWeb(t, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNotFound) })
	w.dns.set("closed.test", otherPublic)
	var texts []string
	for _, url := range []string{"http://site.test/", "http://closed.test/", "http://nobody.test/", "https://site.test/", "http://site.test:443/"} {
		texts = append(texts, mustFail(t, &w.client, url, KindFailed).Error())
	}
	blocked := mustFail(t, &w.client, "http://127.0.0.1/", KindBlocked).Error()
	for _, url := range []string{"http://site.test:22/", "http://10.0.0.1/", "ftp://site.test/"} {
		if text := mustFail(t, &w.client, url, KindBlocked).Error(); text != blocked {
			t.Errorf("%s: %s", url, text)
		}
	}
	if texts = slices.Compact(texts); len(texts) != 1 {
		t.Errorf("different texts: %q", texts)
	}
}

func TestTextsSayNothingOfTheTarget(t *testing.T) {
	w := newWeb(t, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusForbidden) })
	const secret = "sekrit"
	for _, c := range []struct {
		url  string
		kind Kind
	}{
		{"http://site.test/sekrit?token=sekrit", KindFailed}, {"http://sekrit:sekrit@site.test/", KindBlocked},
		{"http://site.test:99999/sekrit", KindInvalid}, {"http://site test/sekrit", KindInvalid}, {"http://[/sekrit", KindInvalid},
		{"http://127.0.0.1/?sekrit", KindBlocked}, {"http://nobody.test/?sekrit", KindFailed},
	} {
		err := mustFail(t, &w.client, c.url, c.kind)
		for _, text := range []string{err.Error(), err.Reason, fmt.Sprint(err.Err)} {
			if strings.Contains(text, secret) {
				t.Errorf("%s: %s", c.url, text)
			}
		}
		if strings.Contains(err.Error(), ".test") {
			t.Errorf("%s: the client sees %s", c.url, err)
		}
	}
	texts := map[string]bool{}
	for _, kind := range []Kind{KindInvalid, KindBlocked, KindFailed, KindEncoded} {
		texts[(&Error{Kind: kind}).Error()] = true
	}
	if len(texts) != 4 {
		t.Errorf("kinds share texts: %v", texts)
	}
}

func TestS20ProxiesOfTheEnvironmentAreIgnored(t *testing.T) {
	w := newWeb(t, func(http.ResponseWriter, *http.Request) {})
	request := newRequest(t.Context(), mustURL(t, "http://site.test/"))
	if proxy, err := http.ProxyFromEnvironment(request); proxy == nil || err != nil {
		t.Fatalf("there is no proxy in the environment: %v, %v", proxy, err)
	}
	mustGet(t, &w.client, "http://site.test/")
	w.mustHaveDialled(t, public+":80")
}

func TestOwnServersMayBeAllowed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "hello") }))
	defer server.Close()
	port := server.Listener.Addr().(interface{ String() string }).String()
	port = port[strings.LastIndexByte(port, ':')+1:]
	w := newWeb(t, nil)
	w.dns.set("minio.test", "127.0.0.1")
	w.dns.set("other.test", "127.0.0.2")
	c := Client{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, resolver: w.dns.resolver()}
	for _, host := range []string{"127.0.0.1", "minio.test", "[::ffff:127.0.0.1]"} {
		response := mustGet(t, &c, "http://"+host+":"+port+"/")
		if content, err := io.ReadAll(response.Body); string(content) != "hello" || err != nil {
			t.Errorf("%s: %q, %v", host, content, err)
		}
	}
	for _, host := range []string{"127.0.0.2", "other.test", "10.0.0.1", "[::1]", "2130706433"} {
		mustFail(t, &c, "http://"+host+":"+port+"/", KindBlocked)
	}
	t.Run("public servers keep to the standard ports", func(t *testing.T) {
		w.client.Allowed = c.Allowed
		mustFail(t, &w.client, "http://site.test:8080/", KindBlocked)
		mustFail(t, &w.client, "http://"+public+":8080/", KindBlocked)
		w.mustHaveDialled(t)
	})
}

func TestS14OwnNames(t *testing.T) {
	w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, "http://OWN.test/", http.StatusFound)
	})
	own := []string{"own.test", "bücher.test", "*.wild.test", "Dot.Test."}
	for _, name := range []string{"own.test", "xn--bcher-kva.test", "a.wild.test", "wild.test", "a.b.wild.test", "dot.test", "not-own.test"} {
		w.dns.set(name, public)
	}
	w.client.OwnHosts = func() []string { return own }
	for _, host := range []string{"own.test", "OWN.test", "own.test.", "own.test:443", "bücher.test", "xn--bcher-kva.test", "BÜCHER.test", "a.wild.test", "dot.test"} {
		mustFail(t, &w.client, "http://"+host+"/", KindBlocked)
		w.mustHaveDialled(t)
	}
	if asked := w.dns.questions(); asked != 0 {
		t.Errorf("%d names were looked up", asked)
	}
	for _, host := range []string{"wild.test", "a.b.wild.test", "not-own.test"} {
		mustFail(t, &w.client, "http://"+host+"/", KindBlocked) // by the redirect
		w.mustHaveDialled(t, public+":80")
	}
}

func TestCancel(t *testing.T) {
	ended := make(chan struct{})
	w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	response, err := w.client.Get(ctx, "http://site.test/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	cancel()
	_, err = io.ReadAll(response.Body)
	if typed, ok := err.(*Error); !ok || typed.Kind != KindFailed || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	<-ended
	if _, err := w.client.Get(ctx, "http://site.test/"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestCloseEndsTheConnection(t *testing.T) {
	ended := make(chan struct{})
	w := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
		close(ended)
	})
	response := mustGet(t, &w.client, "http://site.test/")
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	<-ended
}
