package caddyqwen

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// mustCORS returns the rules for origins.
func mustCORS(t testing.TB, origins ...string) *cors {
	t.Helper()
	c, err := newCORS(origins)
	if err != nil {
		t.Fatalf("newCORS(%q): %v", origins, err)
	}
	return c
}

// corsRequest returns a request with header fields given as name, value, ….
func corsRequest(method string, fields ...string) *http.Request {
	r := httptest.NewRequest(method, "/v1/chat/completions", nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

func TestNewCORS(t *testing.T) {
	tests := []struct {
		origins []string
		err     string // a part of the error; empty: none
	}{
		{nil, ""},
		{[]string{"*"}, ""},
		{[]string{"https://app.example.com", "http://localhost:3000"}, ""},
		{[]string{"http://[::1]:8080", "app://obsidian.md", "chrome-extension://abcdefgh"}, ""},
		{[]string{"https://xn--bcher-kva.example"}, ""},

		{[]string{"null"}, "cannot be allowed"},
		{[]string{"*", "https://a.example"}, "must be the only one"},
		{[]string{"https://a.example", "*"}, "must be the only one"},
		{[]string{"*", "*"}, "must be the only one"},
		{[]string{""}, "not of the form"},
		{[]string{"app.example.com"}, "not of the form"},
		{[]string{"localhost:3000"}, "not of the form"},
		{[]string{"https://"}, "not of the form"},
		{[]string{"https://:8080"}, "not of the form"},
		{[]string{"//app.example.com"}, "not of the form"},
		{[]string{"https://a.example:port"}, "not of the form"},
		{[]string{"https://a.example\x00"}, "not of the form"},
		{[]string{"https://a.example:"}, "not of the form"},
		{[]string{"a://:::"}, "not of the form"},
		{[]string{"a://::"}, "not of the form"},
		{[]string{"https://a.example/"}, "ends after the host"},
		{[]string{"https://a.example/path"}, "ends after the host"},
		{[]string{"https://a.example?"}, "ends after the host"},
		{[]string{"https://a.example?q"}, "ends after the host"},
		{[]string{"https://a.example#"}, "ends after the host"},
		{[]string{"https://user@a.example"}, "ends after the host"},
		{[]string{"https://*.example.com"}, "without wildcards"},
		{[]string{"https://bücher.example"}, "ASCII"},
		{[]string{"https://a.example", "https://A.example:443"}, "twice"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.origins, " "), func(t *testing.T) {
			_, err := newCORS(tt.origins)
			switch {
			case tt.err == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
}

func TestCORSApply(t *testing.T) {
	const app = "https://app.example.com"
	tests := []struct {
		name    string
		allowed []string
		origins []string // Origin headers of the request
		want    string   // Access-Control-Allow-Origin
		vary    string
	}{
		{"A17 off by default", nil, []string{app}, "", ""},
		{"A17 exact", []string{app}, []string{app}, app, "Origin"},
		{"A17 second of two", []string{"http://localhost:3000", app}, []string{app}, app, "Origin"},
		{"written in upper case", []string{"HTTPS://APP.Example.com:443"}, []string{app}, app, "Origin"},
		{"default port of http", []string{"http://a.example:80"}, []string{"http://a.example"}, "http://a.example", "Origin"},
		{"other port", []string{"https://app.example.com:8443"}, []string{app}, "", "Origin"},
		{"A17 foreign", []string{app}, []string{"https://evil.example"}, "", "Origin"},
		{"A17 null", []string{app}, []string{"null"}, "", "Origin"},
		{"A17 other scheme", []string{app}, []string{"http://app.example.com"}, "", "Origin"},
		{"A17 subdomain", []string{app}, []string{"https://x.app.example.com"}, "", "Origin"},
		{"A17 prefix", []string{app}, []string{app + ".evil.example"}, "", "Origin"},
		{"A17 two origins in one", []string{app}, []string{app + " https://evil.example"}, "", "Origin"},
		{"A17 two headers", []string{app}, []string{app, app}, "", "Origin"},
		{"no browser", []string{app}, nil, "", "Origin"},
		{"A17 all", []string{"*"}, []string{"https://any.example"}, "*", ""},
		{"A17 all, null", []string{"*"}, []string{"null"}, "*", ""},
		{"all, no browser", []string{"*"}, nil, "*", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := corsRequest(http.MethodPost)
			for _, o := range tt.origins {
				r.Header.Add("Origin", o)
			}
			w := httptest.NewRecorder()
			mustCORS(t, tt.allowed...).apply(w, r)
			h := w.Header()
			if got := strings.Join(h.Values("Access-Control-Allow-Origin"), "|"); got != tt.want {
				t.Errorf("allow-origin %q, want %q", got, tt.want)
			}
			if got := strings.Join(h.Values("Vary"), "|"); got != tt.vary {
				t.Errorf("vary %q, want %q", got, tt.vary)
			}
			if got := h.Get("Access-Control-Expose-Headers"); (got != "") != (tt.want != "") {
				t.Errorf("expose-headers %q with allow-origin %q", got, tt.want)
			}
			if got := h.Values("Access-Control-Allow-Credentials"); got != nil {
				t.Errorf("A17 credentials are allowed: %q", got)
			}
		})
	}
}

func TestCORSExposedHeaders(t *testing.T) {
	w := httptest.NewRecorder()
	mustCORS(t, "*").apply(w, corsRequest(http.MethodGet, "Origin", "https://a.example"))
	exposed := strings.Split(w.Header().Get("Access-Control-Expose-Headers"), ", ")
	for _, want := range []string{
		"x-request-id", "retry-after", "x-should-retry", "x-qwen-chat-id",
		"x-qwen-session", "x-qwen-error-class", "x-qwen-ignored-params",
	} {
		if !slices.Contains(exposed, want) {
			t.Errorf("%s is not readable by pages: %q", want, exposed)
		}
	}
}

// TestCORSOnlyOneHeader checks CO-04 with headers that a `header` directive of
// the same site has set, and with apply called twice.
func TestCORSOnlyOneHeader(t *testing.T) {
	c := mustCORS(t, "https://a.example")
	r := corsRequest(http.MethodGet, "Origin", "https://a.example")
	w := httptest.NewRecorder()
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Expose-Headers", "server")
	w.Header().Add("Vary", "Accept-Encoding, origin")
	c.apply(w, r)
	c.apply(w, r)
	want := map[string]string{
		"Access-Control-Allow-Origin":   "https://a.example",
		"Access-Control-Expose-Headers": corsExposed,
		"Vary":                          "Accept-Encoding, origin",
	}
	for name, value := range want {
		if got := w.Header().Values(name); len(got) != 1 || got[0] != value {
			t.Errorf("%s: %q, want %q once", name, got, value)
		}
	}
}

func TestCORSPreflight(t *testing.T) {
	const (
		app   = "https://app.example.com"
		allow = "POST, OPTIONS"
	)
	tests := []struct {
		name    string
		allowed []string
		origin  string
		want    string // Access-Control-Allow-Origin
		vary    string
	}{
		{"CO-01 off", nil, app, "", ""},
		{"CO-01 exact", []string{app}, app, app, "Origin|Access-Control-Request-Headers"},
		{"CO-01 all", []string{"*"}, app, "*", "Access-Control-Request-Headers"},
		{"A17 foreign", []string{app}, "https://evil.example", "", "Origin"},
		{"A17 null", []string{app}, "null", "", "Origin"},
		{"no browser", []string{app}, "", "", "Origin"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := corsRequest(http.MethodOptions,
				"Access-Control-Request-Method", "POST",
				"Access-Control-Request-Headers", "authorization,x-stainless-os",
				"Access-Control-Request-Private-Network", "true",
				"Access-Control-Request-Local-Network", "true")
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			w := httptest.NewRecorder()
			mustCORS(t, tt.allowed...).preflight(w, r, allow)
			if w.Code != http.StatusNoContent || w.Body.Len() != 0 {
				t.Errorf("status %d with %d bytes, want 204 with none", w.Code, w.Body.Len())
			}
			checkPreflight(t, w.Header(), tt.want, allow)
			if got := strings.Join(w.Header().Values("Vary"), "|"); got != tt.vary {
				t.Errorf("vary %q, want %q", got, tt.vary)
			}
		})
	}
}

// checkPreflight compares the header of an answer to a preflight with that for
// the allowed origin, which is empty if the origin is not allowed.
func checkPreflight(t *testing.T, h http.Header, origin, allow string) {
	t.Helper()
	want := map[string]string{"Allow": allow}
	if origin != "" {
		want["Access-Control-Allow-Origin"] = origin
		want["Access-Control-Allow-Methods"] = allow
		want["Access-Control-Allow-Headers"] = corsAllowed + ", x-stainless-os"
		want["Access-Control-Max-Age"] = corsMaxAge
	}
	for name := range h {
		if _, ok := want[name]; !ok && name != "Vary" {
			t.Errorf("unexpected header %s: %q", name, h.Values(name))
		}
	}
	for name, value := range want {
		if got := h.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

func TestAllowedHeaders(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = "x-" + strings.Repeat("a", i%50+1)
	}
	tests := []struct {
		name  string
		asked []string
		added string // what follows the constant part
	}{
		{"CO-02 nothing asked", nil, ""},
		{"CO-02 known ones", []string{"Authorization, content-type,X-API-Key"}, ""},
		{"CO-02 official SDKs", []string{"x-stainless-arch,x-stainless-lang", "anthropic-version"}, ", x-stainless-arch, x-stainless-lang, anthropic-version"},
		{"twice", []string{"x-a, X-A", "x-a"}, ", x-a"},
		{"empty names", []string{", ,x-a,,"}, ", x-a"},
		{"line break", []string{"x-a\r\nSet-Cookie: b=c"}, ""},
		{"spaces inside", []string{"x a, x-b"}, ", x-b"},
		{"no wildcard", []string{"*, x-b"}, ", x-b"},
		{"other letters", []string{"x-ü, x-b"}, ", x-b"},
		{"longest", []string{strings.Repeat("a", corsMaxName)}, ", " + strings.Repeat("a", corsMaxName)},
		{"too long", []string{strings.Repeat("a", corsMaxName+1)}, ""},
		{"too many", []string{strings.Join(many, ",")}, ", " + strings.Join(many[:corsMaxAsked], ", ")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, want := allowedHeaders(tt.asked), corsAllowed+tt.added; got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// FuzzAllowedHeaders checks that whatever a page asks for, the answer is a
// short list of header names.
func FuzzAllowedHeaders(f *testing.F) {
	f.Add("authorization, content-type")
	f.Add("x-stainless-os,x-stainless-lang")
	f.Add("a\r\nb: c, \x00, ,")
	f.Fuzz(func(t *testing.T, asked string) {
		got := allowedHeaders([]string{asked})
		if !strings.HasPrefix(got, corsAllowed) {
			t.Errorf("%q does not start with the constant part", got)
		}
		if len(got) > len(corsAllowed)+corsMaxAsked*(corsMaxName+2) {
			t.Errorf("%d bytes are too many", len(got))
		}
		for name := range strings.SplitSeq(got, ", ") {
			if !isHeaderName(name) || name != strings.ToLower(name) {
				t.Errorf("%q is not a header name in lower case", name)
			}
		}
	})
}

// FuzzParseOrigin checks that an accepted origin is one that a browser could
// send and that it stays as it is when parsed again.
func FuzzParseOrigin(f *testing.F) {
	for _, seed := range []string{"https://a.example", "http://[::1]:80", "null", "*", "https://a.example:", "HTTP://A:443", "x://y:1:2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		got, err := parseOrigin(origin)
		if err != nil {
			return
		}
		if strings.ContainsAny(got, " *,?#@\r\n\x00") || strings.Count(got, "/") != 2 {
			t.Errorf("parseOrigin(%q) = %q, which no browser sends", origin, got)
		}
		again, err := parseOrigin(got)
		if err != nil || again != got {
			t.Errorf("parseOrigin(%q) = %q, %v; want it unchanged", got, again, err)
		}
	})
}
