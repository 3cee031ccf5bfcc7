package caddyqwen

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// answering is a transport that answers all requests in one way, and does something
// before.
type answering struct {
	meanwhile func()
	body      string
	cookies   []string
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.meanwhile != nil {
		a.meanwhile()
	}
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, Body: io.NopCloser(strings.NewReader(a.body)),
		Header: http.Header{"Content-Type": {"application/json"}, "Set-Cookie": a.cookies},
	}, nil
}

// mustBeKept returns an account with a credential, whose site is a transport.
func mustBeKept(t *testing.T, cred qwen.Credential, site http.RoundTripper) *account {
	t.Helper()
	h := &Handler{
		logger: zap.NewNop(),
		client: &qwen.Client{BaseURL: "https://chat.qwen.ai", AuthURL: "https://auth.qwen.ai", Version: "0", Transport: site},
	}
	k, err := acquireKeeper(defaultLabel, accountSource{baseURL: "https://chat.qwen.ai/" + t.Name(), given: cred})
	must(t, err)
	t.Cleanup(func() { must(t, k.release()) })
	return h.newAccount(defaultLabel, k)
}

// fresh is the answer to a renewal.
func fresh(access, refresh string) string {
	return fmt.Sprintf(`{"success":true,"data":{"access_token":%q,"refresh_token":%q}}`, access, refresh)
}

// A site that sets the new token as a cookie, too, has renewed it all the same.
func TestRenewalThatSetsTheCookie(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	issuer := emulator.New(emulator.Options{})
	defer issuer.Close()
	old, next := issuer.IssueToken(time.Second), issuer.IssueToken(15*time.Minute)
	a := mustBeKept(t, qwen.Credential{Cookies: "refresh_token=r; token=" + old}, &answering{
		body: fresh(next, "r2"), cookies: []string{"token=" + next + "; Domain=.qwen.ai; Path=/"},
	})
	a.mu.Lock()
	a.health = health{State: accountExpired, Until: time.Now().Add(time.Minute), Rests: 1}
	a.failures = 3
	a.mu.Unlock()
	<-a.startRenewal(t.Context(), a)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.health.State != accountOK || a.failures != 0 || a.cred.Cookies != "refresh_token=r2; token="+next {
		t.Errorf("the state is %q after %d failures, and the credential is %+v", a.health.State, a.failures, a.cred)
	}
}

// What has come while a token was renewed is not undone by the new token.
func TestRenewalMeanwhile(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	issuer := emulator.New(emulator.Options{})
	defer issuer.Close()
	old, next, other := issuer.IssueToken(time.Minute), issuer.IssueToken(15*time.Minute), issuer.IssueTokenFor("other", 15*time.Minute)
	for name, tt := range map[string]struct {
		cookies   string
		meanwhile func(k *keeper)
		want      string
	}{
		"a cookie is set": {
			"refresh_token=r; acw_tc=1; token=" + old,
			func(k *keeper) {
				k.setCookies("chat.qwen.ai", []*http.Cookie{{Name: "acw_tc", Value: "2"}}, time.Now())
			},
			"refresh_token=r2; acw_tc=2; token=" + next,
		},
		"the owner supplies another account": {
			"refresh_token=r; token=" + old,
			func(k *keeper) { k.supply(qwen.Credential{Cookies: "refresh_token=another; token=" + other}) },
			"refresh_token=another; token=" + other,
		},
		"the owner supplies another account, both without a token": {
			"refresh_token=r",
			func(k *keeper) { k.supply(qwen.Credential{Cookies: "refresh_token=another"}) },
			"refresh_token=another",
		},
		"the owner supplies the same token with other cookies": {
			"refresh_token=r; token=" + old,
			func(k *keeper) { k.supply(qwen.Credential{Cookies: "refresh_token=new; token=" + old + "; x-ap=1"}) },
			"refresh_token=new; token=" + old + "; x-ap=1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			site := &answering{body: fresh(next, "r2"), cookies: []string{"refresh_token=r2; Domain=.qwen.ai; Path=/; HttpOnly"}}
			a := mustBeKept(t, qwen.Credential{Cookies: tt.cookies}, site)
			site.meanwhile = func() {
				a.mu.Lock()
				defer a.mu.Unlock()
				locked := !strings.HasPrefix(name, "a cookie")
				if !locked {
					a.mu.Unlock()
					defer a.mu.Lock()
				}
				tt.meanwhile(a.keeper)
			}
			<-a.startRenewal(t.Context(), a)
			if got := a.credential(); got.Cookies != tt.want || got.Token != "" {
				t.Errorf("the credential is %+v\nnot %s", got, tt.want)
			}
		})
	}
}

// A clock that was wrong when the state was saved, as on machines without a battery,
// keeps no account from being used.
func TestStateFromTheFuture(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	cred := qwen.Credential{Token: testToken}
	future := time.Now().AddDate(10, 0, 0)
	source := accountSource{baseURL: "https://chat.qwen.ai", given: cred}
	old := &keeper{source: source, supplied: cred, cred: cred, restored: true, health: health{
		State: accountVerification, Until: future, Rests: -1, Quotas: map[string]time.Time{"m": future}, FailedAt: future,
	}}
	must(t, old.save(zap.NewNop()))
	k := &keeper{source: source, supplied: cred, cred: cred, wake: make(chan struct{}, 1)}
	_, err := k.admit(zap.NewNop(), "m")
	e := siteError(err)
	if e == nil || e.Kind != qwen.KindVerification || e.RetryAfter > longestRest || time.Until(k.nextProbe) > longestRest {
		t.Errorf("refused with %v for %v, and asked in %v", err, e.RetryAfter, time.Until(k.nextProbe))
	}
	if left := k.health.quotaUntil(time.Now()); time.Until(left) > 24*time.Hour {
		t.Errorf("the limit ends %v", left)
	}
	if k.health.failed(&qwen.Error{Kind: qwen.KindCredential}, "m", 0, time.Now()); k.health.Rests < 0 {
		t.Errorf("%d rests", k.health.Rests)
	}
}

// An owner who imports the same credential again, having finished the site's check, is
// one who has cleared the state.
func TestSameAccountFileAgain(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	path := filepath.Join(t.TempDir(), "account.json")
	cred := qwen.Credential{Cookies: "cna=1; token=" + testToken}
	must(t, writeAccountFile(path, cred))
	k, err := acquireKeeper(defaultLabel, accountSource{baseURL: "https://chat.qwen.ai", path: path})
	must(t, err)
	defer func() { must(t, k.release()) }()
	k.mu.Lock()
	k.look(zap.NewNop())
	k.health = health{State: accountVerification, Until: time.Now().Add(time.Hour), Rests: 3, LastError: "x", FailedAt: time.Now()}
	k.nextProbe = k.health.Until
	k.mu.Unlock()
	if _, err := k.admit(zap.NewNop(), "m"); err == nil {
		t.Fatal("admitted")
	}
	must(t, writeAccountFile(path, cred))
	if _, err := k.admit(zap.NewNop(), "m"); err != nil {
		t.Errorf("after the import: %v", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Until(k.nextProbe) > 0 {
		t.Errorf("the site is asked in %v", time.Until(k.nextProbe))
	}
}

// An owner who deletes the imported file is told, once, that the account is used on.
func TestImportedFileIsDeleted(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	path := filepath.Join(t.TempDir(), "account.json")
	k, err := acquireKeeper(defaultLabel, accountSource{baseURL: "https://chat.qwen.ai", path: path, optional: true})
	must(t, err)
	defer func() { must(t, k.release()) }()
	core, logs := observer.New(zap.InfoLevel)
	look := func() string {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.look(zap.New(core))
		var texts []string
		for _, e := range logs.TakeAll() {
			texts = append(texts, fmt.Sprint(e.Message, e.ContextMap()["error"]))
		}
		return strings.Join(texts, "\n")
	}
	if told := look(); told != "" {
		t.Errorf("without a file: %s", told)
	}
	must(t, writeAccountFile(path, qwen.Credential{Token: testToken}))
	if told := look(); !strings.Contains(told, "has been read") {
		t.Errorf("of the file: %s", told)
	}
	must(t, os.Remove(path))
	if told := look(); !strings.Contains(told, "has been deleted") || k.missing(zap.NewNop()) {
		t.Errorf("without it again: %s", told)
	}
	if told := look(); told != "" {
		t.Errorf("told twice: %s", told)
	}
}

// An owner who has configured one account of the site twice is told.
func TestSameAccountTwice(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	issuer := emulator.New(emulator.Options{})
	defer issuer.Close()
	core, logs := observer.New(zap.InfoLevel)
	h := &Handler{logger: zap.New(core), client: &qwen.Client{BaseURL: "https://chat.qwen.ai"}}
	for label, token := range map[string]string{
		"main": issuer.IssueTokenFor("me", time.Hour), "spare": issuer.IssueTokenFor("me", 2*time.Hour),
		"other": issuer.IssueTokenFor("you", time.Hour), "none": "", "nothing": "",
	} {
		k, err := acquireKeeper(label, accountSource{baseURL: "https://chat.qwen.ai", path: filepath.Join(t.TempDir(), label), optional: true, given: qwen.Credential{Token: token}})
		must(t, err)
		defer func() { must(t, k.release()) }()
		h.accounts = append(h.accounts, h.newAccount(label, k))
	}
	h.warnOfTwins()
	told := logs.TakeAll()
	if len(told) != 1 {
		t.Fatalf("%d warnings, want one: %v", len(told), told)
	}
	labels := fmt.Sprint(told[0].ContextMap()["accounts"])
	if !strings.Contains(labels, "main") || !strings.Contains(labels, "spare") {
		t.Errorf("the warning names %s", labels)
	}
}

// A call that is odd while the account rests does not disturb it.
func TestOddCallWhileResting(t *testing.T) {
	a := mustBeKept(t, qwen.Credential{Token: testToken}, &answering{})
	odd := &qwen.Error{Kind: qwen.KindCredential}
	a.failed(a, a.credential(), "", odd)
	if !a.nextProbe.After(time.Time{}) {
		t.Error("an account that does not rest is not looked at")
	}
	until := time.Now().Add(time.Hour)
	a.health, a.nextProbe = health{State: accountVerification, Until: until, Rests: 1}, until
	if a.failed(a, a.credential(), "", odd); !a.nextProbe.Equal(until) {
		t.Errorf("asked at %v", a.nextProbe)
	}
}

// The credential of the environment reaches the site, and another one does on a reload.
func TestAccountFromEnvironment(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	for _, test := range []struct{ name, cookies, token, wantCookies, wantToken string }{
		{"both", "ssxmod=one; token=" + testToken + "x", testToken, "ssxmod=one; token=" + testToken + "x", testToken},
		{"cookies", "ssxmod=two; token=" + testToken, "", "ssxmod=two; token=" + testToken, testToken},
		{"token", "", testToken, "", testToken},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("QWEN_COOKIES", "before=1; token=before")
			t.Setenv("QWEN_AUTH_TOKEN", "")
			g := mustGateway(t, setup{})
			s := setup{bare: true, qwen: "api_key " + testKey}
			g.load(s)
			g.mustBeFine("hello")
			if h := g.last().Header; h.Get("Cookie") != "before=1; token=before" {
				t.Errorf("the site gets %q", h.Get("Cookie"))
			}
			t.Setenv("QWEN_COOKIES", test.cookies)
			t.Setenv("QWEN_AUTH_TOKEN", test.token)
			g.load(setup{bare: true, qwen: "api_key " + testKey + "\nheartbeat 7s"})
			g.mustBeFine("hello")
			if h := g.last().Header; h.Get("Cookie") != test.wantCookies || h.Get("Authorization") != "Bearer "+test.wantToken {
				t.Errorf("the site gets %q and %q", h.Get("Cookie"), h.Get("Authorization"))
			}
		})
	}
}
