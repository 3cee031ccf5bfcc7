//go:build linux

package caddyqwen

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// service is the installed unit, in a directory that stands for the root of the
// file system, and what the service has told systemd.
type service struct {
	t        *testing.T
	root     string
	unit     string // with paths in the directory
	notified chan string
}

// mustInstall does what the README says, with a clone whose Caddy is this test.
func mustInstall(t *testing.T, caddyfile, env string) *service {
	t.Helper()
	clone := t.TempDir()
	mustWriteFile(t, filepath.Join(clone, "caddy"), fmt.Sprintf("#!/bin/sh\n%s=\"caddy $*\" exec %s\n", argsEnv, os.Args[0]), 0o755)
	mustWriteFile(t, filepath.Join(clone, "example.Caddyfile"), caddyfile, 0o644)
	mustWriteFile(t, filepath.Join(clone, ".env"), env, 0o600)
	mustWriteFile(t, filepath.Join(clone, unitPath), mustReadUnit(t), 0o644)
	s := &service{t: t, root: mustShortDir(t), notified: make(chan string, 16)}
	for _, dir := range []string{"var/lib/caddy-qwen", "run/caddy-qwen"} { // which systemd makes
		must(t, os.MkdirAll(filepath.Join(s.root, dir), 0o700))
	}
	for _, line := range deployCommands(t) {
		if command, ok := strings.CutPrefix(line, "sudo install "); ok {
			s.mustRun(clone, "install "+s.inRoot(command))
		}
	}
	text, err := os.ReadFile(filepath.Join(s.root, "etc/systemd/system/caddy-qwen.service"))
	must(t, err)
	s.unit = s.inRoot(string(text))
	return s
}

// inRoot puts the absolute paths of a text into the directory.
func (s *service) inRoot(text string) string {
	for _, before := range []string{" ", "=", "=-", "=unix/"} {
		for _, dir := range []string{"/etc/", "/usr/local/", "/var/", "/run/"} {
			text = strings.ReplaceAll(text, before+dir, before+s.root+dir)
		}
	}
	return text
}

func (s *service) mustRun(dir, command string, env ...string) string {
	s.t.Helper()
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Env = append(cmd.Env, "PATH="+filepath.Join(s.root, "usr/local/bin")+":"+os.Getenv("PATH"))
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s%s", command, err, out, failure.String())
	}
	return string(out)
}

// environment is what systemd gives to the service.
func (s *service) environment() []string {
	s.t.Helper()
	env := append(os.Environ(), settings(s.unit, "Environment")...)
	file, err := os.ReadFile(strings.TrimPrefix(settings(s.unit, "EnvironmentFile")[0], "-"))
	must(s.t, err)
	return append(env, strings.Split(strings.TrimSpace(string(file)), "\n")...)
}

// listen makes the socket at which systemd is told of the state.
func (s *service) listen() (address string) {
	s.t.Helper()
	address = filepath.Join(s.root, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	must(s.t, err)
	ended := make(chan struct{})
	s.t.Cleanup(func() { conn.Close(); <-ended })
	go func() {
		defer close(ended)
		text := make([]byte, 4096)
		for {
			n, err := conn.Read(text)
			if err != nil {
				return
			}
			s.notified <- string(text[:n])
		}
	}()
	return address
}

// told waits until systemd has been told this.
func (s *service) told(want string) {
	s.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case got := <-s.notified:
			if slices.Contains(strings.Split(got, "\n"), want) {
				return
			}
		case <-timeout:
			s.t.Fatalf("systemd was not told %s", want)
		}
	}
}

// TestUnitInstalled installs the service as the README says, and does with it what
// systemd does with its unit.
func TestUnitInstalled(t *testing.T) {
	site, err := emulator.Start(emulator.Options{Tokens: []string{testToken}})
	must(t, err)
	t.Cleanup(site.Close)
	address := mustFreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	must(t, err)
	s := mustInstall(t, emulated(t, mustReadExample(t), site, port), "QWEN_COOKIES="+hardCookies+"\n")
	if info, err := os.Stat(filepath.Join(s.root, "etc/caddy-qwen/env")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secrets: %v, %v", info, err)
	}
	cmd := exec.Command("/bin/sh", "-c", "exec "+settings(s.unit, "ExecStart")[0])
	cmd.Env = append(s.environment(), "NOTIFY_SOCKET="+s.listen())
	caddy := mustServe(t, cmd, "http://"+address)
	s.told("READY=1")

	var key string
	for _, line := range deployCommands(t) {
		if command, ok := strings.CutPrefix(line, "sudo -u "+settings(s.unit, "User")[0]+" "); ok {
			key = strings.TrimSpace(s.mustRun(s.root, s.inRoot(command)))
		}
	}
	if got := caddy.chat(key); got.status != http.StatusOK {
		t.Errorf("status %d: %s, %v", got.status, got.body, got.err)
	}
	s.mustRun("/", settings(s.unit, "ExecReload")[0], settings(s.unit, "Environment")...)
	s.told("RELOADING=1")
	s.told("READY=1")
	if got := caddy.chat(key); got.status != http.StatusOK {
		t.Errorf("after a reload: status %d: %s", got.status, got.body)
	}
	caddy.stop(20 * time.Second)
	s.told("STOPPING=1")
	if _, err := os.Stat(filepath.Join(s.root, "var/lib/caddy-qwen/caddy/qwen/sessions.db")); err != nil {
		t.Errorf("the record of conversations: %v", err)
	}
}

// TestUnitUser checks that the README makes the user of the unit.
func TestUnitUser(t *testing.T) {
	path, err := exec.LookPath("useradd")
	if err != nil || os.Getuid() != 0 {
		t.Skip("this needs root and useradd")
	}
	root := mustShortDir(t)
	for name, text := range map[string]string{"passwd": "root:x:0:0::/root:/bin/sh\n", "group": "root:x:0:\n", "shadow": "root:*:1::::::\n", "gshadow": "root:*::\n"} {
		mustWriteFile(t, filepath.Join(root, "etc", name), text, 0o600)
	}
	for _, line := range deployCommands(t) {
		if args, ok := strings.CutPrefix(line, "sudo useradd "); ok {
			if out, err := exec.Command(path, append([]string{"--prefix", root}, strings.Fields(args)...)...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
	}
	passwd, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	must(t, err)
	group, err := os.ReadFile(filepath.Join(root, "etc/group"))
	must(t, err)
	user := settings(mustReadUnit(t), "User")[0]
	if !strings.Contains(string(passwd), "\n"+user+":x:") || !strings.Contains(string(passwd), ":/var/lib/caddy-qwen:/usr/sbin/nologin\n") || !strings.Contains(string(group), "\n"+settings(mustReadUnit(t), "Group")[0]+":x:") {
		t.Errorf("the users are\n%s, the groups\n%s", passwd, group)
	}
}
