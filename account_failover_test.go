package caddyqwen

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// owners are the accounts of these tests, by their labels.
var owners = []string{"first", "second", "third"}

// accountsBlock configures accounts of the site, in this order.
func accountsBlock(site *emulator.Site, ids ...string) string {
	var block strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&block, "account %s {\ntoken %s\n}\n", id, site.IssueTokenFor(id, 24*time.Hour))
	}
	return block.String() + "api_key " + testKey + "\n"
}

// mustAccounts is a gateway with several accounts, which the site has accepted.
func mustAccounts(t *testing.T, n int, qwen string) *gateway {
	t.Helper()
	g := mustGateway(t, setup{})
	g.load(setup{bare: true, qwen: qwen + "\n" + accountsBlock(g.site.Site, owners[:n]...)})
	g.checked()
	g.numbered()
	return g
}

// keeperOf returns the keeper of an account.
func (g *gateway) keeperOf(label string) (found *keeper) {
	g.t.Helper()
	keepers.Range(func(_, value any) bool {
		if k := value.(*keeper); k.label == label {
			found = k
		}
		return true
	})
	if found == nil {
		g.t.Fatalf("no account %s", label)
	}
	return found
}

// revoke makes the site refuse the credential of an account.
func (g *gateway) revoke(label string) { g.site.Revoke(g.keeperOf(label).credential().AccessToken()) }

// setHealth changes what is known of an account.
func (g *gateway) supposed(label string, to health) {
	k := g.keeperOf(label)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.health = to
}

// ownerOf returns the account that a request was made with.
func ownerOf(h http.Header) string {
	return strings.TrimPrefix(identityOf(strings.TrimPrefix(h.Get("Authorization"), "Bearer ")), "id ")
}

// answerer returns the account that has answered last.
func (g *gateway) answerer() string { return ownerOf(g.last().Header) }

// mustAnswerBy checks which account has answered last.
func (g *gateway) mustAnswerBy(label string) {
	g.t.Helper()
	if got := g.answerer(); got != label {
		g.t.Errorf("the account %s has answered, not %s", got, label)
	}
}

// X08, P06: the account of a conversation has expired. It goes on in another one,
// which gets all of it, and stays there.
func TestFailOver(t *testing.T) {
	g := mustAccounts(t, 2, "")
	a := g.ask([]said{user("one")})
	g.mustAnswerBy("first")
	talk := []said{user("one"), a.said, user("two")}
	g.revoke("first")

	b := g.ask(talk)
	b.mustBe(t, "replayed")
	g.mustAnswerBy("second")
	if _, prompt := g.seen(); !strings.Contains(prompt, a.Content) || !strings.Contains(prompt, "<user>\none\n</user>") {
		t.Errorf("X08 the history is not all there: %q", prompt)
	}
	talk = append(talk, b.said, user("three"))
	c := g.ask(talk)
	c.mustBe(t, "continued")
	if c.chat != b.chat {
		t.Error("X08 it does not stay in its chat")
	}
	g.ask([]said{user("something else")}).mustBe(t, "new")
	g.mustAnswerBy("second")
	if state := g.keeperOf("first").report(time.Now()).State; state != accountExpired {
		t.Errorf("the first one is %s", state)
	}

	// The first one is good again: it has what is new, and the others stay.
	g.site.Accept()
	g.load(setup{bare: true, qwen: accountsBlock(g.site.Site, "first", "second")})
	talk = append(talk, c.said, user("four"))
	d := g.ask(talk)
	d.mustBe(t, "continued")
	g.mustAnswerBy("second")
	g.ask([]said{user("new again")}).mustBe(t, "new")
	g.mustAnswerBy("first")

	// The second one fails: back to the first, and it is told all that it misses.
	g.revoke("second")
	talk = append(talk, d.said, user("five"))
	g.ask(talk).mustBe(t, "replayed")
	g.mustAnswerBy("first")
	if _, prompt := g.seen(); !strings.Contains(prompt, "three") || !strings.Contains(prompt, d.Content) {
		t.Errorf("X08 the history is not all there: %q", prompt)
	}
}

// The same with a prompt that goes along as a file.
func TestFailOverWithLongPrompt(t *testing.T) {
	g := mustAccounts(t, 2, "max_prompt 2000")
	g.revoke("first")
	g.ask([]said{user(strings.Repeat("word ", 1000))}).mustBe(t, "new")
	g.mustAnswerBy("second")
	if files := g.last().Files; len(files) != 1 {
		t.Errorf("%d files", len(files))
	}
}

// An account that the site cannot be reached with, as behind a proxy of its own, is
// replaced, too; a limit or a verification is no reason for that.
func TestFailOverOf(t *testing.T) {
	refusal := func(r emulator.Reply) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for name, values := range r.Header {
				w.Header()[name] = values
			}
			w.WriteHeader(max(r.Status, http.StatusOK))
			_, _ = w.Write(r.Body)
		}
	}
	usedUp := emulator.Reply{Body: []byte(`{"success":false,"data":{"code":"RateLimited","details":"You have reached the upper limit.","num":4}}`)}
	for name, tt := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   failed // the zero value: another account answers
	}{
		"connection reset":   {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, failed{}},
		"P06 expired":        {refusal(emulator.Expired()), failed{}},
		"P06 status 401":     {refusal(emulator.Unauthorized401()), failed{}},
		"P07 status 403":     {refusal(emulator.Status(403)), failed{}},
		"P08 verification":   {refusal(emulator.ChallengeHTML(200)), wantVerification},
		"P09 verification":   {refusal(emulator.ChallengeJSON()), wantVerification},
		"P10 too many":       {refusal(limitedFor("7")), wantWait(7)},
		"P11 quota":          {refusal(usedUp), wantQuota(4)},
		"P12 out of service": {refusal(emulator.Status(503)), wantUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			m := mustMeddle(t, func(w http.ResponseWriter, r *http.Request, site http.Handler) {
				if ownerOf(r.Header) == "first" && strings.Contains(r.URL.Path, "/chat") {
					tt.answer(w)
					return
				}
				site.ServeHTTP(w, r)
			})
			g := mustMeddledGateway(t, m, setup{})
			g.load(setup{bare: true, baseURL: m.URL, qwen: accountsBlock(g.site.Site, "first", "second")})
			got := g.chat("hello", "")
			prompts := len(g.site.Completions())
			if tt.want.status != 0 {
				tt.want.check(t, got)
				if prompts > 0 {
					t.Error("another account was asked")
				}
				return
			}
			if got.status != http.StatusOK || prompts != 1 {
				t.Fatalf("status %d, %d prompts: %s", got.status, prompts, got.body)
			}
			g.mustAnswerBy("second")
			if !strings.Contains(g.logged(), `"account":"second"`) || !strings.Contains(g.logged(), `"retries":`) {
				t.Error("the log does not tell which account has answered, or that it is not the first")
			}
		})
	}
}

// X16: the answer tells when the first of the accounts may be tried again.
func TestFailOverAllDown(t *testing.T) {
	g := mustAccounts(t, 3, "")
	now := time.Now()
	for label, rest := range map[string]time.Duration{"first": time.Hour, "second": 5 * time.Minute, "third": 20 * time.Minute} {
		g.supposed(label, health{State: accountExpired, Until: now.Add(rest)})
	}
	got := g.chat("hello", "")
	wait, err := strconv.Atoi(got.header.Get("Retry-After"))
	if err != nil || wait < 290 || wait > 300 || got.status != http.StatusServiceUnavailable || got.code() != "upstream_credential_expired" || got.header.Get("X-Should-Retry") != "false" {
		t.Errorf("X16 status %d, %v: %s", got.status, got.header, got.body)
	}
	if n := len(g.site.Completions()); n > 0 {
		t.Errorf("P41 %d prompts", n)
	}
}

// X17: one bad account of three costs nobody anything.
func TestFailOverOneOfThree(t *testing.T) {
	for _, bad := range owners {
		t.Run("X17 "+bad, func(t *testing.T) {
			g := mustAccounts(t, 3, "max_streams_per_key 100\nmax_streams_per_account 100")
			g.revoke(bad)
			if failures := g.together(50); failures > 0 {
				t.Errorf("%d requests failed", failures)
			}
			for range 10 {
				g.mustBeFine("hello")
			}
		})
	}
}

// together sends requests at once and returns how many fail.
func (g *gateway) together(n int) (failures int) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for range n {
		all.Go(func() {
			resp, err := g.trySend(g.t.Context(), http.MethodPost, chatPath, chatBody("hello", ""))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				g.t.Error(err)
				return
			}
			if resp.Body.Close(); resp.StatusCode != http.StatusOK {
				failures++
			}
		})
	}
	all.Wait()
	return failures
}

func (g *gateway) mustBeFine(prompt string) {
	g.t.Helper()
	if r := g.chat(prompt, ""); r.status != http.StatusOK {
		g.t.Fatalf("status %d: %s", r.status, r.body)
	}
}

// The rest of an account is over: one request tries it, and those that come at the
// same moment do not fail.
func TestFailOverAtTheEndOfARest(t *testing.T) {
	for range 5 {
		g := mustAccounts(t, 2, "max_streams_per_key 100\nmax_streams_per_account 100")
		g.revoke("first")
		g.supposed("first", health{State: accountExpired, Until: time.Now().Add(-time.Second)})
		if failures := g.together(50); failures > 0 {
			t.Fatalf("%d requests failed", failures)
		}
		g.stop()
	}
}

// Those who wait for a place of an account that expires get one of another.
func TestFailOverFromQueue(t *testing.T) {
	g := mustAccounts(t, 2, "max_streams_per_account 1\nqueue_wait 1m")
	finish := g.running()
	answers := make(chan reply, 3)
	for range 3 {
		go func() { answers <- g.chat("waits", "") }()
	}
	g.queued(3)
	g.supposed("first", health{State: accountExpired, Until: time.Now().Add(time.Hour), begun: 1})
	finish()
	for range 3 {
		if r := <-answers; r.status != http.StatusOK {
			t.Errorf("status %d: %s", r.status, r.body)
		}
	}
	g.mustAnswerBy("second")
}

// Each account has places of its own.
func TestFailOverPlaces(t *testing.T) {
	g := mustAccounts(t, 2, "max_streams_per_account 1\nqueue_wait 10ms")
	finish := g.running()
	if r := g.chat("hello", ""); r.code() != "queue_timeout" {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	g.supposed("first", health{State: accountExpired, Until: time.Now().Add(time.Hour)})
	g.mustBeFine("hello")
	finish()
	g.slotsFree()
}

// Two handlers with the same account know the same of it, whatever they call it.
func TestAccountOfTwoHandlers(t *testing.T) {
	g := mustGateway(t, setup{})
	token := g.site.IssueTokenFor("first", time.Hour)
	block := func(label string) string {
		return "account " + label + " {\ntoken " + token + "\n}\napi_key " + testKey
	}
	s := setup{bare: true, qwen: block("one")}
	s.site = fmt.Sprintf("handle_path /other/* {\nqwen {\nbase_url %s\nsessions off\n%s\n}\n}", g.site.URL(), block("two"))
	g.load(s)
	g.checked() // a probe on its way would find that all is well
	g.mustBeFine("hello")
	g.site.Fail(emulator.EndpointNewChat, emulator.ChallengeJSON())
	wantVerification.check(t, g.do(http.MethodPost, "/other"+chatPath, chatBody("hello", "")))
	before := g.requested(emulator.EndpointNewChat)
	if r := g.chat("hello", ""); r.code() != "upstream_verification_required" || r.header.Get("Retry-After") == "" {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	if g.requested(emulator.EndpointNewChat) != before {
		t.Error("P41 the site was asked")
	}
	for _, label := range []string{"one", "two"} {
		if !strings.Contains(g.logged(), `"account":"`+label+`"`) {
			t.Errorf("the log does not name the account %s", label)
		}
	}
}
