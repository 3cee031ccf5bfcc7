package caddyqwen

import (
	"slices"
	"strings"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// thinkingMode is what the end of a model's name says about thinking.
type thinkingMode uint8

const (
	thinkingDefault thinkingMode = iota // nothing: the request decides
	thinkingOn                          // `-thinking`
	thinkingOff                         // `-fast`
)

// Endings that any name of a model may have.
const (
	suffixThinking = "-thinking"
	suffixFast     = "-fast"
)

// resolution is the model that a name stands for.
type resolution struct {
	// Model is the model of the site. If the site's list is not available, it
	// has an ID and nothing else.
	Model qwen.Model

	// Thinking is what the end of the name asks for, whether or not the model
	// can do it.
	Thinking thinkingMode

	// Substitute tells that the name is a built-in alias whose model, Wanted,
	// is no longer there, so that Model takes its place.
	Substitute bool
	Wanted     string
}

// builtinAlias is a short name that works without configuration, for the sake
// of clients with fixed model names.
type builtinAlias struct {
	name   string
	target string    // the model it stands for
	kind   modelKind // of the model that it stands for when target is gone
}

var builtinAliases = [...]builtinAlias{
	{"qwen", "qwen3-max", kindFlagship},
	{"qwen3", "qwen3-max", kindFlagship},
	{"qwen3-coder", "qwen3-coder-plus", kindCoder},
	{"qwen3-vl", "qwen3-vl-plus", kindVision},
	{"qwq", "qwq-32b", kindReasoning},
	{"gpt-3.5-turbo", "qwen-turbo-2025-02-11", kindFast},
	{"gpt-4", "qwen-plus-2025-09-11", kindPlus},
}

// resolve returns the model that a name stands for. What comes first of these
// wins: an alias of the owner, the id of a model, such an id in other case, a
// built-in alias. If it is none of them, one ending `-thinking` or `-fast` is
// taken off and the rest tried again; the ending then overrides one that the
// alias's own target has.
//
// The target of an owner's alias may be whatever name works without the owner's
// aliases. If it does not exist, neither does the alias, so that a request never
// reaches a model which the owner did not choose. Built-in aliases resolve as
// long as there is any model.
//
// Without models, which means that the site's list is not available, every name
// resolves: aliases to their targets and all else to itself.
func resolve(models []qwen.Model, owner map[string]string, name string) (resolution, bool) {
	if res, ok, known := resolveWhole(models, owner, name); known {
		return res, ok
	}
	base, thinking := cutSuffix(name)
	if thinking != thinkingDefault {
		if res, ok, _ := resolveWhole(models, owner, base); ok {
			res.Thinking = thinking
			return res, true
		}
	}
	if len(models) > 0 || base == "" {
		return resolution{}, false
	}
	return resolution{Model: qwen.Model{ID: base}, Thinking: thinking}, true
}

// resolveWhole is resolve for a name without an ending. If known is false, the
// name as a whole means nothing.
func resolveWhole(models []qwen.Model, owner map[string]string, name string) (res resolution, ok, known bool) {
	if target, isAlias := owner[name]; isAlias {
		res, ok = resolve(models, nil, target)
		return res, ok, true
	}
	if m, found := findID(models, name); found {
		return resolution{Model: m}, true, true
	}
	if alias, found := findBuiltin(name); found {
		res, ok = alias.resolve(models)
		return res, ok, true
	}
	return resolution{}, false, false
}

// cutSuffix takes the ending off a name and tells what it means.
func cutSuffix(name string) (base string, thinking thinkingMode) {
	if base, ok := cutFold(name, suffixThinking); ok {
		return base, thinkingOn
	}
	if base, ok := cutFold(name, suffixFast); ok {
		return base, thinkingOff
	}
	return name, thinkingDefault
}

// cutFold takes an ending, in whatever case, off a name that has more than it.
func cutFold(name, suffix string) (base string, ok bool) {
	at := len(name) - len(suffix)
	if at <= 0 || !strings.EqualFold(name[at:], suffix) {
		return name, false
	}
	return name[:at], true
}

// findID returns the text model with the given id, or else the first one whose
// id differs from it in case only.
func findID(models []qwen.Model, id string) (qwen.Model, bool) {
	exact := func(m qwen.Model) bool { return m.ID == id && textChat(m) }
	folded := func(m qwen.Model) bool { return strings.EqualFold(m.ID, id) && textChat(m) }
	for _, matches := range []func(qwen.Model) bool{exact, folded} {
		if i := slices.IndexFunc(models, matches); i >= 0 {
			return models[i], true
		}
	}
	return qwen.Model{}, false
}

// textChat reports whether a model answers in text. Some only draw or speak. One
// of which the site says nothing is taken for one that does.
func textChat(m qwen.Model) bool {
	return len(m.ChatTypes) == 0 || slices.Contains(m.ChatTypes, "t2t")
}

// findBuiltin returns the built-in alias of a name in whatever case.
func findBuiltin(name string) (builtinAlias, bool) {
	for _, alias := range builtinAliases {
		if strings.EqualFold(alias.name, name) {
			return alias, true
		}
	}
	return builtinAlias{}, false
}

// resolve returns the target, or what takes its place.
func (a builtinAlias) resolve(models []qwen.Model) (resolution, bool) {
	if len(models) == 0 {
		return resolution{Model: qwen.Model{ID: a.target}}, true
	}
	if m, ok := findID(models, a.target); ok {
		return resolution{Model: m}, true
	}
	m, ok := bestOf(models, a.kind)
	if !ok {
		return resolution{}, false
	}
	return resolution{Model: m, Substitute: true, Wanted: a.target}, true
}

// modelKind is what a built-in alias wants a model for.
type modelKind uint8

const (
	kindFlagship modelKind = iota
	kindPlus               // the step below the flagship
	kindCoder
	kindVision
	kindReasoning
	kindFast
)

// bestOf returns the best text model of a kind, or the best flagship if there
// is none of that kind. The order is that of [grade.better]; among equals the
// one that the site lists first wins. Only a list without text models has none.
func bestOf(models []qwen.Model, kind modelKind) (best qwen.Model, found bool) {
	var top grade
	for _, m := range models {
		g, ok := gradeOf(m, kind)
		if ok && textChat(m) && (!found || g.better(top)) {
			best, top, found = m, g, true
		}
	}
	if !found && kind != kindFlagship {
		return bestOf(models, kindFlagship)
	}
	return best, found
}

// grade tells how well a model fits a kind.
type grade struct {
	class   int      // of rank; the smaller the better
	version []string // numbers as in 3.10, nil if the id has none
	preview bool
}

// better reports whether g fits better than o: by its class, then by the higher
// version, then as the one that is not a preview.
func (g grade) better(o grade) bool {
	if g.class != o.class {
		return g.class < o.class
	}
	if c := compareVersions(g.version, o.version); c != 0 {
		return c > 0
	}
	return !g.preview && o.preview
}

// gradeOf grades a model; ok is false if it is not of that kind.
func gradeOf(m qwen.Model, kind modelKind) (g grade, ok bool) {
	id := strings.ToLower(m.ID[strings.LastIndexByte(m.ID, '/')+1:])
	words := idWords(strings.FieldsFunc(id, func(r rune) bool { return strings.ContainsRune("-_: ", r) }))
	g = grade{
		class:   classOf(m, kind, words),
		version: words.version(),
		preview: words.have("preview", "beta", "exp"),
	}
	return g, g.class > 0
}

// classOf returns the class of a model among those of a kind, 1 being the best,
// or 0 if it is not of that kind. What the site says about a model counts less
// than a word in its id: nearly all models can see and think by now.
func classOf(m qwen.Model, kind modelKind, words idWords) int {
	special := words.have("coder", "vl", "qvq", "omni", "audio", "math", "mt", "ocr", "image", "video")
	switch kind {
	case kindFlagship:
		return firstTrue(!special && words.have("max"), !special && words.have("plus"), !special, true)
	case kindPlus:
		return firstTrue(!special && words.have("plus"))
	case kindCoder:
		return firstTrue(words.have("coder"))
	case kindVision:
		return firstTrue(words.have("vl"), m.Vision && !special, m.Vision)
	case kindReasoning:
		thinks := m.Thinking || m.AlwaysThinks
		return firstTrue(words.have("qwq"), words.have("thinking"), thinks && !special, thinks)
	case kindFast:
		quick := words.have("turbo", "flash", "lite", "mini", "fast")
		return firstTrue(quick && !special, quick)
	}
	return 0
}

// firstTrue returns the number, counted from 1, of the first condition that
// holds, or 0.
func firstTrue(conditions ...bool) int {
	return slices.Index(conditions, true) + 1
}

// idWords are the parts of a model's id in lower case.
type idWords []string

// have reports whether one of the given words is there.
func (w idWords) have(wanted ...string) bool {
	return slices.ContainsFunc(w, func(word string) bool { return slices.Contains(wanted, word) })
}

// version returns the numbers of the first word that is letters followed by a
// version, such as `qwen3.10`. Sizes (`32b`) and dates are none.
func (w idWords) version() []string {
	for _, word := range w {
		number := strings.TrimLeft(word, "abcdefghijklmnopqrstuvwxyz")
		parts := strings.Split(number, ".")
		if number != word && !slices.ContainsFunc(parts, notDigits) {
			return parts
		}
	}
	return nil
}

// notDigits reports whether s is anything but decimal digits.
func notDigits(s string) bool {
	return s == "" || strings.Trim(s, "0123456789") != ""
}

// compareVersions compares number by number, as numbers: 3.10 is above 3.9, and
// 3 is equal to 3.0. No version is below all others.
func compareVersions(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if c := compareNumbers(versionPart(a, i), versionPart(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

// versionPart returns a number of a version without leading zeros, so that 0
// and one that is not there are both empty.
func versionPart(version []string, i int) string {
	if i >= len(version) {
		return ""
	}
	return strings.TrimLeft(version[i], "0")
}

// compareNumbers compares decimal numbers of any length without leading zeros.
func compareNumbers(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
