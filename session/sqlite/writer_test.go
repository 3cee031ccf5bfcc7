package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// whoWrites has a write done and reports whether it was by the caller himself.
func whoWrites(l *lab) (self bool) {
	l.t.Helper()
	err := l.write(ctx, job{op: func(*writer) error {
		self = bytes.Contains(debug.Stack(), []byte("whoWrites(")) // the caller of all this
		return nil
	}})
	if err != nil {
		l.t.Error(err)
	}
	return self
}

func TestWhoWrites(t *testing.T) {
	l := newLab(t, storePath(t))
	l.works()
	h := l.handle.Load()

	t.Run("who finds nobody writing writes himself", func(t *testing.T) {
		if !whoWrites(l) {
			t.Error("the store's goroutine has written")
		}
	})

	t.Run("on a slow disk the store's goroutine writes until it is fast again", func(t *testing.T) {
		h.slow.Store(true)
		if whoWrites(l) {
			t.Error("the caller has written")
		}
		h.writing.Lock() // until the store's goroutine has nothing more to do
		slow := h.slow.Load()
		h.writing.Unlock()
		if slow || !whoWrites(l) {
			t.Error("it is slow for ever")
		}
	})

	t.Run("a slow write is noticed", func(t *testing.T) {
		patience := l.options.Patience
		defer func() { l.options.Patience = patience }()
		l.options.Patience = 20 * time.Millisecond
		begin := time.Now()
		_ = l.write(ctx, job{op: func(*writer) error {
			for time.Since(begin) < 10*time.Millisecond { // as a slow disk does
			}
			return nil
		}})
		if !h.slow.Load() {
			t.Error("it is not slow")
		}
	})

	t.Run("the others wait no longer than their patience", func(t *testing.T) {
		release := l.stall()
		defer release()
		patience := l.options.Patience
		defer func() { l.options.Patience = patience }()
		l.options.Patience = 10 * time.Millisecond
		begin := time.Now()
		if err := l.Record(ctx, testTurn("c", "r", "", 1)); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("error: %v", err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// Nobody who waits is forgotten, whoever writes.
func TestWritersTogether(t *testing.T) {
	l := newLab(t, storePath(t))
	l.works()
	h := l.handle.Load()
	const writers, number = 24, 60
	var all sync.WaitGroup
	for n := range writers {
		all.Go(func() {
			parent := ""
			for i := range number {
				one := testTurn(fmt.Sprint("c", n), fmt.Sprint("r", i), parent, n*number+i)
				if i%3 > 0 {
					one.Aliases = nil
				}
				if i%8 == 0 {
					h.slow.Store(n%2 == 0)
				}
				if err := l.Record(ctx, one); err != nil {
					t.Errorf("%s/%s: %v", one.ChatID, one.ResponseID, err)
				}
				parent = one.ResponseID
			}
		})
	}
	all.Wait()
	last := 0
	err := l.EachChat(ctx, func(c ChatInfo, turns []session.Turn) error {
		for i := range turns {
			if !turns[i].Continued {
				last++
			}
		}
		return nil
	})
	if err != nil || last != writers+1 {
		t.Errorf("%d turns are the last, %v", last, err)
	}
	if stats, err := l.Stats(ctx); err != nil || stats.Turns != writers*number+1 {
		t.Errorf("%+v, %v", stats, err)
	}
}

// A file that fails under those who write is left by all, and what waits goes to
// the next one.
func TestWritersWhileReopening(t *testing.T) {
	l := newLab(t, storePath(t))
	l.works()
	l.await(KindCreated)
	var all sync.WaitGroup
	release := l.stall()
	for n := range 8 {
		all.Go(func() {
			if err := l.Record(ctx, testTurn("c", fmt.Sprint("r", n), "", n)); err != nil {
				t.Error(err)
			}
		})
	}
	for len(l.queue) < 8 {
		runtime.Gosched()
	}
	h := l.handle.Load()
	h.fail(&failure{KindReplaced, errors.New("a test")})
	for l.handle.Load() == h {
		runtime.Gosched() // until nobody new begins to write
	}
	release()
	all.Wait()
	l.await(KindReplaced)
	l.await(KindAvailable)
	l.works()
}

// How the queries are done: with the index, and without sorting what one key has.
func TestPlans(t *testing.T) {
	l := newLab(t, storePath(t))
	l.works()
	r := new(reader)
	texts := r.texts()
	w := new(writer)
	writes := w.texts()
	db := mustRaw(t, l.path, "")
	for _, test := range []struct {
		text, want string
		sorts      bool
	}{
		{texts[&r.find], "SEARCH turns USING INDEX turns_key (key=?)", false},
		{texts[&r.similar], "SEARCH turns USING INDEX turns_key (key>? AND key<?)", true},
		{texts[&r.alias], "SEARCH a USING PRIMARY KEY (key=?)", false},
		{texts[&r.ids], "SEARCH turns USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", false},
		{texts[&r.idle], "SEARCH chats USING INDEX chats_idle (account=? AND used<?)", false},
		{texts[&r.turns], "SEARCH turns USING INTEGER PRIMARY KEY (rowid>?)", false},
		{texts[&r.chats], "SEARCH chats USING PRIMARY KEY (place>?)", false},
		{texts[&r.file], "SEARCH files USING INDEX files_file (account=? AND file=?)", false},
		{texts[&r.fileByURL], "SEARCH files USING INDEX files_url (url=?)", false},
		{texts[&r.filesByHash], "SEARCH files USING INDEX files_hash (hash=? AND created>?)", false},
		{texts[&r.filesDown], "SEARCH files USING INDEX files_list (account=? AND tenant=? AND (created,file)<(?,?))", false},
		{texts[&r.filesUp], "SEARCH files USING INDEX files_list (account=? AND tenant=? AND (created,file)>(?,?))", false},
		{texts[&r.oldFiles], "SEARCH files USING INDEX files_created (created<?)", false},
		{texts[&r.oldFiles], "SEARCH files USING INDEX files_expires (expires<?)", false},
		{writes[&w.trimFiles], "SEARCH files USING COVERING INDEX files_list (account=? AND tenant=?)", false},
		{writes[&w.dropFile], "SEARCH files USING INDEX files_file (account=? AND file=?)", false},
		{texts[&r.old], "SCAN turns USING COVERING INDEX turns_key", false},
		{texts[&r.oldest], "SCAN turns USING COVERING INDEX turns_key", true},
	} {
		rows, err := db.Query("EXPLAIN QUERY PLAN "+test.text, make([]any, parameters(test.text))...)
		if err != nil {
			t.Fatal(err)
		}
		uses, sorts := false, false
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
			uses = uses || detail == test.want
			sorts = sorts || detail == "USE TEMP B-TREE FOR ORDER BY"
		}
		if !uses || sorts != test.sorts || rows.Err() != nil {
			t.Errorf("%s: %q", test.text, plan)
		}
	}
}

// parameters returns how many parameters a statement has.
func parameters(text string) (number int) {
	for i, part := range strings.Split(text, "?") {
		var n int
		if _, err := fmt.Sscanf(part, "%1d", &n); i == 0 {
			continue
		} else if err == nil {
			number = max(number, n)
		} else {
			number++
		}
	}
	return number
}
