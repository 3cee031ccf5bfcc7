package sqlite

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"
)

// crashRounds is how often a process is killed.
func crashRounds() int {
	if os.Getenv("CADDY_QWEN_LONG") != "" {
		return 100
	}
	return 10
}

func TestKill(t *testing.T) {
	path := storePath(t)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	rounds, total := crashRounds(), 0
	for round := range rounds {
		cmd := child(t, "record", path, round)
		out := lines(t, cmd)
		// Some die while they open the file, some after that.
		at := random.IntN(400)
		if round%4 == 0 {
			at = -1
			time.AfterFunc(time.Duration(random.IntN(40))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		places := acknowledged(out, at, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		total += len(places)
		if round%4 != 0 || len(places) > 0 {
			checkAfterKill(t, path, places)
		}
		if t.Failed() {
			t.Fatalf("D13 in round %d, seed %d", round, seed)
		}
	}
	t.Logf("D13 killed %d times, %d turns acknowledged, seed %d", rounds, total, seed)
	if total == 0 {
		t.Error("nothing was acknowledged")
	}
}

// checkAfterKill asserts that nothing acknowledged is lost and that each turn is
// whole: found by its keys, with its parent continued.
func checkAfterKill(t *testing.T, path string, places [][2]string) {
	t.Helper()
	integrity(t, path)
	l := newLab(t, path)
	defer l.Close()
	for _, place := range places {
		one, err := l.Turn(ctx, testAccount, place[0], place[1])
		if err != nil {
			t.Errorf("D13 %s was acknowledged: %v", place, err)
			continue
		}
		id := place[0] + "/" + place[1]
		if f, err := l.File(ctx, testAccount, "ann", id, one.Time); err != nil || f.ID != id || f.Name != "name of "+id {
			t.Errorf("D13 the file of %s was acknowledged: %+v, %v", place, f, err)
		}
		if one.ParentID == "" {
			continue
		}
		if parent, err := l.Turn(ctx, testAccount, place[0], one.ParentID); err != nil || !parent.Continued {
			t.Errorf("D13 the parent of %s: continued %t, %v", place, parent.Continued, err)
		}
	}
	l.await(KindOpened)
	l.quiet()
}

func TestProcesses(t *testing.T) {
	path := storePath(t)
	const processes, stores = 2, 4
	var running []*exec.Cmd
	for n := range processes {
		cmd := child(t, "count", path, n)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	for n, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Errorf("D04 D05 process %d: %v", n, err)
		}
	}
	l := newLab(t, path)
	chat, err := l.Chat(ctx, testAccount, "counter")
	if err != nil || chat.Used.UnixMilli() != processes*stores*counts {
		t.Errorf("D04 counted to %d, %v", chat.Used.UnixMilli(), err)
	}
	turns, err := l.Turns(ctx, testAccount, "shared")
	if err != nil || len(turns) != processes*stores*counts {
		t.Errorf("D04 %d turns, %v", len(turns), err)
	}
	last := 0
	for _, one := range turns {
		if !one.Continued {
			last++
		}
	}
	if last != processes*stores {
		t.Errorf("D04 %d turns are the last", last)
	}
	_ = l.Close()
	integrity(t, path)
}
