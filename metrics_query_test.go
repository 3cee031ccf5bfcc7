package caddyqwen

import (
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metricsql"
	dto "github.com/prometheus/client_model/go"
)

// queryCheck checks one query. The parser knows more than Prometheus does, so that
// functions and ranges are checked here.
type queryCheck struct {
	all    families
	names  []string
	labels []string // of all metrics asked for
	ranged map[metricsql.Expr]bool
	fail   func(format string, args ...any)
}

// serverLabels are those that Prometheus adds.
var serverLabels = []string{"instance", "job"}

// visitRange notes which metrics are asked for over a time.
func (c *queryCheck) visitRange(e metricsql.Expr) {
	f, ok := e.(*metricsql.FuncExpr)
	if !ok {
		return
	}
	switch {
	case f.Name == "histogram_quantile" && len(f.Args) == 2:
		sum, ok := f.Args[1].(*metricsql.AggrFuncExpr)
		if !ok || !slices.Contains(sum.Modifier.Args, "le") {
			c.fail("the quantile is not of a sum by le")
		}
	case (f.Name == "rate" || f.Name == "increase") && len(f.Args) == 1:
		rollup, ok := f.Args[0].(*metricsql.RollupExpr)
		if !ok || rollup.Window == nil {
			c.fail("%s without a range", f.Name)
			return
		}
		c.ranged[rollup.Expr] = true
	default:
		c.fail("the function %s", f.Name)
	}
}

// visit checks metrics, and groups over them.
func (c *queryCheck) visit(e metricsql.Expr) {
	switch e := e.(type) {
	case *metricsql.MetricExpr:
		c.metric(e)
	case *metricsql.AggrFuncExpr:
		if !slices.Contains([]string{"sum", "max", "min"}, e.Name) {
			c.fail("the aggregation %s", e.Name)
		}
		for _, label := range e.Modifier.Args {
			if !slices.Contains(c.labels, label) {
				c.fail("grouped by %s, which is not there", label)
			}
		}
	}
}

func (c *queryCheck) metric(e *metricsql.MetricExpr) {
	if len(e.LabelFilterss) != 1 || e.LabelFilterss[0][0].Label != "__name__" {
		c.fail("not one metric by its name")
		return
	}
	filters := e.LabelFilterss[0]
	name := filters[0].Value
	c.labels = append(c.labels, serverLabels...)
	family := c.all[name]
	if base, bucket := strings.CutSuffix(name, "_bucket"); bucket && family == nil {
		if family = c.all[base]; family.GetType() != dto.MetricType_HISTOGRAM {
			c.fail("%s is no histogram", base)
			return
		}
		name = base
		c.labels = append(c.labels, "le")
	} else if family.GetType() == dto.MetricType_HISTOGRAM {
		c.fail("%s is a histogram", name)
	}
	if family == nil {
		c.fail("%s is not there", name)
		return
	}
	c.names = append(c.names, name)
	if changing := family.GetType() != dto.MetricType_GAUGE; changing != c.ranged[e] {
		c.fail("%s over a range: %t", name, !changing)
	}
	values := labelValues(family)
	for label := range values {
		c.labels = append(c.labels, label)
	}
	for _, filter := range filters[1:] {
		c.filter(filter, values)
	}
}

func (c *queryCheck) filter(f metricsql.LabelFilter, values map[string][]string) {
	if slices.Contains(serverLabels, f.Label) {
		return
	}
	known, there := values[f.Label]
	if !there {
		c.fail("the label %s is not there", f.Label)
	}
	list := []string{f.Value}
	if f.IsRegexp {
		list = strings.Split(f.Value, "|")
	}
	for _, value := range list {
		if !slices.Contains(known, value) && !mayBe(f.Label, value) {
			c.fail("%s is never %q", f.Label, value)
		}
	}
}

// mayBe reports whether a value is possible that has not come up.
func mayBe(label, value string) bool {
	switch label {
	case "route":
		_, known := routes[value]
		return known || value == otherRoute
	case "status":
		n, err := strconv.Atoi(value)
		return err == nil && (http.StatusText(n) != "" || n == statusClientGone)
	case "code":
		text, err := os.ReadFile("docs/errors.md")
		return value == outcomeGone || err == nil && strings.Contains(string(text), "\n### "+value+"\n")
	}
	return false
}
