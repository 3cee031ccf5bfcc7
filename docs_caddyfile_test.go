package caddyqwen

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
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
		want.PublicModels, want.STSEndpoint = &on, &on
		if !reflect.DeepEqual(mustTransport(t, got.TransportRaw), mustTransport(t, json.RawMessage(defaultTransport))) {
			t.Errorf("%s: the transport is %s, and by default %s", path, got.TransportRaw, defaultTransport)
		}
		if !reflect.DeepEqual(mustDefaults(t, mustSQLite(t, got.SessionsRaw)), mustDefaults(t, new(SQLiteSessions))) {
			t.Errorf("%s: the sessions are %s, and not those by default", path, got.SessionsRaw)
		}
		got.TransportRaw, got.SessionsRaw = nil, nil
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

// mustSQLite returns the store of a configuration, which has to be a file.
func mustSQLite(t *testing.T, raw json.RawMessage) *SQLiteSessions {
	t.Helper()
	var config struct {
		Store string
		SQLiteSessions
	}
	if err := json.Unmarshal(raw, &config); err != nil || config.Store != "sqlite" {
		t.Fatalf("the sessions %s are no file: %v", raw, err)
	}
	return &config.SQLiteSessions
}

// mustDefaults fills in the defaults.
func mustDefaults(t *testing.T, s *SQLiteSessions) *SQLiteSessions {
	t.Helper()
	if err := s.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	return s
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
	known = append(known, nested(t, "account")...)
	known = append(known, nested(t, "sessions sqlite")...)
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

// nested returns what may stand in the block of a subdirective: what the error
// for anything else says.
func nested(t *testing.T, subdirective string) []string {
	t.Helper()
	_, err := unmarshalBlock(subdirective + " {\nanything_else\n}")
	if err == nil {
		t.Fatalf("%s takes everything", subdirective)
	}
	_, list, found := strings.Cut(err.Error(), "known are: ")
	list, _, ends := strings.Cut(list, ", at ")
	if !found || !ends {
		t.Fatalf("%s: the error does not say what may be in the block: %v", subdirective, err)
	}
	return strings.Split(list, ", ")
}

func TestDocsDefaults(t *testing.T) {
	_, defaults := subdirectiveTable(t, readmes[0])
	lines := []string{"sessions " + defaults["sessions"] + " {"}
	inSessions := nested(t, "sessions sqlite")
	for _, name := range inSessions {
		lines = append(lines, name+" "+defaults[name])
	}
	lines = append(lines, "}")
	for name, value := range defaults {
		if value != "" && !strings.HasPrefix(value, "{") && name != "transport" && name != "sessions" && !slices.Contains(inSessions, name) {
			lines = append(lines, name+" "+value)
		}
	}
	got, err := unmarshalBlock(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	stored := *mustSQLite(t, got.SessionsRaw)
	if applied := *mustDefaults(t, new(SQLiteSessions)); stored.TTL != applied.TTL || stored.MaxRows != applied.MaxRows || stored.Path != "" {
		t.Errorf("documented are the sessions %s, and true are %+v", got.SessionsRaw, applied)
	}
	got.SessionsRaw = nil
	var want Handler
	want.setDefaults()
	on := true
	want.PublicModels, want.STSEndpoint = &on, &on
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("documented are the defaults\n%+v, and true are\n%+v", *got, want)
	}
}
