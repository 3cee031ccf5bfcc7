package caddyqwen

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
)

const composeService = "caddy-qwen"

// hardCookies are cookies as browsers have them, with what readers of .env files
// take for something else: $ (in those of an analytics service), %, =, ; and quotes.
const hardCookies = `cna=a+b/c==; _ga_1=GS2.1.s1$o1$g0$t17$l0; p=%7B%22a%22%3A1%7D; q="quoted"; ssxmod=${HOME}; token=canary.jwt.token; tail=x=`

// The library leaves this format to Docker Compose, which takes lines as they are.
func init() {
	dotenv.RegisterFormat("raw", func(r io.Reader, _ string, vars map[string]string, _ func(string) (string, bool)) error {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if name, value, found := strings.Cut(lines.Text(), "="); found && !strings.HasPrefix(name, "#") {
				vars[name] = value
			}
		}
		return lines.Err()
	})
}

// mustCompose reads a compose.yaml with the library of Docker Compose, which
// checks it against the schema.
func mustCompose(t *testing.T, text, env string) types.ServiceConfig {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "compose.yaml")
	mustWriteFile(t, path, text, 0o600)
	if env != "" {
		mustWriteFile(t, filepath.Join(dir, ".env"), env, 0o600)
	}
	options, err := cli.NewProjectOptions([]string{path}, cli.WithWorkingDirectory(dir), cli.WithEnvFiles(), cli.WithDotEnv, cli.WithName("test"))
	must(t, err)
	project, err := options.LoadProject(context.Background())
	must(t, err)
	if len(project.Services) != 1 || len(project.Volumes) != 1 {
		t.Fatalf("%d services and %d volumes, want one of each", len(project.Services), len(project.Volumes))
	}
	service, err := project.GetService(composeService)
	must(t, err)
	return service
}

func mustReadCompose(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("compose.yaml")
	must(t, err)
	return string(text)
}

func TestComposeIsHardened(t *testing.T) {
	s := mustCompose(t, mustReadCompose(t), "")
	for what, ok := range map[string]bool{
		"restart":             s.Restart == "unless-stopped",
		"a read-only root":    s.ReadOnly,
		"temporary files":     slices.Equal(s.Tmpfs, []string{"/tmp", "/config"}),
		"no capabilities":     slices.Equal(s.CapDrop, []string{"ALL"}) && len(s.CapAdd) == 0,
		"no new privileges":   slices.Contains(s.SecurityOpt, "no-new-privileges:true"),
		"one port, loopback":  len(s.Ports) == 1 && s.Ports[0].HostIP == "127.0.0.1" && s.Ports[0].Target == 8080 && s.Ports[0].Published == "8080",
		"a named volume":      len(s.Volumes) == 1 && s.Volumes[0].Type == types.VolumeTypeVolume && s.Volumes[0].Target == "/data",
		"bounded logs":        s.Logging.Options["max-size"] == "10m" && s.Logging.Options["max-file"] == "3",
		"time to stop":        s.StopGracePeriod != nil && time.Duration(*s.StopGracePeriod) > gracePeriod(t, imageCaddyfile),
		"nothing without env": len(s.Environment) == 0,
	} {
		if !ok {
			t.Errorf("not as it should be: %s: %+v", what, s)
		}
	}
	if want := append([]string{"CMD"}, healthCommand(t, mustReadDockerfile(t))...); !slices.Equal(s.HealthCheck.Test, want) {
		t.Errorf("the health check is %q, and that of the Dockerfile %q", s.HealthCheck.Test, want)
	}
}

var gracePattern = regexp.MustCompile(`(?m)^\tgrace_period (\S+)$`)

// gracePeriod returns how long the Caddy of a Caddyfile may take to stop.
func gracePeriod(t *testing.T, path string) time.Duration {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	m := gracePattern.FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s has no grace_period", path)
	}
	period, err := time.ParseDuration(string(m[1]))
	must(t, err)
	return period
}

// TestComposeEnvironment checks that the .env of the service arrives as it is.
func TestComposeEnvironment(t *testing.T) {
	s := mustCompose(t, mustReadCompose(t), "# comment\nQWEN_COOKIES="+hardCookies+"\nQWEN_AUTH_TOKEN=a.b.c\nVALID_TOKENS=[\"sk-1\",\"sk-2\"]\n")
	for name, want := range map[string]string{"QWEN_COOKIES": hardCookies, "QWEN_AUTH_TOKEN": "a.b.c", "VALID_TOKENS": `["sk-1","sk-2"]`} {
		if got := s.Environment[name]; got == nil || *got != want {
			t.Errorf("%s is %v, want %s", name, got, want)
		}
	}
}

// TestComposePublic checks the variant in the comments.
func TestComposePublic(t *testing.T) {
	text := regexp.MustCompile(`(?m)^( +)# (environment:|sysctls:|  QWEN_|  net\.|- ")`).ReplaceAllString(mustReadCompose(t), "$1$2")
	s := mustCompose(t, text, "")
	var published []string
	for _, port := range s.Ports {
		published = append(published, port.Published+"/"+port.Protocol)
	}
	if want := []string{"8080/tcp", "80/tcp", "443/tcp", "443/udp"}; !slices.Equal(published, want) {
		t.Errorf("the ports are %q, want %q", published, want)
	}
	if domain := s.Environment["QWEN_DOMAIN"]; domain == nil || *domain != "ai.example.com" || s.Sysctls["net.ipv4.ip_unprivileged_port_start"] != "0" {
		t.Errorf("the domain is %v, the settings are %v", domain, s.Sysctls)
	}
	if !strings.Contains(mustReadCaddyfile(t), "{$QWEN_DOMAIN}") {
		t.Error("the Caddyfile of the image does not use the variable")
	}
}

func mustReadCaddyfile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(imageCaddyfile)
	must(t, err)
	return string(text)
}
