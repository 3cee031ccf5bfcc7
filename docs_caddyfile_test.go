package caddyqwen

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func TestDocsCaddyfilesAdapt(t *testing.T) {
	total := 0
	for _, d := range mustReadDocuments(t) {
		for _, text := range d.in("caddyfile") {
			total++
			if formatted := string(caddyfile.Format([]byte(text))); formatted != text {
				t.Errorf("%s: `caddy fmt` would make this of a Caddyfile:\n%s", d.path, formatted)
			}
			if _, warnings, err := adaptText(text); err != nil || len(warnings) > 0 {
				t.Errorf("%s: %v, warnings %q, in\n%s", d.path, err, warnings, text)
			}
		}
	}
	if total == 0 {
		t.Error("no document has a Caddyfile")
	}
}

// TestDocsCompleteCaddyfile checks that the long Caddyfile says what applies
// without it.
func TestDocsCompleteCaddyfile(t *testing.T) {
	for _, path := range readmes {
		text := mustReadDocument(t, path).in("caddyfile")[0]
		config, _, err := adaptText(text)
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if err := json.Unmarshal([]byte(config), &tree); err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(findHandler(tree))
		if err != nil {
			t.Fatal(err)
		}
		var got, want Handler
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Accounts) == 0 || len(got.APIKeys) == 0 {
			t.Errorf("%s: no account or no key", path)
		}
		want.setDefaults()
		want.Accounts, want.APIKeys = got.Accounts, got.APIKeys
		on := true
		want.PublicModels = &on
		if !reflect.DeepEqual(mustTransport(t, got.TransportRaw), mustTransport(t, json.RawMessage(defaultTransport))) {
			t.Errorf("%s: the transport is %s, and by default %s", path, got.TransportRaw, defaultTransport)
		}
		got.TransportRaw = nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the Caddyfile says\n%+v, and the defaults are\n%+v", path, got, want)
		}
	}
}

// findHandler returns the first object of the qwen handler in a configuration.
func findHandler(tree any) any {
	var children []any
	switch v := tree.(type) {
	case map[string]any:
		if v["handler"] == "qwen" {
			delete(v, "handler")
			return v
		}
		children = slices.Collect(maps.Values(v))
	case []any:
		children = v
	}
	for _, child := range children {
		if found := findHandler(child); found != nil {
			return found
		}
	}
	return nil
}

// mustTransport returns the HTTP transport of a configuration.
func mustTransport(t *testing.T, raw json.RawMessage) (transport reverseproxy.HTTPTransport) {
	t.Helper()
	if err := json.Unmarshal(raw, &transport); err != nil {
		t.Fatal(err)
	}
	return transport
}

// subdirectiveTable returns the table of subdirectives: the code in the first
// cell by name, and the code in the second.
func subdirectiveTable(t *testing.T, path string) (usage, defaults map[string]string) {
	t.Helper()
	head := map[string]string{"README.md": "subdirective", "README.zh-CN.md": "子指令"}[path]
	usage, defaults = map[string]string{}, map[string]string{}
	for _, row := range mustReadDocument(t, path).rows(head) {
		if len(row) != 3 {
			t.Fatalf("%s: %d cells in %q", path, len(row), row)
		}
		name, _, _ := strings.Cut(codes(row[0])[0], " ")
		usage[name] = codes(row[0])[0]
		defaults[name] = strings.Join(codes(row[1]), " ")
	}
	return usage, defaults
}

func TestDocsSubdirectives(t *testing.T) {
	known := slices.Collect(maps.Keys(new(Handler).subdirectives()))
	known = append(known, "cookies", "token", "header") // in account
	slices.Sort(known)
	usage, defaults := subdirectiveTable(t, readmes[0])
	for _, path := range readmes {
		u, d := subdirectiveTable(t, path)
		if got := slices.Sorted(maps.Keys(u)); !slices.Equal(got, known) {
			t.Errorf("%s has the subdirectives\n%q, the parser\n%q", path, got, known)
		}
		if !maps.Equal(u, usage) || !maps.Equal(d, defaults) {
			t.Errorf("the tables of subdirectives of %q differ", readmes)
		}
	}
}

func TestDocsDefaults(t *testing.T) {
	_, defaults := subdirectiveTable(t, readmes[0])
	var lines []string
	for name, value := range defaults {
		if value != "" && !strings.HasPrefix(value, "{") && name != "transport" {
			lines = append(lines, name+" "+value)
		}
	}
	var got, want Handler
	if err := got.UnmarshalCaddyfile(caddyfile.NewTestDispenser("qwen {\n" + strings.Join(lines, "\n") + "\n}")); err != nil {
		t.Fatal(err)
	}
	want.setDefaults()
	on := true
	want.PublicModels = &on
	if !reflect.DeepEqual(got, want) {
		t.Errorf("documented are the defaults\n%+v, and true are\n%+v", got, want)
	}
}
