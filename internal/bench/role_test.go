//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestObey(t *testing.T) {
	dir := t.TempDir()
	cpu, heap := filepath.Join(dir, "cpu"), filepath.Join(dir, "heap")
	commands := []string{commandCPU, commandRSS, commandTidy, commandProfile + " " + cpu, commandStop, commandHeap + " " + heap, commandCPU}
	var out bytes.Buffer
	if err := obey(strings.NewReader(strings.Join(commands, "\n")+"\n"), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(out.String())
	if len(lines) != len(commands) {
		t.Fatalf("answers %q to %q", lines, commands)
	}
	for i, line := range lines {
		n, err := strconv.ParseInt(line, 10, 64)
		if isNumber := commands[i] == commandCPU || commands[i] == commandRSS; isNumber && (err != nil || n <= 0) {
			t.Errorf("%s: %q", commands[i], line)
		} else if !isNumber && line != "ok" {
			t.Errorf("%s: %q", commands[i], line)
		}
	}
	for _, path := range []string{cpu, heap} {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("no profile: %v", err)
		}
	}
}

func TestObeyRefuses(t *testing.T) {
	for _, line := range []string{"dance", commandHeap + " /nonexistent/x", commandProfile + " /nonexistent/x"} {
		if err := obey(strings.NewReader(line+"\n"), new(bytes.Buffer)); err == nil {
			t.Errorf("%q was obeyed", line)
		}
	}
}

func TestStartChildRefuses(t *testing.T) {
	c, err := startChild("dancer", "none")
	if err == nil {
		c.stop()
		t.Fatal("there is a role that should not exist")
	}
	if !strings.Contains(err.Error(), `no role "dancer"`) {
		t.Errorf("the error does not say why: %v", err)
	}
}

func TestChild(t *testing.T) {
	c, err := startChild(roleFinal, "none")
	if err != nil {
		t.Fatal(err)
	}
	if kib, err := c.number(commandRSS); err != nil || kib < 1000 {
		t.Errorf("%d KiB resident, %v", kib, err)
	}
	l := newLoad(c.address, workload{script: warmUp, stream: true, conns: 1})
	if got := l.run(t.Context(), 1); got.err != nil {
		t.Error(got.err)
	}
	l.close()
	c.stop()
	if _, err := c.ask(commandRSS); err == nil {
		t.Error("the process answers after its end")
	}
	if !c.process.ProcessState.Success() {
		t.Errorf("the process ended with %v", c.process.ProcessState)
	}
}

func TestTail(t *testing.T) {
	log := new(tail)
	for range 100 {
		if n, err := log.Write(bytes.Repeat([]byte("x"), 100)); n != 100 || err != nil {
			t.Fatal(n, err)
		}
	}
	log.Write([]byte("the end"))
	if got := log.String(); len(got) != tailSize || !strings.HasSuffix(got, "xthe end") {
		t.Errorf("%d bytes kept", len(got))
	}
}
