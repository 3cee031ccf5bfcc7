//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// child is a process with a role.
type child struct {
	address string
	dir     string // where it works; all its files are in it

	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	log     *tail
}

// startChild runs this program in a role. It returns once the role is played.
func startChild(role, upstream string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{process: exec.Command(self, roleArgument, role, upstream), log: new(tail)}
	if c.dir, err = os.MkdirTemp("", "caddy-qwen-bench-"); err != nil {
		return nil, err
	}
	c.process.Dir = c.dir
	c.process.Env = append(os.Environ(), "XDG_DATA_HOME="+c.dir, "XDG_CONFIG_HOME="+c.dir)
	c.process.Stderr = c.log
	if c.in, err = c.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.process.Start(); err != nil {
		return nil, err
	}
	if c.address, err = c.line(); err != nil {
		c.stop()
		return nil, fmt.Errorf("start %s: %w: %s", role, err, c.log)
	}
	return c, nil
}

func (c *child) line() (string, error) {
	line, err := c.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

// ask has the process carry out a command.
func (c *child) ask(command string) (string, error) {
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		return "", fmt.Errorf("%s: %w: %s", command, err, c.log)
	}
	answer, err := c.line()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", command, err, c.log)
	}
	return answer, nil
}

// number has the process carry out a command that answers a number.
func (c *child) number(command string) (int64, error) {
	answer, err := c.ask(command)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(answer, 10, 64)
}

// stop ends the process, which ends with its standard input.
func (c *child) stop() {
	c.in.Close()
	kill := time.AfterFunc(5*time.Second, func() { _ = c.process.Process.Kill() })
	defer kill.Stop()
	_ = c.process.Wait() // how it ended is of no interest
	os.RemoveAll(c.dir)
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4 << 10

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-tailSize):]
	return len(p), nil
}

// String returns the end of what was written.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
