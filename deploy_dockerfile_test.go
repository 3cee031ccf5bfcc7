package caddyqwen

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// instruction is one of a Dockerfile.
type instruction struct{ name, args string }

// mustReadDockerfile returns the instructions of the Dockerfile.
func mustReadDockerfile(t *testing.T) (list []instruction) {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	must(t, err)
	text = regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAll(text, nil)
	text = regexp.MustCompile(`\\\n\s*`).ReplaceAll(text, nil)
	for line := range strings.Lines(string(text)) {
		if name, args, _ := strings.Cut(strings.TrimSpace(line), " "); name != "" {
			list = append(list, instruction{name, args})
		}
	}
	return list
}

// mustFind returns the arguments of the last instruction of a name.
func mustFind(t *testing.T, list []instruction, name string) string {
	t.Helper()
	for _, i := range slices.Backward(list) {
		if i.name == name {
			return i.args
		}
	}
	t.Fatalf("the Dockerfile has no %s", name)
	return ""
}

// mustExec returns a command in the form that no shell reads.
func mustExec(t *testing.T, args string) (command []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(args), &command); err != nil || len(command) == 0 {
		t.Fatalf("%s: not a list of words: %v", args, err)
	}
	return command
}

// healthCommand returns the command of the health check.
func healthCommand(t *testing.T, list []instruction) []string {
	t.Helper()
	_, command, found := strings.Cut(mustFind(t, list, "HEALTHCHECK"), " CMD ")
	if !found {
		t.Fatal("the health check has no command")
	}
	return mustExec(t, command)
}

func TestDockerfile(t *testing.T) {
	list := mustReadDockerfile(t)
	module, err := os.ReadFile("go.mod")
	must(t, err)
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(module))[1]
	if want := " golang:" + version + "-alpine AS build"; list[0].name != "FROM" || !strings.HasSuffix(list[0].args, want) {
		t.Errorf("it begins with %v, want an image%s, as in go.mod", list[0], want)
	}
	for name, want := range map[string]string{"VOLUME": `["/data"]`, "EXPOSE": "8080", "STOPSIGNAL": "SIGTERM", "USER": "65532:65532"} {
		if got := mustFind(t, list, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	// Caddy answers paths that nobody serves with the status 200, too.
	if health := healthCommand(t, list); health[len(health)-1] != "http://127.0.0.1:8080/health" {
		t.Errorf("the health check asks %s", health[len(health)-1])
	}
	mustExec(t, mustFind(t, list, "ENTRYPOINT"))
	if got := mustFind(t, list, "LABEL"); !strings.Contains(got, `licenses="MIT"`) || !strings.Contains(got, `source="https://github.com/caddy-qwen/caddy-qwen"`) {
		t.Errorf("the labels are %s", got)
	}
}

// mustReadIgnored returns what stays out of the context of a build.
func mustReadIgnored(t *testing.T) *patternmatcher.PatternMatcher {
	t.Helper()
	file, err := os.Open(".dockerignore")
	must(t, err)
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	must(t, err)
	matcher, err := patternmatcher.New(patterns)
	must(t, err)
	return matcher
}

func TestDockerignore(t *testing.T) {
	matcher := mustReadIgnored(t)
	for path, want := range map[string]bool{
		".env": true, ".env.local": true, "deploy/.env": true, "home.local.Caddyfile": true, ".git/config": true, "caddy": true, "harness_test.go": true,
		"oss/oss_test.go": true, "cpu.prof": true, "README.md": true,
		"go.mod": false, "go.sum": false, "module.go": false, "home.html": false, "cmd/caddy/main.go": false, "deploy/Caddyfile": false, "LICENSE": false,
	} {
		if got, err := matcher.MatchesOrParentMatches(path); err != nil || got != want {
			t.Errorf("%s is left out: %v, want %v; %v", path, got, want, err)
		}
	}
}

// TestDockerignoreHasGitignore checks that what may hold a secret, or is large, is
// left out of both.
func TestDockerignoreHasGitignore(t *testing.T) {
	text, err := os.ReadFile(".gitignore")
	must(t, err)
	matcher, seen := mustReadIgnored(t), 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		seen++
		path := strings.ReplaceAll(strings.TrimPrefix(line, "/"), "*", "x")
		if got, err := matcher.MatchesOrParentMatches(path); err != nil || !got {
			t.Errorf(".gitignore has %s, and .dockerignore does not leave out %s: %v", line, path, err)
		}
	}
	if seen == 0 {
		t.Error(".gitignore has no pattern")
	}
}
