package caddyqwen

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/caddy-qwen/caddy-qwen/session/sqlite"
)

// sessionsCommand returns `caddy qwen sessions`.
func sessionsCommand() *cobra.Command {
	f := new(sessionsFlags)
	cmd := &cobra.Command{
		Use:   "sessions <command>",
		Short: "Shows and forgets which conversation is in which chat of the site",
		Long: `
Shows and forgets what the server remembers about conversations: which one is in
which chat of the site, and where. That is in a file of digests, ids, times and
names of callers. There is no text of any message in it and nothing secret.

The commands work on the file, also while a server uses it, and never make one.
Run them as the user that runs the server: its data directory is where the file
is by default, and only that user may open it. If the Caddyfile has
` + "`sessions sqlite <path>`" + `, name that file with --file.

Nothing is changed on the site. Use DELETE /v1/chats/{id} of the API to delete a
chat there.

The exit status is 0 if the command has done what it was asked for, and 1 with a
sentence on standard error if not; a chat that is unknown is such an error.`,
		Example: `  $ caddy qwen sessions list
  $ caddy qwen sessions show <chat-id>
  $ caddy qwen sessions forget <chat-id>

  As the user of Caddy's system service:
  $ sudo -H -u caddy caddy qwen sessions list`,
		Args: cobra.NoArgs, // an unknown sub-command is an error
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.file, "file", "", "The file of the session store (default: qwen/sessions.db in Caddy's data directory)")
	flags.BoolVar(&f.json, "json", false, "Print JSON for programs instead of text for people")
	cmd.AddCommand(f.listCommand(), f.showCommand(), f.forgetCommand(), f.exportCommand(), f.wipeCommand())
	return cmd
}

// sessionsFlags are the flags that all commands about the session store have.
type sessionsFlags struct {
	file string
	json bool
}

// sessionsRun is what a command about the session store works with.
type sessionsRun struct {
	ctx   context.Context
	store *sqlite.Store
	path  string
	json  bool
	out   io.Writer
}

// run returns the function of a command: it opens the store and passes it on. The
// errors it returns are sentences that say what to do.
func (f *sessionsFlags) run(do func(r *sessionsRun, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		path := f.file
		if path == "" {
			path = defaultSessionsPath()
		}
		store, err := sqlite.OpenFile(path)
		if err != nil {
			return explainFile(path, err)
		}
		defer store.Close() // never fails
		r := &sessionsRun{ctx: cmd.Context(), store: store, path: path, json: f.json, out: cmd.OutOrStdout()}
		return explainStore(path, do(r, args))
	}
}

func (f *sessionsFlags) listCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists the chats that were opened for callers",
		Long: `
Lists the chats of the site that were opened for callers, the last used first:
whose they are, for which model, how many turns are remembered, when they were
opened and used last, in the time zone of this computer, and whether the server
may delete them on the site, because they were opened under ` + "`chats delete`" + ` or
` + "`chats temporary`" + `. The last line tells how many chats there are in all.`,
		Example: `  $ caddy qwen sessions list
  $ caddy qwen sessions list --caller alice --limit 0

  The ids only:
  $ caddy qwen sessions list --limit 0 --json | jq -r '.chats[].chat_id'`,
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if o.limit < 0 {
				return fmt.Errorf("--limit must be 0, for all chats, or more")
			}
			return nil
		},
		RunE: f.run(func(r *sessionsRun, _ []string) error { return r.list(o) }),
	}
	cmd.Flags().StringVar(&o.caller, "caller", "", "Only the chats of this caller: the name of its API key, its user name, or what the column CALLER says")
	cmd.Flags().IntVar(&o.limit, "limit", 50, "How many chats to list at most; 0: all")
	return cmd
}

func (f *sessionsFlags) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show <chat-id>",
		Short: "Shows the turns of a chat as a tree",
		Long: `
Shows what is remembered of a chat: its turns as a tree, each below and further
to the right than the one it follows. Each line has the time, how many messages
the turn added to the conversation, the first digits of the digest of the whole
conversation so far, and the site's id of the answer. Several turns below the same
one are branches: edited or repeated questions.

A turn marked with … follows one that is forgotten. Below level 20 the lines begin
with the number of their level instead of going further to the right.

Several chats are shown if chats of different accounts have the id.`,
		Example: `  $ caddy qwen sessions show 3f8a9a52-7a0c-4a7e-9e0d-5b3c1a2f4e6d
  $ caddy qwen sessions show --json 3f8a9a52-7a0c-4a7e-9e0d-5b3c1a2f4e6d`,
		Args: cobra.ExactArgs(1),
		RunE: f.run((*sessionsRun).show),
	}
}

func (f *sessionsFlags) forgetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "forget <chat-id>...",
		Short: "Forgets the turns of chats, so that conversations go on in new ones",
		Long: `
Forgets the turns of chats. The next request of such a conversation gets a new
chat, with the history as text. A turn that is being answered at the moment is
remembered when it ends.

The chats stay on the site, and the server still knows that they are its own: it
deletes them when they are due, and DELETE /v1/chats/{id} goes on working.

If one of the chats is unknown, none is forgotten.`,
		Example: `  $ caddy qwen sessions forget 3f8a9a52-7a0c-4a7e-9e0d-5b3c1a2f4e6d`,
		Args:    cobra.MinimumNArgs(1),
		RunE:    f.run((*sessionsRun).forget),
	}
}

func (f *sessionsFlags) exportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Prints all chats and turns as lines of JSON",
		Long: `
Prints all that is remembered as lines of JSON, with or without --json. A line
whose "type" is "chat" is followed by those of its turns, whose "type" is "turn",
the oldest first. Digests are in hexadecimal digits, times as in RFC 3339.

What a server changes meanwhile may be in the output or not.`,
		Example: `  $ caddy qwen sessions export > sessions.jsonl`,
		Args:    cobra.NoArgs,
		RunE:    f.run(func(r *sessionsRun, _ []string) error { return r.export() }),
	}
}

func (f *sessionsFlags) wipeCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "wipe",
		Short: "Removes all chats and turns from the file",
		Long: `
Removes everything from the file, and what is left of it in free space. All
conversations go on in new chats, with the history as text.

The chats stay on the site. The server does not know any more that they are its
own: those opened under ` + "`chats delete`" + ` will not be deleted, and
DELETE /v1/chats/{id} does not find them. Copies beside the file, which the server
keeps of damaged files and of older versions, stay, too.

Without --yes nothing is removed: the command tells how much it would be, and
fails.`,
		Example: `  $ caddy qwen sessions wipe
  $ caddy qwen sessions wipe --yes`,
		Args: cobra.NoArgs,
		RunE: f.run(func(r *sessionsRun, _ []string) error { return r.wipe(yes) }),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "Really remove everything")
	return cmd
}
