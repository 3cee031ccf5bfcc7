//go:build linux

package caddyqwen

import (
	"bytes"
	"cmp"
	"debug/elf"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// imageEnv tells TestImage to do its work, which .ci/run does.
const imageEnv = "CADDY_QWEN_IMAGE"

// imageBuild carries out a Dockerfile without a container engine: the build stage with
// the Go of this computer, and the last one in a directory that becomes the root
// of the processes. It knows what the Dockerfile uses, and nothing else.
type imageBuild struct {
	t      *testing.T
	stages map[string]string // the root of each
	root   string
	dir    string // the working directory
	env    map[string]string
}

// mustBuildImage does all steps of the Dockerfile.
func mustBuildImage(t *testing.T) *imageBuild {
	t.Helper()
	b := &imageBuild{t: t, stages: make(map[string]string)}
	for _, i := range mustReadDockerfile(t) {
		switch i.name {
		case "FROM":
			b.from(strings.Fields(i.args))
		case "WORKDIR":
			b.dir = i.args
			must(t, os.MkdirAll(b.path(b.dir), 0o755))
		case "COPY":
			b.copy(strings.Fields(i.args))
		case "ARG":
			for name := range strings.FieldsSeq(i.args) {
				b.env[name] = map[string]string{"TARGETOS": runtime.GOOS, "TARGETARCH": runtime.GOARCH}[name]
			}
		case "ENV":
			for pair := range strings.FieldsSeq(i.args) {
				name, value, _ := strings.Cut(pair, "=")
				b.env[name] = os.Expand(value, func(name string) string { return b.env[name] })
			}
		case "RUN":
			b.run(i.args)
		case "LABEL", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD":
		default:
			t.Fatalf("this test does not know %s", i.name)
		}
	}
	return b
}

// from begins a stage. What it is built on is not there, so each gets what is used
// of it: the certificates of one, the wget of the other.
func (b *imageBuild) from(args []string) {
	b.root, b.dir, b.env = b.t.TempDir(), "/", make(map[string]string)
	must(b.t, os.Chmod(b.root, 0o755))
	if n := len(args); n > 2 && args[n-2] == "AS" {
		b.stages[args[n-1]] = b.root
		b.copyFile("/etc/ssl/certs/ca-certificates.crt", b.path("/etc/ssl/certs/ca-certificates.crt"))
		return
	}
	busybox, err := exec.LookPath("busybox")
	must(b.t, err)
	b.copyFile(busybox, b.path("/usr/bin/wget"))
	mustWriteFile(b.t, b.path("/etc/hosts"), "127.0.0.1 localhost\n", 0o644) // which engines write
	must(b.t, os.Chmod(b.path("/etc"), 0o755))
	must(b.t, os.Mkdir(b.path("/tmp"), 0o755))
	must(b.t, os.Chmod(b.path("/tmp"), 0o777|fs.ModeSticky))
}

func (b *imageBuild) path(path string) string { return filepath.Join(b.root, path) }

func (b *imageBuild) copyFile(from, to string) {
	b.t.Helper()
	info, err := os.Stat(from)
	must(b.t, err)
	must(b.t, os.MkdirAll(filepath.Dir(to), 0o755))
	data, err := os.ReadFile(from)
	must(b.t, err)
	must(b.t, os.WriteFile(to, data, info.Mode().Perm()))
}

// copy does a COPY: of the whole context, or of one file or directory of a stage.
func (b *imageBuild) copy(args []string) {
	if slices.Equal(args, []string{".", "."}) {
		b.copyContext()
		return
	}
	stage, owner := "", ""
	for ; strings.HasPrefix(args[0], "--"); args = args[1:] {
		name, value, _ := strings.Cut(args[0], "=")
		switch name {
		case "--from":
			stage = b.stages[value]
		case "--chown":
			owner = value
		default:
			b.t.Fatalf("this test does not know %s", name)
		}
	}
	if stage == "" || len(args) != 2 {
		b.t.Fatalf("this test does not know such a COPY: %q", args)
	}
	from, to := filepath.Join(stage, args[0]), b.path(args[1])
	if strings.HasSuffix(args[0], "/") {
		b.copyDirectories(from, to, owner)
		return
	}
	if owner != "" {
		b.t.Fatal("this test gives only directories to somebody")
	}
	b.copyFile(from, to)
}

// copyDirectories copies the empty directories in a directory.
func (b *imageBuild) copyDirectories(from, to, owner string) {
	uid, gid := b.ids(owner)
	entries, err := os.ReadDir(from)
	must(b.t, err)
	for _, entry := range entries {
		info, err := entry.Info()
		must(b.t, err)
		path := filepath.Join(to, entry.Name())
		must(b.t, os.Mkdir(path, info.Mode().Perm()))
		must(b.t, os.Remove(filepath.Join(from, entry.Name()))) // only if it is empty
		must(b.t, os.Chown(path, uid, gid))
	}
}

func (b *imageBuild) ids(owner string) (uid, gid int) {
	user, group, _ := strings.Cut(owner, ":")
	uid, err := strconv.Atoi(user)
	must(b.t, err)
	gid, err = strconv.Atoi(group)
	must(b.t, err)
	return uid, gid
}

// copyContext copies what .dockerignore leaves of the repository.
func (b *imageBuild) copyContext() {
	ignored := mustReadIgnored(b.t)
	must(b.t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		left, err := ignored.MatchesOrParentMatches(path)
		switch {
		case left && entry.IsDir():
			return filepath.SkipDir
		case err == nil && !left && entry.Type().IsRegular():
			b.copyFile(path, filepath.Join(b.path(b.dir), path))
		}
		return err
	}))
}

// run does a RUN of the build stage. Its caches are those of this computer.
func (b *imageBuild) run(args string) {
	for strings.HasPrefix(args, "--mount=") {
		_, args, _ = strings.Cut(args, " ")
	}
	cmd := exec.Command("/bin/sh", "-c", args)
	cmd.Dir = b.path(b.dir)
	cmd.Env = os.Environ()
	for name, value := range b.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("%s: %v\n%s", args, err, out)
	}
}

// command is a program in a container of the image: as its user, with nothing of
// this computer but the network.
func (b *imageBuild) command(args []string, env ...string) *exec.Cmd {
	b.t.Helper()
	path := args[0]
	if !filepath.IsAbs(path) {
		path = "/usr/bin/" + path
	}
	uid, gid := b.ids(mustFind(b.t, mustReadDockerfile(b.t), "USER"))
	// Ports are those of this computer, where another Caddy may be.
	cmd := &exec.Cmd{Path: path, Args: args, Dir: "/", Env: append(env, "CADDY_ADMIN=127.0.0.1:0")}
	for name, value := range b.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: b.root, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd
}

// mustPrint returns what a command of a container prints.
func (b *imageBuild) mustPrint(args []string) string {
	b.t.Helper()
	out, err := b.command(args).Output()
	if err != nil {
		b.t.Fatalf("%q: %v", args, err)
	}
	return string(out)
}

// files returns what is in the root, with its owner, but for some directories.
func (b *imageBuild) files(without ...string) (list []string) {
	b.t.Helper()
	must(b.t, filepath.WalkDir(b.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || slices.Contains(without, strings.TrimPrefix(path, b.root)) {
			return cmp.Or(err, filepath.SkipDir)
		}
		info, err := entry.Info()
		if err == nil {
			list = append(list, info.Mode().String()+" "+strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid))+" "+strings.TrimPrefix(path, b.root))
		}
		return err
	}))
	return list
}

// TestImage builds what the Dockerfile describes, and lives with it: it starts with
// the environment of Compose, becomes healthy, answers, stops and starts again.
func TestImage(t *testing.T) {
	switch {
	case os.Getenv(imageEnv) == "":
		t.Skip("this builds Caddy; set " + imageEnv + "=1")
	case os.Getuid() != 0:
		t.Skip("only root can give processes another root directory and user")
	}
	list, b := mustReadDockerfile(t), mustBuildImage(t)
	checkStatic(t, b.path("/usr/bin/caddy"))
	site, err := emulator.Start(emulator.Options{Tokens: []string{testToken}})
	must(t, err)
	t.Cleanup(site.Close)
	address := mustFreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	must(t, err)
	mustWriteFile(t, b.path("/etc/caddy/Caddyfile"), emulated(t, mustReadCaddyfile(t), site, port), 0o644)
	health := healthCommand(t, list)
	health[len(health)-1] = strings.Replace(health[len(health)-1], ":8080", ":"+port, 1)
	start := append(mustExec(t, mustFind(t, list, "ENTRYPOINT")), mustExec(t, mustFind(t, list, "CMD"))...)
	before := b.files("/data")
	if !slices.Contains(before, "drwx------ 65532 /config") || !slices.Contains(b.files(), "drwx------ 65532 /data") {
		t.Errorf("the directories of the user are %q", b.files())
	}

	if err := b.command(health).Run(); err == nil {
		t.Error("it is healthy before it runs")
	}
	var key string
	for range 2 { // the second is an update
		s := mustServe(t, b.command(start, "QWEN_COOKIES="+hardCookies), "http://"+address)
		if out, err := b.command(health).CombinedOutput(); err != nil {
			t.Errorf("it is not healthy: %v: %s", err, out)
		}
		if next := strings.TrimSpace(b.mustPrint(keyCommandOfReadme(t))); key != "" && next != key {
			t.Error("the key has not been kept")
		} else {
			key = next
		}
		if got := s.chat(key); got.status != http.StatusOK {
			t.Errorf("status %d: %s", got.status, got.body)
		}
		if got := s.chat("sk-another"); got.code() != "invalid_api_key" {
			t.Errorf("with a wrong key: status %d: %s", got.status, got.body)
		}
		s.stop(20 * time.Second)
	}
	if n := len(site.Completions()); n != 2 {
		t.Errorf("the site got %d chats, want 2", n)
	}
	if after := b.files("/data"); !slices.Equal(before, after) {
		t.Errorf("outside of the volume there is\n%q, and there was\n%q", after, before)
	}
	if kept := strings.Join(b.files(), "\n"); !strings.Contains(kept, "/data/caddy/qwen/sessions.db") {
		t.Errorf("there is no record of conversations:\n%s", kept)
	}
	s := mustServe(t, b.command(start, "QWEN_AUTH_TOKEN="+testToken, `VALID_TOKENS=["`+firstKey+`"]`), "http://"+address)
	if got := s.chat(firstKey); got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if got := s.chat(key); got.code() != "invalid_api_key" {
		t.Errorf("with the generated key: status %d: %s", got.status, got.body)
	}
	s.stop(20 * time.Second)
}

// checkStatic checks that a program needs no library, which Alpine has others of.
func checkStatic(t *testing.T, path string) {
	t.Helper()
	data, err := os.Open(path)
	must(t, err)
	defer data.Close()
	program, err := elf.NewFile(io.NewSectionReader(data, 0, 1<<40))
	must(t, err)
	if libraries, err := program.ImportedLibraries(); err == nil && len(libraries) > 0 {
		t.Errorf("it needs %q", libraries)
	}
	if content, err := os.ReadFile(path); err != nil || bytes.Contains(content, []byte(mustWorkingDirectory(t))) {
		t.Errorf("it holds paths of the computer that has built it; %v", err)
	}
}

func mustWorkingDirectory(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	must(t, err)
	return dir
}

// keyCommandOfReadme returns what the README runs in the container.
func keyCommandOfReadme(t *testing.T) []string {
	t.Helper()
	for _, line := range deployCommands(t) {
		if words, ok := strings.CutPrefix(line, "docker compose exec "+composeService+" "); ok {
			return strings.Fields(words)
		}
	}
	t.Fatal("the README does not say how to ask the container for its key")
	return nil
}
