package caddyqwen

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// Lists as the site has had them.
var (
	models2025 = []string{
		"qwen3-max", "qwen3-coder-plus", "qwen3-vl-plus", "qwen3-omni-flash", "qwen-max-latest", "qwen-plus-2025-09-11",
		"qwen-turbo-2025-02-11", "qwq-32b", "qvq-72b-preview-0310", "qwen2.5-72b-instruct", "qwen3-235b-a22b", "qwen3-30b-a3b",
	}
	models2026April  = []string{"qwen3.6-plus", "qwen3.6-max-preview", "qwen3.6-27b"}
	models2026August = []string{"qwen3.7-plus", "qwen3.8-max", "qwen3.7-max", "qwen3.6-plus", "qwen3.5-plus", "qwen3.5-omni-plus"}
)

// mustResolve returns what a name stands for.
func mustResolve(t testing.TB, models []qwen.Model, owner map[string]string, name string) resolution {
	t.Helper()
	res, ok := resolve(models, owner, name)
	if !ok {
		t.Fatalf("%q does not resolve", name)
	}
	return res
}

func TestResolveBuiltinAliases(t *testing.T) {
	tests := []struct{ name, in2025, inApril, inAugust string }{
		{"qwen", "qwen3-max", "qwen3.6-max-preview", "qwen3.8-max"},
		{"qwen3", "qwen3-max", "qwen3.6-max-preview", "qwen3.8-max"},
		{"qwen3-coder", "qwen3-coder-plus", "qwen3.6-max-preview", "qwen3.8-max"},
		{"qwen3-vl", "qwen3-vl-plus", "qwen3.6-max-preview", "qwen3.8-max"},
		{"qwq", "qwq-32b", "qwen3.6-max-preview", "qwen3.8-max"},
		{"gpt-3.5-turbo", "qwen-turbo-2025-02-11", "qwen3.6-max-preview", "qwen3.8-max"},
		{"gpt-4", "qwen-plus-2025-09-11", "qwen3.6-plus", "qwen3.7-plus"},
		{"GPT-4", "qwen-plus-2025-09-11", "qwen3.6-plus", "qwen3.7-plus"},
	}
	for _, tt := range tests {
		for _, at := range []struct {
			name string
			ids  []string
			want string
		}{
			{"2025", models2025, tt.in2025}, {"April 2026", models2026April, tt.inApril}, {"August 2026", models2026August, tt.inAugust},
		} {
			t.Run("MO-10 "+tt.name+" in "+at.name, func(t *testing.T) {
				res := mustResolve(t, modelsNamed(at.ids...), nil, tt.name)
				if res.Model.ID != at.want || res.Thinking != thinkingDefault {
					t.Errorf("got %q, thinking %d; want %q", res.Model.ID, res.Thinking, at.want)
				}
				target := tt.in2025
				if gone := at.want != target; res.Substitute != gone || gone && res.Wanted != target || !gone && res.Wanted != "" {
					t.Errorf("substitute %v for %q, want %v for %q", res.Substitute, res.Wanted, gone, target)
				}
			})
		}
	}
}

func TestResolveOrder(t *testing.T) {
	ids := []string{"qwen3-max", "Qwen3.7-Plus", "qwen3.7-plus", "gpt-4", "deep-thinking", "Quick-Fast", "org/model:free"}
	owner := map[string]string{
		"gpt-4o":       "qwen3.7-plus",
		"qwen3-max":    "qwen3.7-plus", // hides a model
		"qwen":         "gpt-4",        // hides a built-in alias
		"mine":         "qwen3-coder",  // to a built-in alias
		"think":        "qwen3.7-plus-thinking",
		"loop":         "loop2",
		"loop2":        "loop",
		"dead":         "qwen9",
		"deep":         "dead-thinking",
		"Case":         "QWEN3-MAX",
		"name/with:%2": "org/model:free",
	}
	tests := []struct {
		name, want string // want is empty if the name is not found
		thinking   thinkingMode
	}{
		{"gpt-4o", "qwen3.7-plus", thinkingDefault},
		{"GPT-4o", "", thinkingDefault},
		{"qwen3-max", "qwen3.7-plus", thinkingDefault},
		{"QWEN3-MAX", "qwen3-max", thinkingDefault},
		{"Case", "qwen3-max", thinkingDefault},
		{"qwen", "gpt-4", thinkingDefault},
		{"qwen3", "qwen3-max", thinkingDefault},
		{"mine", "qwen3-max", thinkingDefault},
		{"loop", "", thinkingDefault},
		{"dead", "", thinkingDefault},
		{"deep", "", thinkingDefault},

		{"gpt-4", "gpt-4", thinkingDefault}, // a model of the site before the built-in alias
		{"Qwen3.7-Plus", "Qwen3.7-Plus", thinkingDefault},
		{"qwen3.7-plus", "qwen3.7-plus", thinkingDefault},
		{"QWEN3.7-PLUS", "Qwen3.7-Plus", thinkingDefault},
		{"org/model:free", "org/model:free", thinkingDefault},
		{"name/with:%2", "org/model:free", thinkingDefault},

		{"qwen3.7-plus-thinking", "qwen3.7-plus", thinkingOn},
		{"qwen3.7-plus-fast", "qwen3.7-plus", thinkingOff},
		{"Qwen3.7-Plus-THINKING", "Qwen3.7-Plus", thinkingOn},
		{"gpt-4o-thinking", "qwen3.7-plus", thinkingOn},
		{"qwen3-coder-fast", "qwen3-max", thinkingOff},
		{"think", "qwen3.7-plus", thinkingOn},
		{"think-fast", "qwen3.7-plus", thinkingOff},
		{"dead-thinking", "", thinkingDefault},
		{"deep-thinking", "deep-thinking", thinkingDefault}, // the whole id before the ending
		{"deep-thinking-fast", "deep-thinking", thinkingOff},
		{"quick-fast", "Quick-Fast", thinkingDefault},
		{"quick-thinking", "", thinkingDefault},

		{"qwen3.7-plus-thinking-fast", "", thinkingDefault}, // one ending only
		{"qwen3.7-plus-thinking-", "", thinkingDefault},
		{"qwen3.7-plus-no-thinking", "", thinkingDefault},
		{"qwen3.7-thinking-plus", "", thinkingDefault},
		{"-thinking", "", thinkingDefault},
		{"thinking", "", thinkingDefault},
		{"", "", thinkingDefault},
		{"qwen9", "", thinkingDefault},
	}
	models := modelsNamed(ids...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, ok := resolve(models, owner, tt.name)
			if ok != (tt.want != "") || res.Model.ID != tt.want || res.Thinking != tt.thinking {
				t.Errorf("got %q, thinking %d, %v; want %q, thinking %d", res.Model.ID, res.Thinking, ok, tt.want, tt.thinking)
			}
		})
	}
}

// Without a list, nothing is known that could refuse a name.
func TestResolveJ15WithoutList(t *testing.T) {
	owner := map[string]string{"gpt-4o": "qwen3.7-plus", "smart": "qwen3.8-max-thinking", "mine": "qwq"}
	tests := []struct {
		name, want string
		thinking   thinkingMode
	}{
		{"qwen5-ultra", "qwen5-ultra", thinkingDefault},
		{"Qwen5-Ultra-thinking", "Qwen5-Ultra", thinkingOn},
		{"qwen5-ultra-fast", "qwen5-ultra", thinkingOff},
		{"org/model:free", "org/model:free", thinkingDefault},
		{"gpt-4o", "qwen3.7-plus", thinkingDefault},
		{"gpt-4o-fast", "qwen3.7-plus", thinkingOff},
		{"smart", "qwen3.8-max", thinkingOn},
		{"mine", "qwq-32b", thinkingDefault},
		{"qwen", "qwen3-max", thinkingDefault},
		{"gpt-3.5-turbo", "qwen-turbo-2025-02-11", thinkingDefault},
		{"gpt-4-thinking", "qwen-plus-2025-09-11", thinkingOn},
		{"-thinking", "-thinking", thinkingDefault},
	}
	for _, tt := range tests {
		t.Run("J15 "+tt.name, func(t *testing.T) {
			res := mustResolve(t, nil, owner, tt.name)
			if res.Model.ID != tt.want || res.Thinking != tt.thinking || res.Substitute {
				t.Errorf("got %+v, want %q, thinking %d", res, tt.want, tt.thinking)
			}
		})
	}
	if res, ok := resolve(nil, owner, ""); ok {
		t.Errorf("no name at all resolves to %+v", res)
	}
}

func TestResolveTextModelsOnly(t *testing.T) {
	models := []qwen.Model{
		{ID: "qwen9-max", ChatTypes: []string{"t2i", "t2v"}},
		{ID: "QWEN3-MAX", ChatTypes: []string{"t2i"}},
		{ID: "qwen-plain"},
		{ID: "qwen3-plus", ChatTypes: []string{"search", "t2t"}},
	}
	for name, want := range map[string]string{
		"qwen9-max": "", "QWEN3-MAX": "", "qwen3-max": "", "qwen": "qwen3-plus", "qwen-plain": "qwen-plain", "qwen3-plus": "qwen3-plus",
	} {
		t.Run(name, func(t *testing.T) {
			res, ok := resolve(models, nil, name)
			if ok != (want != "") || res.Model.ID != want {
				t.Errorf("got %q, %v; want %q", res.Model.ID, ok, want)
			}
		})
	}
	if res, ok := resolve(models[:2], nil, "qwen"); ok {
		t.Errorf("without any text model qwen resolves to %q", res.Model.ID)
	}
}

func TestBestOf(t *testing.T) {
	sees := func(id string) qwen.Model { return qwen.Model{ID: id, Vision: true} }
	thinks := func(id string) qwen.Model { return qwen.Model{ID: id, Thinking: true} }
	tests := []struct {
		name   string
		kind   modelKind
		models []qwen.Model
		want   string
	}{
		{"flagship: max before plus", kindFlagship, modelsNamed("qwen3.9-plus", "qwen3.5-max"), "qwen3.5-max"},
		{"flagship: plus before others", kindFlagship, modelsNamed("qwen3.9-27b", "qwen3.5-plus"), "qwen3.5-plus"},
		{"flagship: the rest by version", kindFlagship, modelsNamed("qwen3.5-27b", "qwen3.6-27b"), "qwen3.6-27b"},
		{"flagship: no specialists", kindFlagship, modelsNamed("qwen3.9-vl-max", "qwen3.9-omni-plus", "qwen3-27b"), "qwen3-27b"},
		{"flagship: specialists if there is nothing else", kindFlagship, modelsNamed("qwen3-vl-max", "qwen3.5-omni-plus"), "qwen3.5-omni-plus"},
		{"flagship: 3.10 above 3.9", kindFlagship, modelsNamed("qwen3.9-max", "qwen3.10-max"), "qwen3.10-max"},
		{"flagship: a version above latest", kindFlagship, modelsNamed("qwen-max-latest", "qwen3-max"), "qwen3-max"},
		{"flagship: final before preview", kindFlagship, modelsNamed("qwen3.9-max-preview", "qwen3.9-max"), "qwen3.9-max"},
		{"flagship: newer preview before final", kindFlagship, modelsNamed("qwen3.9-max", "qwen4-max-preview"), "qwen4-max-preview"},
		{"flagship: then the site's order", kindFlagship, modelsNamed("qwen3-max-b", "qwen3-max-a"), "qwen3-max-b"},
		{"flagship: family in front", kindFlagship, modelsNamed("Qwen/Qwen3.7-Max", "max/qwen9-27b"), "Qwen/Qwen3.7-Max"},
		{"flagship: whole words", kindFlagship, modelsNamed("qwen3-maximal", "qwen2-plus"), "qwen2-plus"},
		{"plus: plus only", kindPlus, modelsNamed("qwen3.9-max", "qwen3.5-plus", "qwen3.6-plus"), "qwen3.6-plus"},
		{"plus: no specialists", kindPlus, modelsNamed("qwen3.9-max", "qwen3-coder-plus"), "qwen3.9-max"},
		{"coder: by version", kindCoder, modelsNamed("qwen3.9-max", "qwen3-coder-30b", "qwen3.5-Coder-Flash"), "qwen3.5-Coder-Flash"},
		{"coder: else the flagship", kindCoder, modelsNamed("qwen3.9-plus", "qwen3.7-max"), "qwen3.7-max"},
		{"vision: vl before what sees", kindVision, append(modelsNamed("qwen2.5-vl-32b"), sees("qwen3.9-max")), "qwen2.5-vl-32b"},
		{"vision: what sees", kindVision, append(modelsNamed("qwen3.9-max"), sees("qwen3.5-plus"), sees("qwen3.6-plus")), "qwen3.6-plus"},
		{"vision: general models first", kindVision, []qwen.Model{sees("qwen3.9-omni"), sees("qwen3.5-plus")}, "qwen3.5-plus"},
		{"vision: else what there is", kindVision, append(modelsNamed("qwen3.9-max"), sees("qwen3.5-omni")), "qwen3.5-omni"},
		{"vision: else the flagship", kindVision, modelsNamed("qwen3.9-plus", "qwen3.7-max"), "qwen3.7-max"},
		{"reasoning: qwq first", kindReasoning, append(modelsNamed("qwq-plus", "qwen3-30b-thinking"), thinks("qwen3.9-max")), "qwq-plus"},
		{"reasoning: then named so", kindReasoning, append(modelsNamed("qwen3-30b-a3b-thinking-2507"), thinks("qwen3.9-max")), "qwen3-30b-a3b-thinking-2507"},
		{"reasoning: then what thinks", kindReasoning, append(modelsNamed("qwen3.9-max"), thinks("qwen3.9-omni"), thinks("qwen3.5-plus")), "qwen3.5-plus"},
		{"reasoning: what always thinks", kindReasoning, append(modelsNamed("qwen3.9-max"), qwen.Model{ID: "qwen3.5-27b", AlwaysThinks: true}), "qwen3.5-27b"},
		{"reasoning: else the flagship", kindReasoning, modelsNamed("qwen3.9-plus", "qwen3.7-max"), "qwen3.7-max"},
		{"fast: by version", kindFast, modelsNamed("qwen2.5-turbo", "qwen3.9-max", "qwen3.5-flash"), "qwen3.5-flash"},
		{"fast: general models first", kindFast, modelsNamed("qwen3.9-omni-flash", "qwen2.5-turbo"), "qwen2.5-turbo"},
		{"fast: else what there is", kindFast, modelsNamed("qwen3.9-max", "qwen3.5-omni-flash"), "qwen3.5-omni-flash"},
		{"fast: else the flagship", kindFast, modelsNamed("qwen3.9-plus", "qwen3.7-max"), "qwen3.7-max"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := bestOf(tt.models, tt.kind); !ok || got.ID != tt.want {
				t.Errorf("got %q, %v; want %q", got.ID, ok, tt.want)
			}
		})
	}
	if m, ok := bestOf(nil, kindCoder); ok {
		t.Errorf("the best of no models is %q", m.ID)
	}
}

func TestVersionOf(t *testing.T) {
	tests := []struct{ id, want string }{
		{"qwen3.7-plus", "3.7"},
		{"qwen3-max", "3"},
		{"qwen3-235b-a22b-instruct-2507", "3"},
		{"qwen2.5-14b-instruct-1m", "2.5"},
		{"qwen2.5.1-max", "2.5.1"},
		{"qwen-plus-2025-09-11", ""},
		{"qvq-72b-preview-0310", ""},
		{"qwq-32b", ""},
		{"qwen-max-latest", ""},
		{"qwen3.-max", ""},
		{"qwen3..7-max", ""},
		{"tongyi-qwen4-max", "4"},
		{"", ""},
	}
	for _, tt := range tests {
		t.Run(tt.id, func(t *testing.T) {
			if got := strings.Join(idWords(strings.Split(tt.id, "-")).version(), "."); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCompareVersions(t *testing.T) {
	ascending := []string{"", "0.5", "2", "2.5", "3", "3.0.1", "3.7", "3.9", "3.10", "3.10.1", "4", "10", "18446744073709551616", "18446744073709551617"}
	for i, a := range ascending {
		for j, b := range ascending {
			if got := cmp.Compare(compareVersions(versionParts(a), versionParts(b)), 0); got != cmp.Compare(i, j) {
				t.Errorf("compare %q with %q = %d, want %d", a, b, got, cmp.Compare(i, j))
			}
		}
	}
	for _, equal := range [][2]string{{"3", "3.0"}, {"3.07", "3.7"}, {"03", "3"}} {
		if got := compareVersions(versionParts(equal[0]), versionParts(equal[1])); got != 0 {
			t.Errorf("compare %q with %q = %d, want 0", equal[0], equal[1], got)
		}
	}
}

func versionParts(version string) []string {
	if version == "" {
		return nil
	}
	return strings.Split(version, ".")
}

// Whatever the site calls its models, the best one does not depend on anything
// but the list, is in the list, and every built-in alias has one.
func FuzzResolve(f *testing.F) {
	f.Add("qwen3-max qwen3.7-plus qwen3-vl", "gpt-4o", "qwen3.7-plus-thinking", "gpt-4o-fast")
	f.Add("qwen3.6-max-preview Qwen/Qwen3.6:free", "qwen", "qwen", "QWEN-Thinking")
	f.Add("-thinking thinking-thinking x-fast", "-fast", "", "-thinking")
	f.Add("qwen99999999999999999999.1 qwen3..1 \xff\xfe", "\x00", "é", "É-fast")
	f.Add("", "a", "b", "c-thinking")
	f.Fuzz(func(t *testing.T, ids, alias, target, name string) {
		ids = ids[:min(len(ids), 200)]
		models := modelsNamed(strings.Fields(ids)...)
		owner := map[string]string{alias: target}
		first, ok := resolve(models, owner, name)
		if again, okAgain := resolve(slices.Clone(models), owner, name); ok != okAgain || first.Model.ID != again.Model.ID {
			t.Fatalf("%q resolves to %q, then to %q", name, first.Model.ID, again.Model.ID)
		}
		if ok && len(models) > 0 && !slices.Contains(idsOf(models), first.Model.ID) {
			t.Errorf("%q resolves to %q, which is not in the list", name, first.Model.ID)
		}
		if !ok && (first.Model.ID != "" || first.Substitute || first.Thinking != thinkingDefault) {
			t.Errorf("%q is not found, but comes with %+v", name, first)
		}
		for _, builtin := range builtinAliases {
			mustResolve(t, models, nil, builtin.name)
		}
		for _, m := range models {
			if got := mustResolve(t, models, nil, m.ID); got.Model.ID != m.ID || got.Thinking != thinkingDefault {
				t.Errorf("the id %q resolves to %q", m.ID, got.Model.ID)
			}
		}
	})
}
