package caddyqwen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// doctorCommand returns `caddy qwen doctor`.
func doctorCommand() *cobra.Command {
	d := new(doctor)
	var config configFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Finds out why something does not work, and says what to do",
		Long: `
Checks, one after the other, what the handler needs, and says what to do about
what has failed:

  configuration  it can be loaded; who may use the API
  account file   it can be read, by its owner only
  dns            the hosts of the site have addresses
  connection     they can be reached, and their certificates are accepted
  clock          that of this computer agrees with that of the site
  credential     the site accepts the accounts
  models         there are some, also those that the configuration names
  upload         the site takes files, and its storage can be reached
  sessions       the file of the session store can be used
  chat           only with --chat: a model answers. That costs one tiny answer;
                 the chat is deleted afterwards

What depends on something that has failed is skipped. Nothing secret is printed,
no server is started, and nothing is changed, except that an access token that is
due is renewed, and that an account rests no more when the site accepts it.

Run the command as the user that runs the server, with the same environment:
` + "`--envfile`" + ` reads a file of variables.

The exit status is 0 if nothing has failed, warnings or not, and 1 otherwise.`,
		Example: `  $ caddy qwen doctor
  $ caddy qwen doctor --chat

  As the user of Caddy's system service:
  $ sudo -H -u caddy caddy qwen doctor --config /etc/caddy/Caddyfile

  What has failed:
  $ caddy qwen doctor --json | jq '.[] | select(.status == "failed")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			d.ctx, d.out, d.colour = ctx, cmd.OutOrStdout(), colours(cmd.OutOrStdout())
			return d.run(&config)
		},
	}
	config.add(cmd)
	cmd.Flags().BoolVar(&d.json, "json", false, "Print JSON for programs instead of text for people")
	cmd.Flags().BoolVar(&d.chat, "chat", false, "Also ask a model for a tiny answer")
	return cmd
}

// stepStatus is how a step of the doctor has ended.
type stepStatus string

const (
	stepOK      stepStatus = "ok"
	stepWarning stepStatus = "warning"
	stepFailed  stepStatus = "failed"
	stepSkipped stepStatus = "skipped"
)

// finding is what a step has found.
type finding struct {
	Step    string     `json:"step"`
	Account string     `json:"account,omitempty"` // its label, for steps of an account
	Status  stepStatus `json:"status"`
	Detail  string     `json:"detail"`
	Remedy  string     `json:"remedy,omitempty"`
	Took    int64      `json:"duration_ms"`
}

func fine(format string, args ...any) finding {
	return finding{Status: stepOK, Detail: fmt.Sprintf(format, args...)}
}

func skipped(format string, args ...any) finding {
	return finding{Status: stepSkipped, Detail: fmt.Sprintf(format, args...)}
}

func wrong(detail, remedy string) finding {
	return finding{Status: stepFailed, Detail: detail, Remedy: remedy}
}

func doubtful(detail, remedy string) finding {
	return finding{Status: stepWarning, Detail: detail, Remedy: remedy}
}

// doctor goes through the steps.
type doctor struct {
	ctx    context.Context
	out    io.Writer
	colour palette
	json   bool
	chat   bool

	h         *tool
	findings  []finding
	siteTime  clockReading
	reachable bool     // the site can be
	usable    *account // the first that the site accepts, or nil
	named     []string // models that can be asked
}

// errDoctor tells that something has failed.
var errDoctor = errors.New("something has failed; what to do is written above")

// run goes through all steps.
func (d *doctor) run(config *configFlags) error {
	defer func() {
		if d.h != nil {
			d.h.close()
		}
	}()
	d.step("configuration", "", func() finding { return d.configuration(config) })
	if d.h != nil {
		d.examine()
	}
	if d.ctx.Err() != nil {
		return errInterrupted
	}
	if d.json {
		if err := printJSON(d.out, d.findings); err != nil {
			return err
		}
	}
	for _, f := range d.findings {
		if f.Status == stepFailed {
			return errDoctor
		}
	}
	return nil
}

// examine goes through the steps that need a handler.
func (d *doctor) examine() {
	for _, a := range d.h.accounts {
		d.step("account file", a.label, func() finding { return d.accountFile(a) })
	}
	d.hosts()
	d.step("clock", "", d.clock)
	for _, a := range d.h.accounts {
		d.step("credential", a.label, func() finding { return d.credential(a) })
	}
	d.step("models", "", d.models)
	d.step("upload", "", d.upload)
	d.step("sessions", "", d.sessions)
	if d.chat {
		d.step("chat", "", d.ask)
	}
}

// step does one step, unless the user has interrupted the command, and prints what it
// has found.
func (d *doctor) step(name, account string, check func() finding) finding {
	if d.ctx.Err() != nil {
		return skipped("interrupted")
	}
	begun := time.Now()
	f := check()
	f.Step, f.Account, f.Took = name, account, time.Since(begun).Milliseconds()
	f.Detail, f.Remedy = shown(f.Detail), shown(f.Remedy)
	if d.ctx.Err() != nil {
		return f // it has failed only because of that
	}
	d.findings = append(d.findings, f)
	if !d.json {
		d.print(f)
	}
	return f
}

// print prints a finding for people.
func (d *doctor) print(f finding) {
	colour := map[stepStatus]string{stepOK: colourGreen, stepWarning: colourYellow, stepFailed: colourRed, stepSkipped: colourDim}[f.Status]
	name := f.Step
	if f.Account != "" {
		name += " " + shown(f.Account)
	}
	fmt.Fprintf(d.out, "%s  %s: %s\n", d.colour.paint(colour, fmt.Sprintf("%-7s", f.Status)), name, f.Detail)
	if f.Remedy != "" {
		fmt.Fprintf(d.out, "         → %s\n", f.Remedy)
	}
}

// sentence makes the beginning of an error's text that of a sentence without its end.
func sentence(text string) string { return strings.TrimSuffix(strings.TrimSpace(text), ".") }
