package caddyqwen

import (
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "qwen",
		Usage: "<command>",
		Short: "Helps to run the OpenAI-compatible API for chat.qwen.ai",
		Long: `
Helps to run the handler of the same name, which makes your own account on
chat.qwen.ai available as an OpenAI-compatible API.`,
		CobraFunc: setUpQwenCommand,
	})
}

// setUpQwenCommand makes cmd, which is `caddy qwen`, the parent of its
// sub-commands. By itself, it shows its help.
func setUpQwenCommand(cmd *cobra.Command) {
	cmd.Example = "  $ caddy qwen demo\n  $ caddy qwen import\n  $ caddy qwen key\n  $ caddy qwen doctor\n  $ caddy qwen chat \"Hello!\""
	cmd.Args = cobra.NoArgs // an unknown sub-command is an error
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(qwenCommands()...)
}

// qwenCommands returns the sub-commands of `caddy qwen`.
func qwenCommands() []*cobra.Command {
	return []*cobra.Command{
		keyCommand(),
		importCommand(),
		modelsCommand(),
		doctorCommand(),
		chatCommand(),
		accountsCommand(),
		demoCommand(),
		sessionsCommand(),
	}
}

// keyCommand returns `caddy qwen key`.
func keyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Prints the generated API key",
		Long: `
Prints the API key that clients have to present if none is configured, and makes
it if there is none yet. The key is stored in Caddy's data directory, readable by
its owner only.

The key is valid only while no api_key is in the configuration and VALID_TOKENS
is empty.

Run the command as the user that runs the server, because every user has an own
data directory. To replace the key, delete the file: the server notices at once.

Standard output is the key and nothing else, or with --json an object with the key
and its file; what is to be known about it goes to standard error.

The exit status is 0 if the key was printed, and 1 with a sentence on standard
error if not.`,
		Example: `  $ caddy qwen key

  As the user of Caddy's system service:
  $ sudo -H -u caddy caddy qwen key

  In a container:
  $ docker exec <container> caddy qwen key

  As a variable for a client:
  $ export OPENAI_API_KEY="$(caddy qwen key)"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := generatedKeyPath()
			key, _, err := loadOrCreateKey(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "The key is stored in %s and used only if no API key is configured.\n", path)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), printedKey{key, path})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), key)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print JSON for programs")
	return cmd
}

// printedKey is what `key --json` prints.
type printedKey struct {
	Key  string `json:"key"`
	File string `json:"file"`
}
