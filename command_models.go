package caddyqwen

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// interruptible returns a context that ends when the user interrupts the command, or
// nobody reads any more what it prints.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE)
}

// toolTime is how long a command may take that asks the site for something small.
const toolTime = 30 * time.Second

// plainError returns a failure in the words of the API.
func plainError(err error) error {
	return &toolError{describe(err).Message, err}
}

// modelsCommand returns `caddy qwen models`.
func modelsCommand() *cobra.Command {
	var config configFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "models",
		Short: "Lists the models of the site",
		Long: `
Lists the models that the site offers: what each can do, how many tokens it takes,
and the further names that requests can use, your own aliases and the built-in
ones. ` + "`-thinking`" + ` or ` + "`-fast`" + ` at the end of a name switches thinking on or off where
the model can do both.

With --json, the output is what GET /v1/models answers.

The exit status is 0 if there is a list, and 1 with a sentence on standard error
if not.`,
		Example: `  $ caddy qwen models
  $ caddy qwen models --config /etc/caddy/Caddyfile

  The names only:
  $ caddy qwen models --json | jq -r '.data[].id'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			h, err := config.load(nil)
			if err != nil {
				return err
			}
			defer h.close()
			if text := h.notice(); text != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), text)
			}
			return printModels(ctx, h.Handler, cmd.OutOrStdout(), asJSON)
		},
	}
	config.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print JSON for programs instead of a table")
	return cmd
}

// printModels prints the models of the site.
func printModels(ctx context.Context, h *Handler, out io.Writer, asJSON bool) error {
	ctx, cancel := context.WithTimeout(ctx, toolTime)
	defer cancel()
	models, err := h.models(ctx)
	if err != nil {
		return plainError(err)
	}
	entries := listedModels(models, h.ModelAliases)
	if asJSON {
		return printJSON(out, modelList{Object: "list", Data: entries})
	}
	aliases := map[string][]string{}
	for _, e := range entries {
		if e.Meta.AliasOf != "" {
			aliases[e.Meta.AliasOf] = append(aliases[e.Meta.AliasOf], shown(e.ID))
		}
	}
	rows := [][]string{{"MODEL", "NAME", "TAKES AND DOES", "CONTEXT", "ALIASES"}}
	for _, e := range entries {
		if e.Meta.AliasOf == "" && isModel(models, e.ID) {
			rows = append(rows, []string{shown(e.ID), shown(e.Meta.Name), e.abilities(), tokenCount(e.Meta.MaxContext), strings.Join(aliases[e.ID], ", ")})
		}
	}
	return writeTable(out, rows)
}

// abilities tells in words what a model takes and does besides text.
func (e modelEntry) abilities() string {
	c := e.Meta.Capabilities
	if c == nil {
		return "?"
	}
	var words []string
	for _, ability := range []struct {
		has  bool
		word string
	}{
		{c.Vision, "images"}, {c.Video, "video"}, {c.Audio, "sound"}, {c.Document, "documents"},
		{c.Thinking && e.Meta.Thinking == "on", "always thinks"}, {c.Thinking && e.Meta.Thinking != "on", "thinking"},
	} {
		if ability.has {
			words = append(words, ability.word)
		}
	}
	if len(words) == 0 {
		return "text"
	}
	return strings.Join(words, ", ")
}

// tokenCount is a number of tokens, or a question mark for an unknown one.
func tokenCount(n int) string {
	if n <= 0 {
		return "?"
	}
	return strconv.Itoa(n)
}
