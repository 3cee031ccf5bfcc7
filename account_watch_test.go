package caddyqwen

import (
	"context"
	"net/http"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// lookout is an account that is looked after in a bubble of testing/synctest, and what
// is logged of it.
type lookout struct {
	t    *testing.T
	site *emulator.Site
	a    *account
	logs *observer.ObservedLogs
	stop context.CancelFunc
}

// lookOut has f run in a bubble, with an emulated site that accepts only the tokens that
// it has issued.
func lookOut(t *testing.T, f func(l *lookout)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &lookout{t: t, site: emulator.New(emulator.Options{Tokens: []string{"none"}, RefreshTokens: []string{"r"}})}
		t.Cleanup(l.site.Close)
		t.Cleanup(func() { must(t, os.RemoveAll(accountsDir())) })
		f(l)
	})
}

// keepOld keeps the site from handing out tokens with the record of the account.
func (l *lookout) keepOld() {
	l.site.Refuse(emulator.Reply{Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"id":"x","name":"Owner"}`)}, emulator.EndpointAuths)
}

// start looks after an account with a credential, as a new process does.
func (l *lookout) start(cred qwen.Credential) {
	l.t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	k, err := acquireKeeper(defaultLabel, accountSource{baseURL: "http://" + l.t.Name(), given: cred})
	must(l.t, err)
	h := &Handler{logger: zap.New(core), client: &qwen.Client{BaseURL: "http://site.test", AuthURL: "http://auth.test", Version: "1", Transport: l.site}}
	l.a, l.logs = h.newAccount(defaultLabel, k), logs
	ctx, cancel := context.WithCancel(l.t.Context())
	done := l.watch(ctx)
	l.stop = func() {
		cancel()
		<-done
		must(l.t, k.release())
	}
	synctest.Wait()
}

// watch has the account looked after, as each configuration does.
func (l *lookout) watch(ctx context.Context) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		l.a.watch(ctx)
	}()
	return done
}

// states are the lines that tell of the state.
func (l *lookout) states() (list []observer.LoggedEntry) {
	for _, entry := range l.logs.All() {
		if _, tells := entry.ContextMap()["state"]; tells {
			list = append(list, entry)
		}
	}
	return list
}

// At the start, one line tells how an account is, whatever is found out.
func TestStartupLog(t *testing.T) {
	token := func(life time.Duration) func(*lookout) qwen.Credential {
		return func(l *lookout) qwen.Credential { return qwen.Credential{Token: l.site.IssueToken(life)} }
	}
	for name, tt := range map[string]struct {
		credential func(*lookout) qwen.Credential
		refusal    *emulator.Reply
		level      zapcore.Level
		state      accountState
		expires    time.Duration // from now on
		renewable  bool
		until      bool
	}{
		"ok":                   {credential: token(30 * 24 * time.Hour), level: zapcore.InfoLevel, state: accountOK, expires: 30 * 24 * time.Hour},
		"expiring":             {credential: token(2 * 24 * time.Hour), level: zapcore.InfoLevel, state: accountExpiring, expires: 2 * 24 * time.Hour},
		"expired":              {credential: token(-time.Hour), level: zapcore.ErrorLevel, state: accountExpired, expires: -time.Hour, until: true},
		"verification":         {credential: token(30 * 24 * time.Hour), refusal: new(emulator.ChallengeJSON()), level: zapcore.ErrorLevel, state: accountVerification, expires: 30 * 24 * time.Hour, until: true},
		"the site has a fault": {credential: token(30 * 24 * time.Hour), refusal: new(emulator.Status(502)), level: zapcore.InfoLevel, state: accountUnknown, expires: 30 * 24 * time.Hour},
		"no credential":        {credential: func(*lookout) qwen.Credential { return qwen.Credential{} }, level: zapcore.WarnLevel, state: accountUnknown},
		"renewable": {credential: func(l *lookout) qwen.Credential {
			return qwen.Credential{Cookies: "refresh_token=r; token=" + l.site.IssueToken(15*time.Minute)}
		}, level: zapcore.InfoLevel, state: accountOK, expires: 15 * time.Minute, renewable: true},
	} {
		t.Run(name, func(t *testing.T) {
			lookOut(t, func(l *lookout) {
				if l.keepOld(); tt.refusal != nil {
					l.site.Refuse(*tt.refusal, emulator.EndpointAuths)
				} else if tt.state == accountExpired {
					l.site.Accept(emulator.EndpointAuths)
				}
				begun := time.Now()
				l.start(tt.credential(l))
				defer l.stop()
				lines := l.states()
				if len(lines) != 1 {
					t.Fatalf("%d lines: %v", len(lines), lines)
				}
				fields := lines[0].ContextMap()
				expires, _ := fields["expires"].(time.Time)
				if lines[0].Level != tt.level || fields["state"] != string(tt.state) || fields["renewable"] != tt.renewable || fields["account"] != defaultLabel ||
					expires.IsZero() != (tt.expires == 0) || tt.expires != 0 && expires.Sub(begun) != tt.expires {
					t.Errorf("%s %s %v", lines[0].Level, lines[0].Message, fields)
				}
				if _, until := fields["until"]; until != tt.until {
					t.Errorf("%v", fields)
				}
			})
		})
	}
}

// What was found out before is told again at the next start, and on a reload, once.
func TestStartupLogAgain(t *testing.T) {
	lookOut(t, func(l *lookout) {
		cred := qwen.Credential{Token: l.site.IssueToken(30 * 24 * time.Hour)}
		l.site.Refuse(emulator.ChallengeJSON(), emulator.EndpointAuths)
		l.start(cred)
		ctx, cancel := context.WithCancel(l.t.Context())
		done := l.watch(ctx) // that of the next configuration
		synctest.Wait()
		if lines := l.states(); len(lines) != 2 {
			t.Errorf("a reload: %v", lines)
		}
		cancel()
		<-done
		l.stop()
		l.start(cred)
		if lines := l.states(); len(lines) != 1 || lines[0].ContextMap()["state"] != string(accountVerification) {
			t.Errorf("a restart: %v", lines)
		}
		l.stop()
	})
}

// warnings are the times left at which the owner was warned.
func (l *lookout) warnings() (list []time.Duration) {
	for _, entry := range l.logs.FilterLevelExact(zapcore.WarnLevel).All() {
		if left, warns := entry.ContextMap()["left"].(time.Duration); warns {
			list = append(list, left)
		}
	}
	return list
}

const day = 24 * time.Hour

// X15: the owner is warned a week, a day and an hour before the end of a token that
// cannot be renewed, to the second, also while the account rests.
func TestExpiryWarnings(t *testing.T) {
	for name, tt := range map[string]struct {
		life time.Duration
		rest bool
		want []time.Duration
	}{
		"a week and more":        {8 * day, false, []time.Duration{7 * day, day, time.Hour}},
		"begun between":          {3 * day, false, []time.Duration{3 * day, day, time.Hour}},
		"a day":                  {23 * time.Hour, false, []time.Duration{23 * time.Hour, time.Hour}},
		"minutes":                {20 * time.Minute, false, []time.Duration{20 * time.Minute}},
		"the site asks to prove": {8 * day, true, []time.Duration{7 * day, day, time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			lookOut(t, func(l *lookout) {
				if l.keepOld(); tt.rest {
					l.site.Refuse(emulator.ChallengeJSON(), emulator.EndpointAuths)
				}
				l.start(qwen.Credential{Token: l.site.IssueToken(tt.life)})
				defer l.stop()
				time.Sleep(tt.life - time.Second)
				if got := l.warnings(); !slices.Equal(got, tt.want) {
					t.Errorf("warned at %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// Who restarts the server is warned again; who reloads the configuration is not. A
// token that can be renewed is none to be warned of, and a new one begins anew.
func TestExpiryWarningsOnce(t *testing.T) {
	lookOut(t, func(l *lookout) {
		l.keepOld()
		cred := qwen.Credential{Token: l.site.IssueToken(5 * day)}
		l.start(cred)
		ctx, cancel := context.WithCancel(l.t.Context())
		done := l.watch(ctx)
		time.Sleep(time.Hour)
		if got := l.warnings(); !slices.Equal(got, []time.Duration{5 * day}) {
			t.Errorf("over a reload: %v", got)
		}
		cancel()
		<-done
		l.stop()
		l.start(cred)
		if got := l.warnings(); !slices.Equal(got, []time.Duration{5*day - time.Hour}) {
			t.Errorf("after a restart: %v", got)
		}
		l.a.mu.Lock()
		l.a.setFresh(qwen.Credential{Token: l.site.IssueToken(8 * day)}, time.Now())
		l.a.mu.Unlock()
		time.Sleep(8*day - time.Second)
		if got := l.warnings()[1:]; !slices.Equal(got, []time.Duration{7 * day, day, time.Hour}) {
			t.Errorf("a new token: %v", got)
		}
		l.stop()
		l.start(qwen.Credential{Cookies: "refresh_token=r; token=" + l.site.IssueToken(15*time.Minute)})
		defer l.stop()
		time.Sleep(day)
		if got := l.warnings(); len(got) != 0 {
			t.Errorf("of a token that is renewed: %v", got)
		}
	})
}

// A token that has ended is not called one that ends soon.
func TestExpiredWarning(t *testing.T) {
	lookOut(t, func(l *lookout) {
		l.site.Refuse(emulator.Status(502), emulator.EndpointAuths)
		l.start(qwen.Credential{Token: l.site.IssueToken(-time.Hour)})
		defer l.stop()
		if n := l.logs.FilterMessageSnippet("has ended and cannot be renewed").Len(); n != 1 || len(l.warnings()) != 1 {
			t.Errorf("%d lines: %v", n, l.logs.All())
		}
	})
}
