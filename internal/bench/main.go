//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == roleArgument {
		os.Exit(playRole(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the flags.
type options struct {
	rounds  int
	only    map[string]bool // names of workloads; empty: all
	quick   bool
	asJSON  bool
	profile string // a directory, or empty
}

// run is the command without its process. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseFlags(args, stderr)
	if err == flag.ErrHelp {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	r, err := measure(ctx, o, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	write := writeTable
	if o.asJSON {
		write = writeJSON
	}
	if err := write(stdout, r); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	if !r.correct() {
		return 1
	}
	return 0
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 0, "rounds of each workload (default 5, with -quick 3; idle streams: 1)")
	flags.StringVar(&only, "only", "", "workloads to run, such as W1,W2 (default all)")
	flags.BoolVar(&o.quick, "quick", false, "smaller workloads and no 5,000 idle streams: less than a minute")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	flags.StringVar(&o.profile, "profile", "", "write profiles of the handler's process to this `directory`; distorts the figures")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.rounds < 0 {
		return o, fmt.Errorf("%d rounds are not possible", o.rounds)
	}
	if o.rounds == 0 {
		if o.rounds = 5; o.quick {
			o.rounds = 3
		}
	}
	var err error
	o.only, err = parseOnly(only)
	return o, err
}

// parseOnly reads a list of the names of workloads.
func parseOnly(list string) (map[string]bool, error) {
	only := make(map[string]bool)
	known := make(map[string]bool)
	for _, w := range workloads(false) {
		known[w.name] = true
	}
	for name := range strings.SplitSeq(list, ",") {
		switch name = strings.ToUpper(strings.TrimSpace(name)); {
		case name == "":
		case !known[name]:
			return nil, fmt.Errorf("there is no workload %q", name)
		default:
			only[name] = true
		}
	}
	return only, nil
}
