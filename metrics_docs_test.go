package caddyqwen

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	dto "github.com/prometheus/client_model/go"
)

// mustScrapeAll returns a scrape in which every metric has a series.
func mustScrapeAll(t *testing.T) families {
	t.Helper()
	expires := time.Now().Add(time.Hour)
	account := fmt.Sprintf("account {\ntoken %s\n}\napi_key %s", jwtUntil(expires), testKey)
	g := mustMeteredGateway(t, setup{bare: true, qwen: account})
	g.mustGrow(t, func() { g.chat("hello", `"stream":true`) }, increase{"time_to_first_token_seconds", 1}, increase{"requests_total code=ok", 1})
	return g.scrape()
}

// labelValues returns the values of each label of a metric.
func labelValues(f *dto.MetricFamily) map[string][]string {
	values := make(map[string][]string)
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if !slices.Contains(values[l.GetName()], l.GetValue()) {
				values[l.GetName()] = append(values[l.GetName()], l.GetValue())
			}
		}
	}
	return values
}

// openLabels are those whose values the documents do not list, and of which a
// scrape has only those that have come up.
var openLabels = []string{"route", "status", "code", "account"}

// TestDocsMetrics compares the tables with what a scrape has.
func TestDocsMetrics(t *testing.T) {
	d := mustReadDocument(t, "docs/metrics.md")
	all := mustScrapeAll(t)
	documented := make(map[string]bool)
	for _, row := range d.rows("metric") {
		if len(row) != 4 || len(row[3]) < 10 {
			t.Fatalf("row %q", row)
		}
		name := codes(row[0])[0]
		f := all[name]
		if f == nil || documented[name] {
			t.Errorf("%s is not there, or twice in the table", name)
			continue
		}
		documented[name] = true
		if kind := strings.ToLower(f.GetType().String()); kind != row[1] {
			t.Errorf("%s is a %s, and documented as a %s", name, kind, row[1])
		}
		labels, known := slices.Sorted(maps.Keys(labelValues(f))), codes(row[2])
		if slices.Sort(known); !slices.Equal(labels, known) {
			t.Errorf("%s has the labels %q, and documented are %q", name, labels, known)
		}
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
	}
	for name := range all {
		if !documented[name] {
			t.Errorf("%s is not documented", name)
		}
	}
	checkLabels(t, d, all)
}

// checkLabels compares the table of labels with a scrape.
func checkLabels(t *testing.T, d document, all families) {
	t.Helper()
	values := make(map[string][]string)
	for _, f := range all {
		for label, list := range labelValues(f) {
			values[label] = append(values[label], list...)
		}
	}
	for _, row := range d.rows("label") {
		label := codes(row[0])[0]
		got := values[label]
		delete(values, label)
		if slices.Contains(openLabels, label) {
			continue
		}
		want := slices.DeleteFunc(codes(row[1]), func(code string) bool { return strings.HasPrefix(code, "X-") })
		slices.Sort(want)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s has the values %q, and documented are %q", label, got, want)
		}
	}
	for label := range values {
		t.Errorf("the label %s is not documented", label)
	}
}

// TestDocsPlaceholders compares the table of fields with what there is.
func TestDocsPlaceholders(t *testing.T) {
	i := new(requestInfo)
	d := mustReadDocument(t, "docs/metrics.md")
	rows := d.rows("field")
	for _, row := range rows {
		if _, known := i.placeholder("http.qwen." + codes(row[0])[0]); !known {
			t.Errorf("there is no placeholder %s", row[0])
		}
	}
	source, err := os.ReadFile("facts.go")
	if err != nil {
		t.Fatal(err)
	}
	godoc, err := os.ReadFile("module.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if !strings.Contains(string(godoc), "\n// `{http.qwen."+codes(row[0])[0]+"}` | ") {
			t.Errorf("the documentation of the handler does not name %s", row[0])
		}
	}
	if n := strings.Count(string(source), `case "http.qwen.`); n != len(rows) {
		t.Errorf("there are %d placeholders, and %d in the table", n, len(rows))
	}
}

// dashboard is what the tests look at.
type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type string
			Query      any
		}
	}
	Panels []dashboardPanel
}

type dashboardPanel struct {
	ID          int
	Type, Title string
	Description string
	Datasource  map[string]string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct {
		RefID, Expr string
		Datasource  map[string]string
	}
}

func mustReadDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("docs/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Grafana takes the dashboard for any data source, and no panel hides another.
func TestDashboardForm(t *testing.T) {
	d := mustReadDashboard(t)
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 30 {
		t.Errorf("%q, %q, version %d", d.Title, d.UID, d.SchemaVersion)
	}
	if v := d.Templating.List; len(v) == 0 || v[0].Name != "datasource" || v[0].Type != "datasource" || v[0].Query != "prometheus" {
		t.Errorf("the first variable is not the data source: %+v", v)
	}
	taken, ids := make(map[[2]int]string), make(map[int]bool)
	for _, p := range d.Panels {
		if p.Title == "" || ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W < 1 || p.GridPos.H < 1 {
			t.Errorf("panel %d: %q at %+v", p.ID, p.Title, p.GridPos)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if taken[at] != "" {
					t.Fatalf("%s lies on %s", p.Title, taken[at])
				}
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource["uid"] != "${datasource}" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("%s has a fixed data source, no description or no query", p.Title)
		}
		for _, target := range p.Targets {
			if target.Datasource["uid"] != "${datasource}" {
				t.Errorf("%s has a fixed data source", p.Title)
			}
		}
	}
}

// Every query asks for what there is, and every metric is asked for.
func TestDashboardQueries(t *testing.T) {
	all := mustScrapeAll(t)
	used := make(map[string]bool)
	for _, p := range mustReadDashboard(t).Panels {
		for _, target := range p.Targets {
			names, err := checkQuery(all, target.Expr)
			if err != nil {
				t.Errorf("%s: %v: %s", p.Title, err, target.Expr)
			}
			for _, name := range names {
				used[name] = true
			}
		}
	}
	for name := range all {
		if !used[name] {
			t.Errorf("%s is on no panel", name)
		}
	}
}

// The check of queries finds mistakes.
func TestDashboardCheck(t *testing.T) {
	all := mustScrapeAll(t)
	for query, good := range map[string]bool{
		`sum(caddy_qwen_active_streams)`: true,
		`sum by (status) (rate(caddy_qwen_requests_total{code!="ok"}[$__rate_interval]))`:               true,
		`histogram_quantile(0.5, sum by (le) (rate(caddy_qwen_time_to_first_byte_seconds_bucket[5m])))`: true,
		`sum(caddy_qwen_active_stream)`:                                                                        false,
		`sum(caddy_qwen_active_streams`:                                                                        false,
		`sum(caddy_qwen_active_streams_bucket)`:                                                                false,
		`sum(caddy_qwen_active_streams{kind="new"})`:                                                           false,
		`sum(caddy_qwen_requests_total)`:                                                                       false,
		`rate(caddy_qwen_requests_total)`:                                                                      false,
		`rate(caddy_qwen_active_streams[5m])`:                                                                  false,
		`sum by (kind) (rate(caddy_qwen_requests_total[5m]))`:                                                  false,
		`rate(caddy_qwen_sessions_total{kind="old"}[5m])`:                                                      false,
		`rate(caddy_qwen_sessions_total{kind=~"new|old"}[5m])`:                                                 false,
		`rate(caddy_qwen_time_to_first_byte_seconds[5m])`:                                                      false,
		`histogram_quantile(0.5, sum by (status) (rate(caddy_qwen_time_to_first_byte_seconds_bucket[5m])))`:    false,
		`sum(rate(caddy_qwen_upstream_errors_total{code="upstream_empty", instance=~"$instance"}[5m])) / 2`:    false,
		`sum(rate(caddy_qwen_upstream_errors_total{class="upstream", instance=~"$instance"}[5m])) / 2`:         true,
		`median_over_nothing(caddy_qwen_active_streams)`:                                                       false,
		`sum(go_goroutines)`:                                                                                   false,
		`1`:                                                                                                    false,
		`sum(caddy_qwen_active_streams) by (instance, job)`:                                                    true,
		`sum(rate(caddy_qwen_uploads_total{stage="grant", result!="ok"}[5m])) by (stage)`:                      true,
		`sum(rate(caddy_qwen_uploads_total{stage="grant", result!="fine"}[5m])) by (stage)`:                    false,
		`sum(rate(caddy_qwen_requests_total{route="/v1/models/qwen"}[5m]))`:                                    false,
		`sum(rate(caddy_qwen_requests_total{route="/v1/models/{id}", code!="client_gone"}[$__rate_interval]))`: true,
		`sum(rate(caddy_qwen_requests_total{code="no_such_code"}[$__rate_interval]))`:                          false,
		`sum(rate(caddy_qwen_requests_total{status="two hundred"}[$__rate_interval]))`:                         false,
	} {
		if _, err := checkQuery(all, query); (err == nil) != good {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// checkQuery checks a query against a scrape, and returns the metrics that it
// asks for.
func checkQuery(all families, query string) (names []string, err error) {
	expr, err := metricsql.Parse(strings.ReplaceAll(query, "$__rate_interval", "5m"))
	if err != nil {
		return nil, err
	}
	c := queryCheck{all: all, ranged: make(map[metricsql.Expr]bool)}
	c.fail = func(format string, args ...any) {
		if err == nil {
			err = fmt.Errorf(format, args...)
		}
	}
	// Parents come after their children.
	metricsql.VisitAll(expr, c.visitRange)
	metricsql.VisitAll(expr, c.visit)
	if len(c.names) == 0 {
		c.fail("there is no metric")
	}
	return c.names, err
}
