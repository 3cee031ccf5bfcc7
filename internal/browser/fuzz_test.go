package browser

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzParse checks that all that is read can be sent, is of the site, and is the same
// when it is written and read again.
func FuzzParse(f *testing.F) {
	for name := range exports {
		f.Add(string(mustReadExport(f, name)))
	}
	f.Add(`curl https://chat.qwen.ai/ -b $'a=\u0021\x41\041\'"'"\$"`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse([]byte(text))
		if err != nil {
			if len(err.Error()) > 300 {
				t.Errorf("a long error: %v", err)
			}
			return
		}
		checkUsable(t, p)
		again, err := Parse([]byte(rewrite(p)))
		if again.Format, again.URL = p.Format, p.URL; err != nil || !samePaste(p, again) {
			t.Errorf("read %+v, and again %+v, %v", p, again, err)
		}
	})
}

// checkUsable fails the test unless a paste can be sent to the site.
func checkUsable(t *testing.T, p Paste) {
	t.Helper()
	if p.Cookies == "" && p.Token == "" {
		t.Error("nothing was found, and there is no error")
	}
	values := []string{p.Cookies, p.Token}
	for name := range p.Header {
		values = append(values, name, p.Header.Get(name))
		if !tellsBrowser(name) {
			t.Errorf("the header %q was kept", name)
		}
	}
	for _, value := range values {
		if strings.ContainsAny(value, "\r\n\x00\u202e") {
			t.Errorf("%q cannot be sent", value)
		}
	}
	if u, err := url.Parse(p.URL); err != nil || p.URL != "" && u.Host != "qwen.ai" && !strings.HasSuffix(u.Host, ".qwen.ai") {
		t.Errorf("URL %q, %v", p.URL, err)
	}
}

// rewrite returns a paste as curl's command for bash.
func rewrite(p Paste) string {
	s := sent{url: "https://chat.qwen.ai/"}
	if p.Token != "" {
		s.header = append(s.header, [2]string{"authorization", "Bearer " + p.Token})
	}
	for name := range p.Header {
		s.header = append(s.header, [2]string{name, p.Header.Get(name)})
	}
	command := "curl " + chromeBash(s.url)
	if p.Cookies != "" {
		command += " -b " + chromeBash(p.Cookies)
	}
	for _, h := range s.header {
		command += " -H " + chromeBash(h[0]+": "+h[1])
	}
	return command
}
