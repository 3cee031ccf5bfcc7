//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test binary play the roles that the command starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == roleArgument {
		os.Exit(playRole(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func TestParseFlags(t *testing.T) {
	for _, tt := range []struct {
		args   string
		rounds int
		only   string // names, joined
		fails  bool
	}{
		{args: "", rounds: 5},
		{args: "-quick", rounds: 3},
		{args: "-quick -rounds 9", rounds: 9},
		{args: "-only W1", rounds: 5, only: "W1"},
		{args: "-only w5,W2,", rounds: 5, only: "W2 W5"},
		{args: "-only W9", fails: true},
		{args: "-rounds -1", fails: true},
		{args: "-rounds x", fails: true},
		{args: "surplus", fails: true},
	} {
		t.Run(tt.args, func(t *testing.T) {
			o, err := parseFlags(strings.Fields(tt.args), io.Discard)
			if tt.fails {
				if err == nil {
					t.Fatalf("got %+v, want an error", o)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if only := strings.Join(slices.Sorted(maps.Keys(o.only)), " "); o.rounds != tt.rounds || only != tt.only {
				t.Errorf("got %d rounds of %q, want %d of %q", o.rounds, only, tt.rounds, tt.only)
			}
		})
	}
}

func TestParseFlagsHelp(t *testing.T) {
	if _, err := parseFlags([]string{"-h"}, io.Discard); err != flag.ErrHelp {
		t.Errorf("got %v", err)
	}
	if status := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); status != 0 {
		t.Errorf("exit status %d for -h, want 0", status)
	}
	if status := run(t.Context(), []string{"-only", "W9"}, io.Discard, io.Discard); status != 2 {
		t.Errorf("exit status %d for a mistake, want 2", status)
	}
}

// TestRun makes a whole comparison, with processes of its own.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := filepath.Join(t.TempDir(), "profiles")
	var stdout, stderr bytes.Buffer
	args := []string{"-quick", "-rounds", "1", "-only", "W4,W6", "-json", "-profile", dir}
	if status := run(t.Context(), args, &stdout, &stderr); status != 0 {
		t.Fatalf("exit status %d:\n%s%s", status, &stdout, &stderr)
	}
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 2 {
		t.Errorf("rows %+v, want two", r.Rows)
	}
	for _, row := range r.Rows {
		if row.Workload != "W4" || row.Handler <= 0 || row.Other <= 0 || row.Result <= 0 {
			t.Errorf("row %+v, want one with CPU times of both sides", row)
		}
	}
	// 600 requests and 32 to warm up; and 50 and 8 of the handler alone.
	for i, want := range []count{{Side: roleQwen, Requests: 690}, {Side: roleProxy, Requests: 632}, {Side: roleOff, Requests: 632}} {
		if r.Counts[i] != want {
			t.Errorf("counts %+v, want %+v", r.Counts[i], want)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "W4-32.cpu.pprof")); err != nil || info.Size() == 0 {
		t.Errorf("no profile: %v", err)
	}
}

func TestRunInterrupted(t *testing.T) {
	ctx, cancel := contextWithCancel(t)
	cancel()
	var stderr bytes.Buffer
	if status := run(ctx, []string{"-quick", "-only", "W6"}, io.Discard, &stderr); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if !strings.Contains(stderr.String(), "context canceled") {
		t.Errorf("no reason in %q", &stderr)
	}
}
