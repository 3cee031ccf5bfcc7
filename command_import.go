package caddyqwen

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-qwen/caddy-qwen/internal/browser"
)

// importCommand returns `caddy qwen import`.
func importCommand() *cobra.Command {
	r := new(importRun)
	cmd := &cobra.Command{
		Use:   "import [<file>]",
		Short: "Takes your account from what your browser copies of a request",
		Long: `
Takes your account from what your own browser sends to the site, and writes it into
an account file, which the server reads. The file is readable by its owner only.

 1. Log in to https://chat.qwen.ai in a browser.
 2. Open the developer tools (F12), choose Network, and send a message on the page.
 3. Click with the right button on a request to chat.qwen.ai, such as completions,
    and choose Copy, Copy as cURL.
 4. Start this command, paste, press Enter and then Ctrl+D.

What is read is a file, or standard input without one or with -. It may be the
request as cURL (for bash or cmd), PowerShell or fetch for Node.js, its headers, the
Cookie header, its value, a token, or an account file. Chrome, Edge, Firefox and
Safari are understood. Nothing of it is executed. Of the headers those are kept
that tell which browser it is; the site compares them with the cookies.

The command shows what it has found, but no secrets: names of cookies and headers,
until when the token is good, whether it can be renewed, and what is missing. An
account file that is there is replaced, at once and as a whole; do the same again
when the site does not accept the cookies any more. A server that uses the file
notices. Another file is never replaced, and nothing is written if nothing usable is
found.

Run the command as the user that runs the server, because every user has an own
data directory.

The exit status is 0 if the account file has been written, and 1 with a sentence on
standard error if not: there is nothing usable, or the file cannot be written.`,
		Example: `  $ caddy qwen import
  $ caddy qwen import request.txt

  From the clipboard (macOS, X11, Windows):
  $ pbpaste | caddy qwen import
  $ xclip -o -selection clipboard | caddy qwen import
  > Get-Clipboard | caddy qwen import

  As the user of Caddy's system service:
  $ sudo -H -u caddy caddy qwen import

  In a container:
  $ docker exec -i <container> caddy qwen import < request.txt

  A second account, to be named with file in an account block:
  $ caddy qwen import --output /etc/caddy/second.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: r.run,
	}
	cmd.Flags().StringVarP(&r.output, "output", "o", "", "The account file to write (default: qwen/account.json in Caddy's data directory)")
	cmd.Flags().BoolVar(&r.json, "json", false, "Print JSON for programs instead of text for people")
	return cmd
}

// importRun is one run of the command.
type importRun struct {
	output string
	json   bool
}

func (r *importRun) run(cmd *cobra.Command, args []string) error {
	paste, err := readPaste(cmd, args)
	if err != nil {
		return err
	}
	path, err := r.path()
	if err != nil {
		return err
	}
	report := newImportReport(paste, path, time.Now())
	if err := report.useless(); err != nil {
		return err
	}
	if err := checkReplaceable(path, r.output == ""); err != nil {
		return err
	}
	if err := writeAccountFile(path, pasted(paste)); err != nil {
		return err
	}
	if r.json {
		return printJSON(cmd.OutOrStdout(), report)
	}
	_, err = io.WriteString(cmd.OutOrStdout(), report.text())
	return err
}

// path returns the account file to write. It is shown, and goes into a Caddyfile, so
// it must not depend on the directory.
func (r *importRun) path() (string, error) {
	if r.output == "" {
		return defaultAccountFile(), nil
	}
	return filepath.Abs(r.output)
}

// readPaste reads the file that args name, or standard input.
func readPaste(cmd *cobra.Command, args []string) (browser.Paste, error) {
	source, data, err := "standard input", []byte(nil), error(nil)
	if len(args) > 0 && args[0] != "-" {
		source = args[0]
		data, _, err = readSmallFile(source)
	} else {
		data, err = readInput(cmd)
	}
	if err != nil {
		return browser.Paste{}, fmt.Errorf("nothing was read: %w", err)
	}
	paste, err := parsePaste(data)
	if err != nil {
		return browser.Paste{}, fmt.Errorf("nothing usable in %s: %w", source, err)
	}
	return paste, nil
}

// readInput reads standard input, whatever it is. Somebody who sits at it is told
// what to do.
func readInput(cmd *cobra.Command) ([]byte, error) {
	in := cmd.InOrStdin()
	if f, ok := in.(*os.File); ok && isTerminal(f) {
		return readTerminal(f, func() {
			// Such a terminal does not return to the left by itself.
			fmt.Fprint(cmd.ErrOrStderr(), "Paste what your browser has copied, press Enter and then Ctrl+D. It is not shown.\r\n")
		})
	}
	return io.ReadAll(io.LimitReader(in, accountFileMaxSize+1))
}

// checkReplaceable refuses to replace what is no account file. The file in Caddy's
// data directory can be nothing else, even if it is damaged.
func checkReplaceable(path string, ours bool) error {
	data, _, err := readSmallFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("nothing was written: %w", err)
	case ours || len(strings.TrimSpace(string(data))) == 0:
		return nil
	}
	if !isAccount(data) {
		return fmt.Errorf("nothing was written: %s is there already, and it is no account file; choose another name, or delete it", path)
	}
	return nil
}

// setting is how files begin that hold settings, such as .env. A single one looks like
// a cookie.
var setting = regexp.MustCompile(`^\s*[A-Z][A-Z0-9_]*=`)

// isAccount reports whether a file holds an account.
func isAccount(data []byte) bool {
	paste, err := parsePaste(data)
	cred := pasted(paste)
	return err == nil && (cred.AccessToken() != "" || cred.Renewable()) && !setting.Match(data)
}
