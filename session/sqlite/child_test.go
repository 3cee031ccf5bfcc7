package sqlite

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// roleVariable makes the test's own program play another role in a process of its
// own. The role's file and number are in two more variables.
const (
	roleVariable   = "SESSION_SQLITE_ROLE"
	pathVariable   = "SESSION_SQLITE_PATH"
	numberVariable = "SESSION_SQLITE_NUMBER"
)

var roles = map[string]func(path string, number int){
	"record":  roleRecord,
	"count":   roleCount,
	"migrate": roleMigrate,
}

// play plays the role if the process is there for one.
func play() bool {
	role, ok := roles[os.Getenv(roleVariable)]
	if ok {
		number, _ := strconv.Atoi(os.Getenv(numberVariable))
		role(os.Getenv(pathVariable), number)
	}
	return ok
}

func child(t *testing.T, role, path string, number int) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, pathVariable+"="+path, fmt.Sprint(numberVariable, "=", number))
	cmd.Stderr = os.Stderr
	return cmd
}

// lines starts a child and returns what it prints.
func lines(t *testing.T, cmd *exec.Cmd) *bufio.Scanner {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return bufio.NewScanner(out)
}

func roleStore(path string) *Store { return New(Options{Path: path, Patience: 30 * time.Second}) }

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// roleRecord records turns, each following the one before, in chats named after
// the number, and adds a file for each, and prints each that was acknowledged with
// its file, until it is killed.
func roleRecord(path string, number int) {
	s := roleStore(path)
	var printing sync.Mutex
	for chat := range 4 {
		go func() {
			parent := ""
			for n := 0; ; n++ {
				one := testTurn(fmt.Sprintf("p%d-%d", number, chat), fmt.Sprint("r", n), parent, n)
				exit(s.Record(ctx, one))
				// Newer than those of all processes before: the oldest of very many files go.
				exit(s.AddFile(ctx, testFile(one.ChatID+"/"+one.ResponseID, number<<20+n)))
				parent = one.ResponseID
				printing.Lock()
				fmt.Println(one.ChatID, one.ResponseID)
				printing.Unlock()
			}
		}()
	}
	select {}
}

const counts = 50

// roleCount adds to a number in the file, in four stores at the same time, each in
// transactions that read it first; and records turns.
func roleCount(path string, number int) {
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			s := roleStore(path)
			parent := ""
			for i := range counts {
				one := testTurn("shared", fmt.Sprintf("p%d-%d-%d", number, n, i), parent, i)
				exit(s.Record(ctx, one))
				parent = one.ResponseID
				exit(s.write(ctx, job{op: increment}))
			}
			exit(s.Close())
		})
	}
	all.Wait()
}

// increment reads the time of use of a chat and makes it one millisecond later.
func increment(w *writer) error {
	c, err := w.added(testAccount, "counter")
	if err != nil {
		return err
	}
	if c == nil {
		c = &session.Chat{Account: testAccount, ID: "counter", Tenant: "ann", Used: time.UnixMilli(0)}
	}
	c.Used = c.Used.Add(time.Millisecond)
	return w.putChat(c)
}

// roleMigrate begins a migration and dies in the middle of it.
func roleMigrate(path string, number int) {
	h := defaultHooks()
	h.migrations = append(slices.Clip(h.migrations),
		statements("CREATE TABLE extra (text); INSERT INTO extra VALUES ('half')"),
		func(context.Context, *sql.Conn) error {
			process, err := os.FindProcess(os.Getpid())
			exit(err)
			exit(process.Kill())
			select {}
		})
	start(Options{Path: path}, h)
	select {}
}

// acknowledged reads the turns that a child has printed.
func acknowledged(out *bufio.Scanner, at int, then func()) (places [][2]string) {
	for n := 0; ; n++ {
		if n == at {
			then()
		}
		if !out.Scan() {
			return places
		}
		if chat, response, ok := strings.Cut(out.Text(), " "); ok {
			places = append(places, [2]string{chat, response})
		}
	}
}
