//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

// roleArgument makes the command one of the processes that it starts.
const roleArgument = "role"

// The roles of processes, and the sides of the comparison.
const (
	roleSite  = "site"          // the emulated site
	roleFinal = "final"         // the server that sends what the handler would have written
	roleQwen  = "qwen"          // Caddy with the handler, before the site
	roleOff   = "sessions_off"  // the same without a record of conversations
	roleProxy = "reverse_proxy" // Caddy with a reverse_proxy, before roleFinal
)

// playRole is the main function of a process with a role: it prints its
// address, obeys the commands on its standard input, and ends with it. Its
// arguments are the role and the upstream's address.
func playRole(args []string) int {
	address, err := startRole(args)
	if err == nil {
		fmt.Println(address)
		err = obey(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func startRole(args []string) (string, error) {
	if len(args) != 2 {
		return "", fmt.Errorf("%d arguments instead of a role and an address", len(args))
	}
	switch role, upstream := args[0], args[1]; role {
	case roleSite:
		return listen(newSite())
	case roleFinal:
		return listen(newFinal())
	case roleQwen:
		return startHandler(upstream, object{"store": "sqlite", "path": "sessions.db"})
	case roleOff:
		return startHandler(upstream, object{"store": "off"})
	case roleProxy:
		return startCaddy(proxyHandler(upstream))
	default:
		return "", fmt.Errorf("there is no role %q", role)
	}
}

// obey carries out commands, one a line, and answers each with a line.
func obey(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		answer, err := command(lines.Text())
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	pprof.StopCPUProfile()
	return lines.Err()
}

// The commands.
const (
	commandCPU     = "cpu"     // answers the CPU time used so far, user and system, in ns
	commandRSS     = "rss"     // answers the resident memory in KiB
	commandTidy    = "tidy"    // returns unused memory to the system
	commandProfile = "profile" // starts a CPU profile in the file that follows
	commandStop    = "stop"    // ends the CPU profile
	commandHeap    = "heap"    // writes a heap profile to the file that follows
)

func command(line string) (string, error) {
	name, path, _ := strings.Cut(line, " ")
	switch name {
	case commandCPU:
		used, err := cpuTime()
		return fmt.Sprint(int64(used)), err
	case commandRSS:
		kib, err := residentKiB()
		return fmt.Sprint(kib), err
	case commandTidy:
		debug.FreeOSMemory()
		return "ok", nil
	case commandProfile:
		file, err := os.Create(path)
		if err != nil {
			return "", err
		}
		return "ok", pprof.StartCPUProfile(file)
	case commandStop:
		pprof.StopCPUProfile()
		return "ok", nil
	case commandHeap:
		return "ok", writeHeap(path)
	}
	return "", fmt.Errorf("there is no command %q", name)
}

// cpuTime returns the CPU time that this process has used. The kernel counts it
// exactly, unlike the ticks in /proc.
func cpuTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// residentKiB returns the resident memory of this process.
func residentKiB() (kib int64, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(status, []byte("\nVmRSS:"))
	if !ok {
		return 0, errors.New("/proc/self/status has no VmRSS")
	}
	_, err = fmt.Sscan(string(rest), &kib)
	return kib, err
}

func writeHeap(path string) error {
	runtime.GC() // so that the profile is of now
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("heap").WriteTo(file, 0), file.Close())
}
