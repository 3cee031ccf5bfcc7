package caddyqwen

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// badges returns what the page says of the accounts and of the access.
func (g *gateway) badges(language string) (list []string) {
	g.t.Helper()
	page := g.do(http.MethodGet, "/", "", "Authorization", "", "Accept", browserAccept, "Accept-Language", language)
	for _, m := range regexp.MustCompile(`<span class="badge (\w+)">([^<]*)</span>(?:<p>(.*?)</p>)?`).FindAllStringSubmatch(page.body, -1) {
		list = append(list, m[1]+" "+m[2]+": "+m[3])
	}
	return list
}

var hanPattern = regexp.MustCompile(`\p{Han}`)

// Each state of an account has a badge, and what the owner has to do where there is
// something to do.
func TestHomeStates(t *testing.T) {
	g := mustGateway(t, setup{})
	g.checked()
	soon := time.Now().Add(time.Hour)
	for name, tt := range map[string]struct {
		change        func(*keeper)
		badge, remedy string
		chinese       string
	}{
		"unknown":      {func(k *keeper) { k.health = health{} }, "dim Not checked yet", "", "尚未检查"},
		"ok":           {func(k *keeper) { k.health = health{State: accountOK} }, "good OK", "", "正常"},
		"expiring":     {func(k *keeper) { k.health, k.ends = health{State: accountOK}, soon }, "warn Expires soon", "<code>caddy qwen import</code>", "即将过期"},
		"expired":      {func(k *keeper) { k.health = health{State: accountExpired, Until: soon} }, "bad Expired", "<code>caddy qwen import</code>", "已过期"},
		"verification": {func(k *keeper) { k.health = health{State: accountVerification, Until: soon} }, "bad Verification needed", "caddy qwen accounts --clear", "需要人机验证"},
		"quota":        {func(k *keeper) { k.health = health{Quotas: map[string]time.Time{"m": soon}} }, "warn Limit used up", "another model", "额度已用完"},
		"out of reach": {func(k *keeper) { k.health, k.away = health{State: accountOK}, soon }, "bad Site not reached", "network", "无法连接网站"},
	} {
		t.Run(name, func(t *testing.T) {
			g.setHealth(defaultLabel, func(k *keeper) {
				k.ends, k.away = time.Time{}, time.Time{}
				tt.change(k)
			})
			got := g.badges("en")[0]
			if badge, remedy, _ := strings.Cut(got, ": "); badge != tt.badge || !strings.Contains(remedy, tt.remedy) || (remedy == "") != (tt.remedy == "") {
				t.Errorf("%s", got)
			}
			got = g.badges("zh")[0]
			if badge, remedy, _ := strings.Cut(got, ": "); !strings.HasSuffix(badge, " "+tt.chinese) || hanPattern.MatchString(remedy) != (tt.remedy != "") {
				t.Errorf("%s", got)
			}
		})
	}
}

// Of several accounts, strangers learn numbers in place of names.
func TestHomeAccounts(t *testing.T) {
	g := mustGateway(t, setup{bare: true, qwen: "auth off\naccount canary-one {\ntoken " + testToken + "\n}\naccount canary-two {\ntoken second." + testToken + "\n}"})
	g.checked()
	g.setHealth("canary-two", func(k *keeper) { k.health = health{State: accountExpired, Until: time.Now().Add(time.Hour)} })
	page := g.do(http.MethodGet, "/", "", "Authorization", "", "Accept", browserAccept).body
	_, _, text := mustParsePage(t, page)
	if !strings.Contains(text, "Account 1 OK Account 2 Expired The site does not accept") || !strings.Contains(text, "Access Open Everybody") {
		t.Errorf("%s", text)
	}
	if strings.Contains(page, "canary") {
		t.Errorf("a label or a token is on the page: %s", page)
	}
}

func TestHomeNoCredential(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := mustGateway(t, setup{bare: true, qwen: "api_key " + testKey})
	if got := g.badges("en"); len(got) != 2 || !strings.HasPrefix(got[0], "bad Not set up: Import a credential") || !strings.Contains(got[0], "<code>QWEN_COOKIES</code>") || got[1] != "good API key: " {
		t.Errorf("%q", got)
	}
	_, _, text := mustParsePage(t, g.do(http.MethodGet, "/", "", "Accept", browserAccept).body)
	if !strings.Contains(text, "Account Not set up") { // and no number
		t.Errorf("%s", text)
	}
}

// Below a prefix and without a key, with Caddy in front.
func TestHomeBelowPrefix(t *testing.T) {
	g := mustGateway(t, setup{prefix: "/ai/qwen"})
	page := g.do(http.MethodGet, "/", "", "Authorization", "", "Accept", browserAccept)
	if page.status != http.StatusOK {
		t.Fatalf("A15: %d %s", page.status, page.body)
	}
	_, links, _ := mustParsePage(t, page.body)
	for _, link := range links[:len(links)-1] {
		path, below := strings.CutPrefix(link, g.url)
		if answer := g.do(http.MethodGet, path, "", "Authorization", ""); !below || answer.status != http.StatusOK {
			t.Errorf("link %q: %d %s", link, answer.status, answer.body)
		}
	}
	var info homeInfo
	if err := json.Unmarshal([]byte(g.do(http.MethodGet, "/", "", "Authorization", "").body), &info); err != nil {
		t.Fatal(err)
	}
	if info.BaseURL != g.url+"/v1" {
		t.Errorf("base_url %q, want %q", info.BaseURL, g.url+"/v1")
	}
	for _, secret := range []string{testKey, testToken, testCookie} {
		if strings.Contains(page.body, secret) {
			t.Errorf("the page contains %q", secret)
		}
	}
	head := g.do(http.MethodHead, "/", "", "Accept", browserAccept)
	if head.status != http.StatusOK || head.body != "" || head.header.Get("Content-Security-Policy") != page.header.Get("Content-Security-Policy") {
		t.Errorf("HEAD: %d %s %q", head.status, head.header, head.body)
	}
	checkHomeHeaders(t, head.header)
}
