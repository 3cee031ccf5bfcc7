package caddyqwen

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	unitPath   = "deploy/caddy-qwen.service"
	unitBinary = "/usr/local/bin/caddy-qwen"

	// highestExposure is what `systemd-analyze security` may come to, of 10. What
	// stays is what a server on the network needs.
	highestExposure = 1.8
)

func mustReadUnit(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(unitPath)
	must(t, err)
	return string(text)
}

// mustAnalyze runs systemd-analyze, without which the test is skipped. .ci/run
// installs it.
func mustAnalyze(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze %s: %v\n%s", args[0], err, out)
	}
	return string(out)
}

// TestUnitVerifies has systemd read the unit.
func TestUnitVerifies(t *testing.T) {
	program, err := os.Executable()
	must(t, err)
	path := filepath.Join(t.TempDir(), filepath.Base(unitPath))
	mustWriteFile(t, path, strings.ReplaceAll(mustReadUnit(t), unitBinary+" ", program+" "), 0o644)
	if out := mustAnalyze(t, "verify", "--man=no", path); out != "" {
		t.Errorf("systemd has to say:\n%s", out)
	}
}

func TestUnitIsHardened(t *testing.T) {
	out := mustAnalyze(t, "security", "--offline=true", "--no-pager", "--threshold=100", unitPath)
	m := regexp.MustCompile(`exposure level for \S+: (\d+\.\d)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure level in\n%s", out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > highestExposure {
		t.Errorf("the exposure level is %s, want at most %v; %v\n%s", m[1], highestExposure, err, out)
	}
}

// settings returns the values of a setting of the unit.
func settings(unit, name string) (values []string) {
	for line := range strings.Lines(unit) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			values = append(values, value)
		}
	}
	return values
}

// TestUnitSettings checks what systemd cannot know.
func TestUnitSettings(t *testing.T) {
	unit := mustReadUnit(t)
	stop, err := time.ParseDuration(settings(unit, "TimeoutStopSec")[0])
	if grace := gracePeriod(t, "example.Caddyfile"); err != nil || stop <= grace {
		t.Errorf("the service is killed after %v, and its grace_period is %v; %v", stop, grace, err)
	}
	state := "/var/lib/" + settings(unit, "StateDirectory")[0]
	if env := settings(unit, "Environment"); !slices.Contains(env, "XDG_DATA_HOME="+state) {
		t.Errorf("the data directory is not %s: %q", state, env)
	}
	socket := "CADDY_ADMIN=unix//run/" + settings(unit, "RuntimeDirectory")[0] + "/"
	if env := strings.Join(settings(unit, "Environment"), " "); !strings.Contains(env, socket) {
		t.Errorf("the admin endpoint is not at %s: %s", socket, env)
	}
	if got := settings(unit, "Type"); !slices.Equal(got, []string{"notify"}) {
		t.Errorf("Type is %q", got)
	}
}

// deployCommands returns the commands of the documents that need a container
// engine, a running systemd or root.
func deployCommands(t *testing.T) (list []string) {
	t.Helper()
	for _, line := range shellCommands(t) {
		if isDeployCommand(line) {
			list = append(list, line)
		}
	}
	return list
}

func isDeployCommand(line string) bool {
	return strings.HasPrefix(line, "docker ") || strings.HasPrefix(line, "sudo ")
}

// TestDocsDeployCommands checks that each of these commands is one whose work a test
// does in another way: TestImage for the container, with what
// TestDocsMigratingDockerRun compares, and TestUnitInstalled for the service.
func TestDocsDeployCommands(t *testing.T) {
	known := []*regexp.Regexp{
		regexp.MustCompile(`^docker compose up -d --build$`), regexp.MustCompile(`^docker compose exec ` + composeService + ` caddy qwen key$`),
		regexp.MustCompile(`^docker build -t ` + composeService + ` \.$`), regexp.MustCompile(`^docker run -d --name ` + composeService + ` `),
		regexp.MustCompile(`^sudo useradd .* caddy-qwen$`), regexp.MustCompile(`^sudo install -D -m \d+ \S+ \S*/caddy-qwen\S*$`),
		regexp.MustCompile(`^sudo systemctl daemon-reload$`), regexp.MustCompile(`^sudo systemctl enable --now caddy-qwen$`),
		regexp.MustCompile(`^sudo -u caddy-qwen env XDG_DATA_HOME=/var/lib/caddy-qwen caddy-qwen qwen key$`),
	}
	used := make(map[*regexp.Regexp]bool)
	for _, line := range deployCommands(t) {
		i := slices.IndexFunc(known, func(pattern *regexp.Regexp) bool { return pattern.MatchString(line) })
		if i < 0 {
			t.Errorf("no test does the work of %q", line)
			continue
		}
		used[known[i]] = true
	}
	for _, pattern := range known {
		if !used[pattern] {
			t.Errorf("no document has a command like %s", pattern)
		}
	}
}
