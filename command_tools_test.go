package caddyqwen

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// toolbox is where the commands that use a configuration are tested: an emulated site
// with a Caddyfile for it, and a data directory of its own.
type toolbox struct {
	t      *testing.T
	site   *emulator.Server
	config string // the path of the Caddyfile
	data   string
}

// mustToolbox starts a site. Lines go into the qwen block, besides the addresses.
func mustToolbox(t *testing.T, o emulator.Options, lines string) *toolbox {
	t.Helper()
	site, err := emulator.Start(o)
	must(t, err)
	t.Cleanup(site.Close)
	b := &toolbox{t: t, site: site, data: t.TempDir()}
	t.Setenv("XDG_DATA_HOME", b.data)
	t.Setenv("NO_PROXY", "*")
	t.Setenv("CANARY_COOKIES", "ssxmod="+testCookie+"; token="+testToken)
	b.config = filepath.Join(t.TempDir(), "Caddyfile")
	b.configure(lines)
	return b
}

// ownAccount is the account of the tests, without a secret in the configuration.
const ownAccount = "account {\ncookies {env.CANARY_COOKIES}\n}\n"

// configure writes the Caddyfile.
func (b *toolbox) configure(lines string) {
	b.t.Helper()
	addresses := ""
	for name, address := range map[string]string{"base_url": b.site.URL(), "auth_base_url": b.site.URL(), "storage_endpoint": b.site.StorageURL()} {
		if !strings.Contains("\n"+lines, "\n"+name+" ") {
			addresses += name + " " + address + "\n"
		}
	}
	if !strings.Contains("\n"+lines, "\naccount ") {
		addresses += ownAccount
	}
	// The port is one that nobody may open here: the commands open none of a server.
	must(b.t, os.WriteFile(b.config, fmt.Appendf(nil, "{\nadmin off\n}\nhttp://192.0.2.1:1 {\nqwen {\n%s\n%s\n}\n}\n", addresses, lines), 0o600))
}

// run runs `caddy qwen` with the configuration and an input, and checks that nothing
// secret is printed.
func (b *toolbox) run(input string, args ...string) (stdout, stderr string, err error) {
	b.t.Helper()
	if args[0] != "accounts" {
		args = append(args, "--config", b.config)
	}
	return runTool(b.t, strings.NewReader(input), args...)
}

// runTool runs `caddy qwen`, and checks that nothing secret is printed.
func runTool(t *testing.T, input io.Reader, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := &cobra.Command{Use: "caddy", SilenceUsage: true}
	qwen := caddycmd.Commands()["qwen"]
	cmd := &cobra.Command{Use: qwen.Name + " " + qwen.Usage}
	qwen.CobraFunc(cmd)
	root.AddCommand(cmd)
	var out, errOut bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetIn(input)
	root.SetArgs(append([]string{"qwen"}, args...))
	err = root.ExecuteContext(context.Background())
	checkNoSecret(t, out.String()+errOut.String())
	return out.String(), errOut.String(), err
}

func checkNoSecret(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{testKey, testToken, testCookie, testHeader, canaryRefresh} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in the output:\n%s", secret, text)
		}
	}
}

// canaryRefresh is the value of the cookie that buys new access tokens.
const canaryRefresh = "canary-refresh-value"

// mustRunTool is run for a command that has to succeed.
func (b *toolbox) mustRunTool(input string, args ...string) string {
	b.t.Helper()
	stdout, stderr, err := b.run(input, args...)
	if err != nil {
		b.t.Fatalf("%q: %v\n%s%s", args, err, stdout, stderr)
	}
	return stdout
}

func mustUnmarshal[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// toolEnv has the arguments of a process of these tests, toolDataEnv its data
// directory.
const (
	toolEnv     = "CADDY_QWEN_TEST_ARGUMENTS"
	toolDataEnv = "CADDY_QWEN_TEST_DATA"
)

// TestToolProcess is Caddy itself in the processes of the tests of commands.
func TestToolProcess(t *testing.T) {
	var args []string
	if json.Unmarshal([]byte(os.Getenv(toolEnv)), &args) != nil {
		return
	}
	os.Setenv("XDG_DATA_HOME", os.Getenv(toolDataEnv))
	os.Args = append([]string{"caddy", "qwen"}, args...)
	caddycmd.Main() // returns only if all is well
	os.Exit(0)
}

// process returns `caddy qwen` with the configuration as a process of its own.
func (b *toolbox) process(args ...string) *exec.Cmd {
	if args[0] != "accounts" {
		args = append(args, "--config", b.config)
	}
	text, _ := json.Marshal(args)
	cmd := exec.Command(os.Args[0], "-test.run=^TestToolProcess$")
	cmd.Env = append(os.Environ(), toolEnv+"="+string(text), toolDataEnv+"="+b.data, "TMPDIR="+b.t.TempDir())
	return cmd
}
