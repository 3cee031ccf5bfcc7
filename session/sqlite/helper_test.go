package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

var ctx = context.Background()

// lab is a store whose clock a test holds in its hands.
type lab struct {
	*Store
	t                  *testing.T
	path               string
	minute, day, again chan time.Time

	resting chan struct{} // it waits for again

	mu      sync.Mutex
	notices []Notice
	told    chan struct{}
}

// newLab opens a store at the path. Its patience is longer than usual, so that a
// slow machine changes nothing.
func newLab(t *testing.T, path string, change ...func(*Options, *hooks)) *lab {
	t.Helper()
	l := &lab{
		t: t, path: path, told: make(chan struct{}, 1000),
		resting: make(chan struct{}, 1000),
		minute:  make(chan time.Time), day: make(chan time.Time), again: make(chan time.Time),
	}
	h := defaultHooks()
	h.lockWait, h.budget = 100*time.Millisecond, time.Minute
	h.retry = func(int) <-chan time.Time {
		l.resting <- struct{}{}
		return l.again
	}
	h.every = func(d time.Duration) (<-chan time.Time, func()) {
		if d == time.Minute {
			return l.minute, func() {}
		}
		return l.day, func() {}
	}
	o := Options{Path: path, Patience: patience, Notify: l.note}
	for _, f := range change {
		f(&o, &h)
	}
	l.Store = start(o, h)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (l *lab) note(n Notice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notices = append(l.notices, n)
	l.told <- struct{}{}
}

// await waits for the next notice of the kind and returns it. It forgets those
// before.
func (l *lab) await(kind Kind) Notice {
	l.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		l.mu.Lock()
		for i, n := range l.notices {
			if n.Kind == kind {
				l.notices = l.notices[i+1:]
				l.mu.Unlock()
				if n.Message == "" || n.Path != l.path {
					l.t.Errorf("notice %+v", n)
				}
				return n
			}
		}
		l.mu.Unlock()
		select {
		case <-l.told:
		case <-timeout:
			l.t.Fatalf("no notice %s, but %v", kind, l.kinds())
		}
	}
}

// kinds returns the kinds of all notices that nobody has waited for.
func (l *lab) kinds() (kinds []Kind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.notices {
		kinds = append(kinds, n.Kind)
	}
	return kinds
}

// forget forgets all notices so far.
func (l *lab) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notices = nil
}

// quiet asserts that nothing else was told.
func (l *lab) quiet() {
	l.t.Helper()
	if kinds := l.kinds(); len(kinds) > 0 {
		l.t.Errorf("also told: %v", kinds)
	}
}

func (l *lab) record(turns ...session.Turn) {
	l.t.Helper()
	for _, one := range turns {
		if err := l.Record(ctx, one); err != nil {
			l.t.Fatal(err)
		}
	}
}

// works asserts that the store can be written to and read.
func (l *lab) works() {
	l.t.Helper()
	one := testTurn("works", fmt.Sprint(time.Now().UnixNano()), "", 9000)
	l.record(one)
	l.has(one)
}

func (l *lab) has(one session.Turn) {
	l.t.Helper()
	if got, err := l.Turn(ctx, one.Account, one.ChatID, one.ResponseID); err != nil || got.Key != one.Key {
		l.t.Errorf("turn %s/%s: %v", one.ChatID, one.ResponseID, err)
	}
}

// refuses asserts that reading and writing fail soon.
func (l *lab) refuses() {
	l.t.Helper()
	begin := time.Now()
	_, find := l.Find(ctx, testKeys(1), 1)
	record := l.Record(ctx, testTurn("refused", "r", "", 1))
	if !errors.Is(find, session.ErrUnavailable) || !errors.Is(record, session.ErrUnavailable) {
		l.t.Errorf("Find: %v; Record: %v", find, record)
	}
	if took := time.Since(begin); took > 5*time.Second {
		l.t.Errorf("refusing took %v", took)
	}
}

// fails waits until an attempt to open the file has failed.
func (l *lab) fails() {
	l.t.Helper()
	select {
	case <-l.resting:
	case <-time.After(20 * time.Second):
		l.t.Fatal("the store does not fail")
	}
}

// retry lets the store try again to open its file, after it has failed.
func (l *lab) retry() { l.tick(l.again) }

func (l *lab) tick(clock chan time.Time) {
	l.t.Helper()
	select {
	case clock <- time.Now():
	case <-time.After(20 * time.Second):
		l.t.Fatal("the store does not look at its clock")
	}
}

// stall keeps the store's goroutine busy until the function it returns is called.
func (l *lab) stall() (release func()) {
	l.t.Helper()
	running, end := make(chan struct{}), make(chan struct{})
	go func() {
		_ = l.write(ctx, job{op: func(*writer) error {
			close(running)
			<-end
			return nil
		}})
	}()
	<-running
	return sync.OnceFunc(func() { close(end) })
}

func testKey(n int) (d session.Digest) {
	binary.BigEndian.PutUint64(d[:], uint64(n+1)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(d[8:], uint64(n))
	return d
}

func testKeys(n int) session.Key {
	return session.Key{Pair: testKey(4 * n), Loose: testKey(4*n + 1), Chain: testKey(4*n + 2)}
}

var testAccount = testKey(1 << 40)

func testTurn(chat, response, parent string, n int) session.Turn {
	return session.Turn{
		Account: testAccount, ChatID: chat, ResponseID: response, ParentID: parent, Tenant: "ann", Model: "m",
		Key: testKeys(n), System: testKey(-n), Long: true,
		Aliases:  []session.Digest{testKey(4*n + 3)},
		Messages: []session.Digest{testKey(n), testKey(n + 1)},
		Time:     time.UnixMilli(1_900_000_000_000 + int64(n)),
	}
}

func testFile(id string, n int) session.File {
	return session.File{
		Account: testAccount, Tenant: "ann", ID: id, Owner: "user", URL: "https://oss.example/" + id, Name: "name of " + id,
		MIME: "image/png", Kind: "image", Purpose: "vision", Size: int64(n), Hash: sha256.Sum256([]byte(id)),
		Created: time.UnixMilli(1_900_000_000_000 + int64(n)).UTC(),
	}
}

// hasFile asserts that the store has the file.
func (l *lab) hasFile(want session.File) {
	l.t.Helper()
	got, err := l.File(ctx, want.Account, want.Tenant, want.ID, want.Created)
	if err != nil || got != want {
		l.t.Errorf("file %+v, not %+v, %v", got, want, err)
	}
}

// mustFill makes a file with turns, closed, and returns them.
func mustFill(t *testing.T, path string, number int) (turns []session.Turn) {
	t.Helper()
	l := newLab(t, path)
	var all sync.WaitGroup
	for n := range number {
		one := testTurn(fmt.Sprint("c", n/10), fmt.Sprint("r", n), "", n)
		turns = append(turns, one)
		if all.Go(func() { l.record(one) }); n%100 == 99 {
			all.Wait()
		}
	}
	all.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return turns
}

// mustRaw opens a file past the store.
func mustRaw(t *testing.T, path string, pragmas string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?"+pragmas)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func mustExec(t *testing.T, db *sql.DB, text string) {
	t.Helper()
	if _, err := db.Exec(text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mustDamage writes nonsense over the second half of each page from the one given
// on, but not over the first page.
func mustDamage(t *testing.T, path string, from int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	nonsense := make([]byte, 4096)
	for i := range nonsense {
		nonsense[i] = byte(i*7 + 3)
	}
	for offset := max(from, 1) * 4096; offset < info.Size(); offset += 4096 {
		if _, err := file.WriteAt(nonsense, offset); err != nil {
			t.Fatal(err)
		}
	}
}

// integrity asserts that SQLite finds nothing wrong with the file.
func integrity(t *testing.T, path string) {
	t.Helper()
	var verdict string
	db := mustRaw(t, path, "mode=rw")
	defer db.Close()
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check: %q, %v", verdict, err)
	}
}

func storePath(t *testing.T) string { return filepath.Join(t.TempDir(), "store.db") }

func perm(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}
