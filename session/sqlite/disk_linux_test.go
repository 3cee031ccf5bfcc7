package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// mustMount mounts a small file system in memory.
func mustMount(t *testing.T, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mounting needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return dir
}

func mustRemount(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|flags, ""); err != nil {
		t.Fatalf("mounting %s anew: %v", dir, err)
	}
}

func TestDiskFull(t *testing.T) {
	t.Run("D06 in operation", func(t *testing.T) {
		dir := mustMount(t, "4m")
		path, ballast := filepath.Join(dir, "store.db"), filepath.Join(dir, "ballast")
		mustWrite(t, ballast, string(make([]byte, 2<<20)))
		l := newLab(t, path)
		l.works()
		h := l.handle.Load()
		stored := 0
		refused := func(what string, n int) bool {
			err := l.Record(ctx, testTurn("c", what, "", n))
			if err != nil && !errors.Is(err, session.ErrUnavailable) {
				t.Fatal(err)
			}
			return err != nil
		}
		// What needs fewer pages may still find room when something else does not.
		last := 0
		for ; ; last++ {
			if !refused(fmt.Sprint("r", stored), stored) {
				stored++
			} else if refused(fmt.Sprint("last", last), 5) {
				break
			}
		}
		t.Logf("full after %d turns", stored)
		kinds := l.kinds()
		if len(kinds) == 0 || kinds[len(kinds)-1] != KindFull {
			t.Errorf("told: %v", kinds)
		}
		l.forget()
		for n := range 5 {
			if !refused(fmt.Sprint("last", last), 5) {
				t.Error("it was recorded")
			}
			l.has(testTurn("c", fmt.Sprint("r", n*stored/5), "", n*stored/5))
		}
		l.quiet()
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		l.works()
		l.await(KindAvailable)
		l.quiet()
		if l.handle.Load() != h {
			t.Error("the file was opened again")
		}
		for n := range stored {
			l.has(testTurn("c", fmt.Sprint("r", n), "", n))
		}
		_ = l.Close()
		integrity(t, path)
	})

	t.Run("D06 D16 when an older file is copied", func(t *testing.T) {
		dir := mustMount(t, "8m")
		path := filepath.Join(dir, "store.db")
		turns := mustFill(t, path, 600)
		var ballast []string
		for err := error(nil); err == nil; {
			name := filepath.Join(dir, fmt.Sprint("ballast", len(ballast)))
			ballast = append(ballast, name)
			err = os.WriteFile(name, make([]byte, 32<<10), 0o600)
		}
		for _, name := range ballast[:3] { // room for less than a copy
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		l := newLab(t, path, later(extra))
		l.refuses()
		l.await(KindFull)
		l.fails()
		l.retry()
		l.fails()
		if kept, _ := filepath.Glob(path + ".*"); len(kept) > 0 {
			t.Errorf("there is %v", kept)
		}
		for _, name := range ballast[3:] {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		l.retry()
		l.await(KindAvailable)
		l.has(turns[5])
		l.works()
	})

	t.Run("D06 when the file is made", func(t *testing.T) {
		dir := mustMount(t, "64k")
		ballast := filepath.Join(dir, "ballast")
		file, err := os.Create(ballast)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = file.Write(make([]byte, 4096))
		}
		_ = file.Close()
		l := newLab(t, filepath.Join(dir, "store.db"))
		l.refuses()
		l.await(KindFull)
		l.quiet()
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		mustRemount(t, dir, 0)
		l.fails()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=4m"); err != nil {
			t.Fatal(err)
		}
		l.retry()
		l.await(KindAvailable)
		l.works()
	})
}

func TestReadOnly(t *testing.T) {
	t.Run("D07 the file system is read-only", func(t *testing.T) {
		dir := mustMount(t, "4m")
		path := filepath.Join(dir, "store.db")
		turns := mustFill(t, path, 5)
		mustRemount(t, dir, syscall.MS_RDONLY)
		l := newLab(t, path)
		l.refuses()
		n := l.await(KindReadOnly)
		if n.Err == nil {
			t.Error("no cause")
		}
		l.fails()
		l.retry()
		l.fails()
		l.quiet()
		mustRemount(t, dir, 0)
		l.retry()
		l.await(KindAvailable)
		l.has(turns[3])
		l.works()
	})

	t.Run("D02 D07 the directory is read-only and there is no file", func(t *testing.T) {
		dir := mustMount(t, "4m")
		mustRemount(t, dir, syscall.MS_RDONLY)
		l := newLab(t, filepath.Join(dir, "below", "store.db"))
		l.refuses()
		l.await(KindReadOnly)
		l.quiet()
	})

	t.Run("D07 the file is read-only", func(t *testing.T) {
		path := storePath(t)
		mustFill(t, path, 5)
		if err := os.Chmod(path, 0o400); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			t.Skip("modes do not bind root; the read-only file system above stands for it")
		}
		l := newLab(t, path)
		l.refuses()
		l.await(KindReadOnly)
	})

	t.Run("D09 a damaged file that cannot be renamed stays", func(t *testing.T) {
		dir := mustMount(t, "4m")
		path := filepath.Join(dir, "store.db")
		mustWrite(t, path, "this is no database at all, however one reads it")
		mustRemount(t, dir, syscall.MS_RDONLY)
		l := newLab(t, path)
		l.refuses()
		l.fails()
		if n := l.await(KindCorrupt); n.Kept != "" {
			t.Errorf("kept %q", n.Kept)
		}
		mustRemount(t, dir, 0)
		l.retry()
		if n := l.await(KindCorrupt); n.Kept == "" {
			t.Error("nothing was kept")
		}
		l.fails()
		l.retry()
		l.await(KindAvailable)
		l.works()
	})
}
