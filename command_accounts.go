package caddyqwen

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// accountsOptions are the flags of `caddy qwen accounts`.
type accountsOptions struct {
	clear, site string
	json        bool
}

// accountsCommand returns `caddy qwen accounts`.
func accountsCommand() *cobra.Command {
	o := new(accountsOptions)
	cmd := &cobra.Command{
		Use:   "accounts",
		Short: "Shows how the accounts are, and ends their rests",
		Long: `
Shows what is known of the accounts: the state of each and until when that lasts,
when its access token ends and whether a new one can be had, when the site
accepted it last, the last error, and what to do. The site is not asked; that is
what ` + "`caddy qwen doctor`" + ` does. Nothing secret is printed.

Run the command as the user that runs the server: what is known is in files in its
data directory, which the server writes within a minute. The server need not run.
An account is known from its first use on.

With --clear, the account of that label is used again at once, although it rests
after the site has asked for verification, has refused the credential, or has told
that a limit is used up. Do that when you have finished the check on the site, for
example. A server that runs notices with the next request. Where several sites
have an account of the label, all are meant unless --site names one.

The exit status is 0 if the command has done what it was asked for, and 1 with a
sentence on standard error if not; an unknown label is such an error.`,
		Example: `  $ caddy qwen accounts
  $ caddy qwen accounts --clear default

  As the user of Caddy's system service:
  $ sudo -H -u caddy caddy qwen accounts

  The labels of those that cannot be used:
  $ caddy qwen accounts --json | jq -r '.accounts[] | select(.state == "expired" or .state == "verification") | .label'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("clear") {
				return o.clearStates(cmd.OutOrStdout(), time.Now())
			}
			return o.list(cmd.OutOrStdout(), cmd.ErrOrStderr(), time.Now())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.clear, "clear", "", "The label of an account that is to be used again although it rests")
	flags.StringVar(&o.site, "site", "", "Only accounts of this site, such as https://chat.qwen.ai")
	flags.BoolVar(&o.json, "json", false, "Print JSON for programs instead of text for people")
	return cmd
}

// storedAccount is a state file with its place.
type storedAccount struct {
	*stateFile
	path string
}

// storedAccounts reads the state files, in the order of labels and sites. The errors
// are about those that cannot be read.
func storedAccounts(site string) (found []storedAccount, unread error) {
	dir := accountsDir()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w; run the command as the user that runs the server", err)
	}
	var errs []error
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".json") || strings.HasPrefix(entry.Name(), ".") {
			continue // another process is writing it
		}
		path := filepath.Join(dir, entry.Name())
		f, _, err := readStateFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // it has just been removed
		case err != nil:
			errs = append(errs, err)
		case site == "" || strings.TrimSuffix(f.BaseURL, "/") == strings.TrimSuffix(site, "/"):
			found = append(found, storedAccount{f, path})
		}
	}
	slices.SortFunc(found, func(a, b storedAccount) int {
		return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.BaseURL, b.BaseURL), b.Updated.Compare(a.Updated))
	})
	return found, errors.Join(errs...)
}

// report tells about the account.
func (f *stateFile) report(now time.Time) accountReport {
	k := &keeper{health: f.health, cred: qwen.Credential{Cookies: f.Cookies, Token: f.Token}, ends: f.Expires}
	r := k.report(now)
	r.Label = f.Label
	return r
}

// accountList is what `accounts --json` prints.
type accountList struct {
	Accounts []accountLine `json:"accounts"`
}

// accountLine is an account in JSON. Times that are not known are left out.
type accountLine struct {
	Label     string       `json:"label"`
	Site      string       `json:"site"`
	State     accountState `json:"state"`
	Until     string       `json:"until,omitempty"`
	Expires   string       `json:"token_expires,omitempty"`
	Renewable bool         `json:"renewable"`
	Checked   string       `json:"last_accepted,omitempty"`
	LastError string       `json:"last_error,omitempty"`
	FailedAt  string       `json:"failed_at,omitempty"`
	Remedy    string       `json:"remedy,omitempty"`
	Updated   string       `json:"updated"`
}

func accountLineOf(a storedAccount, now time.Time) accountLine {
	r := a.report(now)
	return accountLine{
		Label: a.Label, Site: a.BaseURL, State: r.State, Until: knownTime(r.Until), Expires: knownTime(r.Expires),
		Renewable: r.Renewable, Checked: knownTime(r.Checked), LastError: r.LastError, FailedAt: knownTime(r.FailedAt),
		Remedy: r.remedy(), Updated: exactTime(a.Updated),
	}
}

// knownTime is a time in JSON, or nothing for one that is not known.
func knownTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return exactTime(t)
}

// The remedies for what the site makes of accounts.
const (
	remedyCredential   = "log in to the site in a browser, copy a request to it, and run `caddy qwen import`"
	remedyVerification = "open the site in a browser, finish the check there, and wait some minutes; if it goes on, copy a request to the site again and run `caddy qwen import`"
	remedyQuota        = "wait until the limit ends, or use another model"
)

// remedy says what the owner can do, or nothing if there is nothing to do.
func (r accountReport) remedy() string {
	switch r.State {
	case accountExpired:
		return remedyCredential
	case accountVerification:
		return remedyVerification + ". Then `caddy qwen accounts --clear " + shown(r.Label) + "` ends the rest"
	case accountQuota:
		return remedyQuota
	case accountExpiring:
		return "the access token cannot be renewed: " + remedyCredential
	}
	if r.LastError == errorNoCredential {
		return remedyCredential
	}
	return ""
}

// errorNoCredential is the code of what an account without a credential suffers from.
const errorNoCredential = "no_credential"

// list prints the accounts.
func (o *accountsOptions) list(out, notes io.Writer, now time.Time) error {
	found, unread := storedAccounts(o.site)
	if len(found) == 0 && unread != nil {
		return unread
	}
	if unread != nil {
		fmt.Fprintln(notes, unread)
	}
	if o.json {
		list := accountList{Accounts: make([]accountLine, len(found))}
		for i, a := range found {
			list.Accounts[i] = accountLineOf(a, now)
		}
		return printJSON(out, list)
	}
	if len(found) == 0 {
		_, err := fmt.Fprintf(out, "No account is known in %s. Run the command as the user that runs the server; an account is known from its first use on.\n", accountsDir())
		return err
	}
	rows := [][]string{{"LABEL", "SITE", "STATE", "UNTIL", "TOKEN ENDS", "RENEWABLE", "LAST ACCEPTED", "LAST ERROR"}}
	colour := colours(out)
	var advice strings.Builder
	for _, a := range found {
		r := a.report(now)
		rows = append(rows, []string{shown(a.Label), shown(a.BaseURL), string(r.State), timeOrDash(r.Until), timeOrDash(r.Expires),
			yesNo(r.Renewable), timeOrDash(r.Checked), shown(cmp.Or(r.LastError, "-"))})
		if remedy := r.remedy(); remedy != "" {
			fmt.Fprintf(&advice, "\n%s: %s.\n", colour.paint(colourYellow, shown(a.Label)), remedy)
		}
	}
	if err := writeTable(out, rows); err != nil {
		return err
	}
	_, err := io.WriteString(out, advice.String())
	return err
}

// timeOrDash is a time for people, or a dash for one that is not known.
func timeOrDash(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return localTime(t)
}

// clearedList is what `accounts --clear --json` prints.
type clearedList struct {
	Cleared []clearedLine `json:"cleared"`
}

type clearedLine struct {
	Label string       `json:"label"`
	Site  string       `json:"site"`
	State accountState `json:"state"` // that has ended

	rested bool
}

// clearStates ends the rests of the accounts with the label.
func (o *accountsOptions) clearStates(out io.Writer, now time.Time) error {
	all, unread := storedAccounts(o.site)
	var cleared []clearedLine
	for _, a := range all {
		if a.Label != o.clear {
			continue
		}
		before := a.report(now)
		cleared = append(cleared, clearedLine{a.Label, a.BaseURL, before.State, before.resting() || before.State == accountQuota})
		if !cleared[len(cleared)-1].rested {
			continue // what is known of it stays, and a file that nobody uses any more ages
		}
		a.health = health{Checked: a.Checked}
		a.Updated = now.UTC()
		if _, err := writeStateFile(a.path, a.stateFile, nil); err != nil {
			return fmt.Errorf("%w; run the command as the user that runs the server", err)
		}
	}
	if len(cleared) == 0 {
		return errors.Join(unknownLabel(o.clear, all), unread)
	}
	if o.json {
		return printJSON(out, clearedList{cleared})
	}
	for _, c := range cleared {
		what := "It is used again from the next request on"
		if !c.rested {
			what = "It did not rest, and is used as before"
		}
		if _, err := fmt.Fprintf(out, "%s at %s was %s. %s.\n", shown(c.Label), shown(c.Site), c.State, what); err != nil {
			return err
		}
	}
	return nil
}

// unknownLabel says which labels there are instead.
func unknownLabel(label string, all []storedAccount) error {
	var labels []string
	for _, a := range all {
		if name := fmt.Sprintf("%q", a.Label); !slices.Contains(labels, name) {
			labels = append(labels, name)
		}
	}
	if len(labels) == 0 {
		return fmt.Errorf("no account is known in %s; run the command as the user that runs the server", accountsDir())
	}
	return fmt.Errorf("there is no account %q; there are %s", label, strings.Join(labels, ", "))
}
