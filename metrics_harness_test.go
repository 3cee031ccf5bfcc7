package caddyqwen

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// metricsSite has the metrics at /metrics.
const metricsSite = "handle /metrics {\nmetrics\n}"

// mustMeteredGateway is a gateway that shows its metrics.
func mustMeteredGateway(t testing.TB, s setup) *gateway {
	t.Helper()
	s.site += "\n" + metricsSite
	return mustFilesGateway(t, s)
}

// families are the metrics of a scrape by name.
type families map[string]*dto.MetricFamily

// scrape reads the metrics as Prometheus does. Only ours are kept.
func (g *gateway) scrape() families {
	g.t.Helper()
	return mustParseMetrics(g.t, g.metrics())
}

// metrics returns the metrics as text.
func (g *gateway) metrics() string {
	g.t.Helper()
	got := g.do(http.MethodGet, "/metrics", "", "Authorization", "")
	if got.status != http.StatusOK || !strings.Contains(got.body, "caddy_qwen_requests_total") {
		g.t.Fatalf("/metrics: status %d: %s", got.status, got.body)
	}
	return got.body
}

func mustParseMetrics(t testing.TB, text string) families {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(all, func(name string, _ *dto.MetricFamily) bool { return !strings.HasPrefix(name, "caddy_qwen_") })
	if len(all) == 0 {
		t.Fatal("no metric of ours")
	}
	return all
}

// value returns the sum of the series of a metric that have these labels, given as
// name=value. Histograms count their observations.
func (f families) value(name string, labels ...string) (sum float64) {
	for _, m := range f["caddy_qwen_"+name].GetMetric() {
		if has(m, labels) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func has(m *dto.Metric, labels []string) bool {
	return !slices.ContainsFunc(labels, func(want string) bool {
		return !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName()+"="+l.GetValue() == want })
	})
}

// series returns the number of all series.
func (f families) series() (n int) {
	for _, family := range f {
		n += len(family.GetMetric())
	}
	return n
}

// increase is how much a series has grown: tests share the counters.
type increase struct {
	metric string // name and labels, separated by spaces
	by     float64
}

// mustGrow does something, and checks how much series have grown with it. Clients
// may have an answer a moment before it is counted.
func (g *gateway) mustGrow(t *testing.T, do func(), want ...increase) {
	t.Helper()
	before := g.scrape()
	do()
	g.slotsFree()
	var wrong []string
	counted := func() bool {
		wrong = wrong[:0]
		after := g.scrape()
		for _, w := range want {
			name, labels, _ := strings.Cut(w.metric, " ")
			got := after.value(name, strings.Fields(labels)...) - before.value(name, strings.Fields(labels)...)
			if got != w.by {
				wrong = append(wrong, fmt.Sprintf("%s has grown by %v, want %v", w.metric, got, w.by))
			}
		}
		return len(wrong) == 0
	}
	for end := time.Now().Add(soon); !counted(); {
		if time.Now().After(end) {
			t.Error(strings.Join(wrong, "; "))
			return
		}
	}
}

// leave reads the beginning of a streamed answer that does not end, and leaves.
func (g *gateway) leave() {
	g.t.Helper()
	g.site.Reply(afterText(emulator.Hang()))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	resp := g.send(ctx, http.MethodPost, chatPath, chatBody("hello", `"stream":true`))
	defer resp.Body.Close()
	if _, err := io.ReadAtLeast(resp.Body, make([]byte, 100), 10); err != nil {
		g.t.Fatal(err)
	}
}
