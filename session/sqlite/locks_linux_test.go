package sqlite

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// holdsLock reports whether this process has a lock on the file, as each that has
// it open must have.
func holdsLock(t *testing.T, path string) bool {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	node := fmt.Sprintf(":%d ", info.Sys().(*syscall.Stat_t).Ino)
	pid := fmt.Sprintf(" %d ", os.Getpid())
	for line := range strings.Lines(mustRead(t, "/proc/locks")) {
		if strings.Contains(line, pid) && strings.Contains(line, node) {
			return true
		}
	}
	return false
}

// A store that is opened while another of the same process makes the file has its
// locks in the end. Without them other processes would do to the file what they like.
func TestOpenedWhileMade(t *testing.T) {
	path := storePath(t)
	var other *lab
	one := newLab(t, path, func(_ *Options, h *hooks) {
		h.making = func() {
			other = newLab(t, path)
			select {
			case <-other.settled:
			case <-time.After(200 * time.Millisecond): // it waits
			}
		}
	})
	one.works()
	other.works()
	if !holdsLock(t, path) {
		t.Error("there is no lock")
	}
}
