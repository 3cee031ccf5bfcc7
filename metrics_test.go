package caddyqwen

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

func TestMetricsOfRequests(t *testing.T) {
	const chatRoute = " route=/v1/chat/completions"
	streamed := `"stream":true`
	tests := map[string]struct {
		do   func(g *gateway)
		want []increase
	}{
		"a chat": {
			func(g *gateway) { g.chat("hello", "") },
			[]increase{
				{"requests_total status=200 code=ok" + chatRoute, 1}, {"time_to_first_byte_seconds", 1}, {"time_to_first_token_seconds", 0},
				{"sessions_total kind=new", 1}, {"upstream_errors_total", 0}, {"retries_total", 0},
			},
		},
		"a streamed chat": {
			func(g *gateway) { g.chat("hello", streamed) },
			[]increase{{"requests_total status=200 code=ok" + chatRoute, 1}, {"time_to_first_byte_seconds", 1}, {"time_to_first_token_seconds", 1}},
		},
		"the tokens as the site counts them": {
			func(g *gateway) {
				g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("one"), emulator.Usage(70, 8, 0), emulator.Finish()))
				g.chat("hello", streamed)
			},
			[]increase{{"tokens_total direction=input", 70}, {"tokens_total direction=output", 8}},
		},
		"a refusal before the answer": {
			func(g *gateway) {
				g.site.Reply(emulator.RateLimited(2))
				g.chat("hello", streamed)
			},
			[]increase{
				{"requests_total status=429 code=upstream_quota_exceeded" + chatRoute, 1}, {"upstream_errors_total class=quota", 1}, {"upstream_errors_total", 1},
				{"time_to_first_byte_seconds", 0}, {"time_to_first_token_seconds", 0}, {"sessions_total", 0}, {"tokens_total", 0},
			},
		},
		"an answer that breaks off": {
			func(g *gateway) {
				g.site.Reply(afterText(emulator.Cut()))
				g.chat("hello", streamed)
			},
			[]increase{
				{"requests_total status=200 code=upstream_stream_broken" + chatRoute, 1}, {"upstream_errors_total class=upstream", 1},
				{"time_to_first_token_seconds", 1}, {"sessions_total", 1},
			},
		},
		"a site that falls silent": {
			func(g *gateway) {
				g.load(setup{qwen: "idle_timeout 50ms", site: metricsSite})
				g.site.Reply(emulator.Stream(emulator.Created(), emulator.Hang()))
				g.chat("hello", "")
			},
			[]increase{{"requests_total status=504 code=upstream_timeout" + chatRoute, 1}, {"upstream_errors_total class=network", 1}},
		},
		"a client that leaves": {
			func(g *gateway) { g.leave() },
			[]increase{{"requests_total status=200 code=client_gone" + chatRoute, 1}, {"upstream_errors_total", 0}, {"time_to_first_token_seconds", 1}},
		},
		"a client that leaves before the answer": {
			func(g *gateway) {
				g.site.Reply(emulator.HangBeforeHeaders())
				l := g.leaver(streamed)
				g.await("the site has it", func() bool { return g.requested(emulator.EndpointCompletions) == 1 })
				l.gone(g)
			},
			[]increase{{"requests_total status=499 code=client_gone" + chatRoute, 1}, {"sessions_total", 0}},
		},
		"a client that leaves the queue": {
			func(g *gateway) {
				g.load(setup{qwen: "max_streams_per_account 1", site: metricsSite})
				finish := g.running()
				l := g.leaver(streamed)
				g.queued(1)
				l.leave()
				<-l.done
				g.queued(0)
				finish()
			},
			[]increase{{"requests_total status=499 code=client_gone" + chatRoute, 1}, {"requests_total status=200 code=ok" + chatRoute, 1}},
		},
		"a request that is no good": {
			func(g *gateway) { g.do(http.MethodPost, chatPath, "{") },
			[]increase{{"requests_total status=400" + chatRoute, 1}, {"upstream_errors_total", 0}},
		},
		"the wrong key": {
			func(g *gateway) { g.do(http.MethodPost, chatPath, "{}", "Authorization", "Bearer wrong") },
			[]increase{{"requests_total status=401 code=invalid_api_key" + chatRoute, 1}},
		},
		"paths with ids": {
			func(g *gateway) {
				g.do(http.MethodGet, "/v1/models/qwen3.7-plus", "")
				g.do(http.MethodDelete, "/v1/chats/canary-id", "")
				g.do(http.MethodGet, "/v1/files/canary-id/content", "")
			},
			[]increase{
				{"requests_total status=200 code=ok route=/v1/models/{id}", 1}, {"requests_total status=404 code=chat_not_found route=/v1/chats/{id}", 1},
				{"requests_total status=404 route=/v1/files/{id}/content", 1},
			},
		},
		"a path that is unknown, and the wrong method": {
			func(g *gateway) {
				g.do(http.MethodGet, "/v1/nothing", "")
				g.do(http.MethodGet, chatPath, "")
				g.do(http.MethodOptions, chatPath, "")
			},
			[]increase{
				{"requests_total status=404 code=unknown_url route=other", 1}, {"requests_total status=405 code=method_not_allowed" + chatRoute, 1},
				{"requests_total status=204 code=ok" + chatRoute, 1},
			},
		},
		"paths of the next handler": {
			func(g *gateway) { g.do(http.MethodGet, "/somewhere", "") },
			[]increase{{"requests_total", 0}, {"response_bytes_total", 0}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := mustMeteredGateway(t, setup{})
			g.mustGrow(t, func() { test.do(g) }, test.want...)
		})
	}
}

// The four ways in which a conversation goes on.
func TestMetricsOfSessions(t *testing.T) {
	g := mustMeteredGateway(t, setup{})
	g.numbered()
	var first heard
	g.mustGrow(t, func() { first = g.ask([]said{user("one")}) }, increase{"sessions_total kind=new", 1}, increase{"sessions_total", 1})
	next := []said{user("one"), first.said, user("two")}
	g.mustGrow(t, func() { g.ask(next) }, increase{"sessions_total kind=continued", 1}, increase{"sessions_total", 1})
	next[2] = user("three")
	g.mustGrow(t, func() { g.ask(next) }, increase{"sessions_total kind=branched", 1}, increase{"sessions_total", 1})
	next[1] = assistant("what nobody has said")
	g.mustGrow(t, func() { g.ask(next) }, increase{"sessions_total kind=replayed", 1}, increase{"sessions_total", 1})
}

func TestMetricsOfRetries(t *testing.T) {
	for reason, refusal := range map[string]emulator.Reply{"chat_busy": emulator.Busy(), "chat_lost": emulator.ChatNotFound()} {
		t.Run(reason, func(t *testing.T) {
			g := mustMeteredGateway(t, setup{})
			g.numbered()
			first := g.ask([]said{user("one")})
			g.site.Fail(emulator.EndpointCompletions, refusal)
			g.mustGrow(t, func() { g.ask([]said{user("one"), first.said, user("two")}) },
				increase{"retries_total reason=" + reason, 1}, increase{"retries_total", 1},
				increase{"sessions_total kind=replayed", 1}, increase{"upstream_errors_total", 0}, increase{"time_to_first_byte_seconds", 1})
		})
	}
	t.Run("upload", func(t *testing.T) {
		g := mustMeteredGateway(t, setup{})
		gate := make(chan struct{})
		g.site.Storage().Fail(emulator.OpPost, 1, emulator.Fault{Gate: gate})
		g.mustGrow(t, func() {
			p := g.post("/v1/files", image(1, 500))
			g.awaitStored("the storage is asked", func() bool { return g.ops(emulator.OpPost) >= 1 })
			g.site.Storage().ExpireGrants()
			close(gate)
			if got := <-p.done; got.status != http.StatusOK {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		}, increase{"retries_total reason=upload", 1}, increase{"retries_total", 1}, increase{"uploads_total stage=transfer result=error", 1}, increase{"uploads_total stage=transfer result=ok", 1})
	})
	for reason, endpoint := range map[string]string{"chat_opening": emulator.EndpointNewChat, "upload_grant": emulator.EndpointFileGrant} {
		t.Run(reason, func(t *testing.T) {
			g := mustMeteredGateway(t, setup{})
			g.site.Fail(endpoint, emulator.Status(http.StatusBadGateway))
			g.mustGrow(t, func() {
				if endpoint == emulator.EndpointFileGrant {
					g.mustUpload(t, image(1, 500))
				} else if got := g.chat("hello", ""); got.status != http.StatusOK {
					t.Errorf("status %d: %s", got.status, got.body)
				}
			}, increase{"retries_total reason=" + reason, 1}, increase{"retries_total", 1})
		})
	}
}

func TestMetricsOfActiveStreams(t *testing.T) {
	g := mustMeteredGateway(t, setup{})
	var leavers []*leaver
	for range 3 {
		g.site.Reply(afterText(emulator.Hang()))
		leavers = append(leavers, g.leaver(`"stream":true`))
	}
	g.await("the answers have begun", func() bool { return g.site.Active() == 3 })
	if n := g.scrape().value("active_streams"); n != 3 {
		t.Errorf("%v active streams, want 3", n)
	}
	for _, l := range leavers {
		l.leave()
		<-l.done
	}
	g.slotsFree()
	if n := g.scrape().value("active_streams"); n != 0 {
		t.Errorf("%v active streams when all have left", n)
	}
}

// A request is counted even if something panics.
func TestMetricsOfPanics(t *testing.T) {
	g := mustMeteredGateway(t, setup{})
	saved := routes["/health"]
	defer func() { routes["/health"] = saved }()
	broken := saved
	broken.serve = func(*Handler, http.ResponseWriter, *http.Request, caller) { panic("on purpose") }
	routes["/health"] = broken
	g.mustGrow(t, func() {
		if resp, err := g.trySend(t.Context(), http.MethodGet, "/health", ""); err == nil {
			resp.Body.Close()
		}
	}, increase{"requests_total status=500 code=internal_error route=/health", 1})
}

// The counters go on when another configuration is loaded, and show each thing
// once however many handlers there are.
func TestMetricsOutliveConfigurations(t *testing.T) {
	g := mustMeteredGateway(t, setup{})
	healthy := func(path string) func() {
		return func() {
			if got := g.do(http.MethodGet, path, ""); got.status != http.StatusOK {
				t.Errorf("%s: status %d", path, got.status)
			}
		}
	}
	counted := "requests_total status=200 code=ok route=/health"
	g.mustGrow(t, healthy("/health"), increase{counted, 1})
	for i := range 3 {
		before := g.scrape().value("requests_total")
		second := fmt.Sprintf("handle_path /second/* {\nqwen {\nbase_url %s\nheartbeat %ds\nsessions off\n}\n}\n", g.site.URL(), i+1)
		g.load(setup{qwen: fmt.Sprintf("heartbeat %ds", i+20), site: second + metricsSite})
		if after := g.scrape().value("requests_total"); after != before || before == 0 {
			t.Errorf("reload %d: %v requests, want %v", i, after, before)
		}
		g.mustGrow(t, healthy("/health"), increase{counted, 1}, increase{"requests_total", 1})
		g.mustGrow(t, healthy("/second/health"), increase{counted, 1}, increase{"requests_total", 1})
	}
}

// No client can make the metrics grow.
func TestMetricsAreBounded(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	g := mustMeteredGateway(t, setup{})
	request := func(i int) {
		prefix := []string{"/v1/", "/v1/models/", "/v1/chats/", "/v1/files/", "/v1/chat/", "/v2/", "/"}[random.IntN(7)]
		method := []string{"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", fmt.Sprintf("M%d", random.IntN(1000))}[random.IntN(7)]
		header := []string{"X-Request-Id", fmt.Sprint("id-", i), "User-Agent", fmt.Sprint("agent-", i), "Authorization", []string{"Bearer " + testKey, fmt.Sprint("Bearer ", i)}[random.IntN(2)]}
		body := chatBody("hello", fmt.Sprintf(`"user":"u%d"`, i))
		g.do(method, fmt.Sprintf("%s%x", prefix, random.Uint64()), body, header...)
		if i%20 == 0 {
			g.do(http.MethodPost, chatPath, strings.Replace(body, "qwen3.7-plus", fmt.Sprint("model-", i), 1), header...)
		}
	}
	for i := range 1000 {
		request(i)
	}
	before := g.scrape()
	for i := range 1000 {
		request(1000 + i)
	}
	after := g.scrape()
	// A rare pair of a route and a status may come up only in the second half.
	if grown := after.series() - before.series(); grown > 5 || after.series() > 300 {
		t.Errorf("%d series, of which %d came with the last thousand requests", after.series(), grown)
	}
	if after.value("requests_total", "route=other") == before.value("requests_total", "route=other") {
		t.Error("no request to an unknown path was counted")
	}
}

// Models that think may take minutes.
func TestMetricsBuckets(t *testing.T) {
	g := mustMeteredGateway(t, setup{})
	for _, name := range []string{"time_to_first_byte_seconds", "time_to_first_token_seconds"} {
		buckets := g.scrape()["caddy_qwen_"+name].GetMetric()[0].GetHistogram().GetBucket()
		if first, last := buckets[0].GetUpperBound(), buckets[len(buckets)-2].GetUpperBound(); first > 0.2 || last < 120 {
			t.Errorf("%s goes from %v s to %v s", name, first, last)
		}
	}
}
