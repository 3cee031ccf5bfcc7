package caddyqwen

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Whatever happens to the store, chat goes on: by text, and one warning tells why.
func TestSessionsFail(t *testing.T) {
	garbage := bytes.Repeat([]byte("this is no database "), 500)
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		told  bool // the log tells of it
		heals bool // conversations go on in their chats from then on
	}{
		{"D01 missing", func(*testing.T, string) {}, false, true},
		{"D02 the path is a directory", mustMakeDir, true, false},
		{"D02 below a file", func(t *testing.T, path string) {
			must(t, os.RemoveAll(filepath.Dir(path)))
			must(t, os.WriteFile(filepath.Dir(path), nil, 0o600))
		}, true, false},
		{"D03 locked by another process", mustLock, true, false},
		{"D08 not a database", func(t *testing.T, path string) { must(t, os.WriteFile(path, garbage, 0o600)) }, true, true},
		{"D11 empty", func(t *testing.T, path string) { must(t, os.WriteFile(path, nil, 0o600)) }, true, true},
		{"D16 of a newer version", mustBeNewer, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store", "sessions.db")
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			tt.spoil(t, path)
			g := mustGateway(t, setup{qwen: "sessions sqlite " + path})
			if tt.heals {
				storesOpen(t)
			}
			g.numbered()
			talk := []said{user("one")}
			for i := range 4 {
				a := g.ask(talk)
				if want := map[bool]string{true: "continued", false: "replayed"}[tt.heals]; i > 0 && a.kind != want {
					t.Errorf("turn %d is %q, not %q", i, a.kind, want)
				}
				talk = append(talk, a.said, user("next"))
			}
			told := slices.DeleteFunc(strings.Split(g.logged(), "\n"), func(line string) bool {
				return !strings.Contains(line, "session store") || strings.Contains(line, `"level":"info"`) || strings.Contains(line, `"level":"debug"`)
			})
			if want := map[bool]int{false: 0, true: 1}[tt.told]; len(told) != want {
				t.Errorf("%d warnings, not %d: %q", len(told), want, told)
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustMakeDir(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }

// mustOpenSQL opens a database beside the store.
func mustOpenSQL(t *testing.T, path string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	must(t, err)
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(context.Background())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// mustLock keeps a new file locked as another process would that writes and
// does not end.
func mustLock(t *testing.T, path string) {
	conn := mustOpenSQL(t, path)
	for _, statement := range []string{"CREATE TABLE x (y)", "BEGIN EXCLUSIVE"} {
		_, err := conn.ExecContext(context.Background(), statement)
		must(t, err)
	}
}

func mustBeNewer(t *testing.T, path string) {
	g := mustGateway(t, setup{qwen: "sessions sqlite " + path})
	g.ask([]said{user("one")})
	g.stop()
	_, err := mustOpenSQL(t, path).ExecContext(context.Background(), "PRAGMA user_version = 1000000")
	must(t, err)
}

// The file is damaged, replaced or removed while conversations go on.
func TestSessionsFailLater(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"D09 damaged": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			must(t, err)
			defer f.Close()
			info, err := f.Stat()
			must(t, err)
			_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, int(info.Size())), 0)
			must(t, err)
			_ = os.Truncate(path+"-wal", 0)
		},
		"D21 removed": func(t *testing.T, path string) {
			for _, end := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(path + end)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustGateway(t, setup{})
			g.numbered()
			talk := []said{user("one")}
			for i := range 6 {
				if i == 3 {
					spoil(t, g.sessions)
				}
				a := g.ask(talk)
				if i > 0 && i < 3 {
					a.mustBe(t, "continued")
				}
				context, prompt := g.seen()
				if a.kind == "replayed" && !strings.Contains(prompt, talk[0].Content) || a.kind == "continued" && len(context) != i {
					t.Errorf("turn %d, %s: the model knows %d turns and got %q", i, a.kind, len(context), prompt)
				}
				talk = append(talk, a.said, user("next"))
			}
			g.stop()
			g.load(setup{})
			for i := range 2 {
				a := g.ask(talk)
				if i == 1 {
					a.mustBe(t, "continued")
				}
				talk = append(talk, a.said, user("later"))
			}
		})
	}
}

// D19: whoever gets the file learns of no text and no secret.
func TestSessionsHoldNoText(t *testing.T) {
	g := mustGateway(t, setup{})
	const reply = "canary-reply-text, which is long enough"
	talk := []said{system("canary-system-text"), user(secretPrompt)}
	for range 3 {
		g.reasoned("canary-reasoning-text", reply)
		talk = append(talk, g.ask(talk).said, user(secretPrompt+" again"))
	}
	g.stop()
	files, err := filepath.Glob(g.sessions + "*")
	must(t, err)
	if len(files) == 0 {
		t.Fatal("there is no file")
	}
	model := false
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(t, err)
		for _, secret := range []string{"canary", testKey, testToken, testCookie} {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s holds %q", filepath.Base(file), secret)
			}
		}
		model = model || bytes.Contains(content, []byte("qwen3.7-plus"))
		info, err := os.Stat(file)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", filepath.Base(file), info.Mode())
		}
	}
	if !model {
		t.Errorf("not even the model is in %q, so that this test looks at the wrong thing", files)
	}
}
