package caddyqwen

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mustTerminal returns both ends of a new terminal: that of the person, and that of
// the program.
func mustTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("there are no terminals: ", err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// typeImport runs `caddy qwen import` at a terminal and types input as soon as it is
// asked for.
func typeImport(t *testing.T, dir, input string) imported {
	t.Helper()
	person, program := mustTerminal(t)
	before, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestImportProcess$")
	cmd.Env = append(os.Environ(), importEnv+"="+dir+"\nimport")
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout = program, &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	if asked, err := lines.ReadString('\n'); err != nil || !strings.Contains(asked, "press Enter and then Ctrl+D") {
		t.Errorf("asked %q, %v", asked, err)
	}
	if _, err := io.WriteString(person, input); err != nil {
		t.Error(err)
	}
	rest, _ := io.ReadAll(lines)
	_ = cmd.Wait() // its status is told
	if after, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS); err != nil || *after != *before {
		t.Errorf("the terminal is not as before: %+v, %+v, %v", before, after, err)
	}
	checkNothingShown(t, person)
	return imported{out.String(), string(rest), cmd.ProcessState.ExitCode()}
}

// checkNothingShown fails the test if the terminal has shown what was typed.
func checkNothingShown(t *testing.T, person *os.File) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(person.Fd()), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 0); err != nil || n > 0 {
		t.Errorf("the terminal shows something, %v", err)
	}
}

func TestImportAtATerminal(t *testing.T) {
	token := jwt(time.Now(), time.Hour*24)
	long := otherCookies + "; refresh_token=canary; long=" + strings.Repeat("x", 20_000) + "; token=" + token
	dir := t.TempDir()
	got := typeImport(t, dir, strings.ReplaceAll(curlWith(long, token), "\n", "\r")+"\r\x04")
	if got.status != 0 || got.stderr != "" {
		t.Fatalf("status %d, %s%s", got.status, got.stdout, got.stderr)
	}
	if cred, _ := mustReadAccount(t, filepath.Join(dir, "caddy", "qwen", "account.json")); cred.Cookies != long {
		t.Errorf("stored %d characters, want %d", len(cred.Cookies), len(long))
	}
}

func TestImportInterrupted(t *testing.T) {
	dir := t.TempDir()
	got := typeImport(t, dir, "token=canary\x03")
	if got.status != 1 || !strings.Contains(got.stderr, "you have pressed Ctrl+C") {
		t.Errorf("status %d, %s%s", got.status, got.stdout, got.stderr)
	}
	checkFiles(t, dir)
}
