package caddyqwen

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// chatOptions are the flags of `caddy qwen chat`.
type chatOptions struct {
	config     configFlags
	model      string
	files      []string
	system     string
	think      bool
	json       bool
	url, key   string
	local      *tool // nil with --url
	text       string
	seesFiles  bool // one of the files is no document
	attachment []any
}

// chatCommand returns `caddy qwen chat`.
func chatCommand() *cobra.Command {
	o := new(chatOptions)
	cmd := &cobra.Command{
		Use:   "chat [<text>... | -]",
		Short: "Asks a model, and prints the answer as it comes",
		Long: `
Asks a model of the site, and prints the answer as it comes. The text may be
several arguments. A ` + "`-`" + ` among them stands for what is on standard input, which is
also read if there is no text and no terminal.

The command works by itself, with the account of the configuration: no server has
to run. It remembers nothing: each call is a new chat, and what becomes of it on
the site is as the configuration says, except that ` + "`chats delete`" + ` is like
` + "`chats temporary`" + ` here. With --url it asks a running server instead.

Files are uploaded first. What they are is decided by their content: images,
videos, sound and documents. If there is a file that only some models can take and
no model is named, one is chosen that can see.

The answer is on standard output. On a terminal, standard error shows how far
uploads are, and in a dim colour what the model thinks; NO_COLOR switches colours
off. Ctrl+C ends the answer on the site, too.

The exit status is 0 if the whole answer has come, and 1 with a sentence on
standard error if not.`,
		Example: `  $ caddy qwen chat "What is the capital of France?"
  $ caddy qwen chat -m qwen3-max --think "Prove that the square root of 2 is irrational."
  $ caddy qwen chat -f chart.png -f report.pdf "Does the chart agree with the report?"
  $ git diff | caddy qwen chat "Review this change:" -

  A running server:
  $ caddy qwen chat --url https://api.example.com/v1 --key "$OPENAI_API_KEY" "Hello!"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	o.config.add(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&o.model, "model", "m", "", "The model (default: default_model of the configuration, or qwen)")
	flags.StringArrayVarP(&o.files, "file", "f", nil, "A file to attach; may be repeated")
	flags.StringVar(&o.system, "system", "", "What the model is to know or to do in any case")
	flags.BoolVar(&o.think, "think", false, "Let the model think before it answers")
	flags.BoolVar(&o.json, "json", false, "Print the whole answer as a chat.completion object")
	flags.StringVar(&o.url, "url", "", "The base URL of a running server to ask, such as http://127.0.0.1:8080/v1")
	flags.StringVar(&o.key, "key", "", "The API key for --url (default: the variable OPENAI_API_KEY)")
	cmd.MarkFlagsMutuallyExclusive("url", "config")
	return cmd
}

// run asks, and prints the answer.
func (o *chatOptions) run(cmd *cobra.Command, args []string) (err error) {
	ctx, stop := interruptible(cmd)
	defer stop()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = errInterrupted
		}
	}()
	if o.key != "" && o.url == "" {
		return errors.New("--key is for a running server, which --url names")
	}
	if o.text, err = readPrompt(cmd.InOrStdin(), args); err != nil {
		return err
	}
	bar := new(progressBar)
	if onTerminal(cmd.ErrOrStderr()) {
		bar.out = cmd.ErrOrStderr()
	}
	client, done, err := o.connect(cmd.ErrOrStderr(), bar)
	if err != nil {
		return err
	}
	defer done()
	if err := o.upload(ctx, client, bar); err != nil {
		return err
	}
	return o.ask(ctx, client, newAnswerPrinter(cmd.OutOrStdout(), cmd.ErrOrStderr(), bar))
}

var errInterrupted = errors.New("interrupted")

// maxInput is the largest text that is read from standard input in bytes. The API
// takes no larger ones.
const maxInput = 16 << 20

// readPrompt returns the text of the arguments and of standard input.
func readPrompt(in io.Reader, args []string) (string, error) {
	if len(args) == 0 {
		if onTerminal(in) {
			return "", errors.New("there is nothing to ask: write a text behind the command, or pipe one into it")
		}
		args = []string{"-"}
	}
	var parts []string
	var words []string
	read := false
	for _, arg := range args {
		if arg != "-" || read {
			words = append(words, arg)
			continue
		}
		text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
		if err != nil {
			return "", fmt.Errorf("standard input: %w", err)
		}
		if len(text) > maxInput {
			return "", errors.New("the text on standard input is larger than 16 MiB; attach it as a file with -f")
		}
		parts, words, read = append(parts, strings.Join(words, " "), string(text)), nil, true
	}
	parts = append(parts, strings.Join(words, " "))
	var kept []string
	for _, part := range parts {
		if part = strings.TrimRight(part, "\r\n"); part != "" {
			kept = append(kept, part)
		}
	}
	text := strings.Join(kept, "\n\n")
	switch {
	case strings.TrimSpace(text) == "":
		return "", errors.New("there is nothing to ask: the text is empty")
	case !utf8.ValidString(text):
		return "", errors.New("the text is not UTF-8; attach what is no text as a file with -f")
	}
	return text, nil
}

// connect returns a client of a running server or of one of its own, and what ends
// all that belongs to it.
func (o *chatOptions) connect(notes io.Writer, bar *progressBar) (*apiClient, func(), error) {
	if o.url != "" {
		base, err := apiBase(o.url)
		if err != nil {
			return nil, nil, err
		}
		client := newAPIClient(base, cmp.Or(o.key, os.Getenv("OPENAI_API_KEY")), http.ProxyFromEnvironment)
		return client, client.close, nil
	}
	key := newGeneratedKey()
	t, err := o.config.load(forCommand(key))
	if err != nil {
		return nil, nil, err
	}
	if text := t.notice(); text != "" {
		fmt.Fprintln(notes, text)
	}
	base, stop, err := t.serve(bar.draw)
	if err != nil {
		t.close()
		return nil, nil, err
	}
	o.local = t
	client := newAPIClient(base, key, nil)
	return client, func() {
		client.close()
		stop()
		t.close()
	}, nil
}

// upload uploads the files, one after the other.
func (o *chatOptions) upload(ctx context.Context, client *apiClient, bar *progressBar) error {
	for _, path := range o.files {
		bar.label, bar.columns = shown(filepath.Base(path)), terminalColumns(bar.out)
		var sent func(sent, size int64)
		if o.local == nil { // what is sent to this computer says nothing
			sent = func(sent, size int64) { bar.draw(int(sent * 100 / max(size, 1))) }
		}
		f, err := client.upload(ctx, path, sent)
		bar.clear()
		if err != nil {
			return err
		}
		o.attachment = append(o.attachment, map[string]any{"type": "file", "file": map[string]string{"file_id": f.ID}})
		o.seesFiles = o.seesFiles || f.Type != "file"
	}
	return nil
}

// chosenModel is the model to ask.
func (o *chatOptions) chosenModel() string {
	name, seen := o.model, false
	if o.local != nil {
		name, seen = cmp.Or(name, o.local.DefaultModel), o.local.VisionModel != ""
	}
	if o.seesFiles && !seen {
		return cmp.Or(name, seeingModel)
	}
	return cmp.Or(name, "qwen")
}

// request is the chat request.
func (o *chatOptions) request() ([]byte, error) {
	var messages []any
	if o.system != "" {
		messages = append(messages, map[string]any{"role": "system", "content": o.system})
	}
	var content any = o.text
	if len(o.attachment) > 0 {
		content = append([]any{map[string]any{"type": "text", "text": o.text}}, o.attachment...)
	}
	request := map[string]any{
		"model": o.chosenModel(), "stream": !o.json,
		"messages": append(messages, map[string]any{"role": "user", "content": content}),
	}
	if o.think {
		request["enable_thinking"] = true
	}
	return json.Marshal(request)
}

// ask sends the request and prints the answer.
func (o *chatOptions) ask(ctx context.Context, client *apiClient, p *answerPrinter) error {
	body, err := o.request()
	if err != nil {
		return err
	}
	resp, err := client.post(ctx, "/chat/completions", "application/json", bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if o.json {
		var answer json.RawMessage
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			return fmt.Errorf("the server's answer cannot be understood: %w", errOtherAPI)
		}
		return printJSON(p.out, answer)
	}
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		return fmt.Errorf("the server's answer is no stream: %w", errOtherAPI)
	}
	err = client.stream(resp.Body, p.take)
	return errors.Join(p.end(), err)
}

// answerPrinter prints an answer as it comes.
type answerPrinter struct {
	out, notes io.Writer
	bar        *progressBar
	safe       bool    // out is a terminal, which must not get commands
	thoughts   bool    // notes is one
	dim        palette // for notes
	thinking   bool    // thoughts were printed last
	open       bool    // the last line of the answer has no end
	reason     string
}

func newAnswerPrinter(out, notes io.Writer, bar *progressBar) *answerPrinter {
	return &answerPrinter{out: out, notes: notes, bar: bar, safe: onTerminal(out), thoughts: onTerminal(notes), dim: colours(notes)}
}

func (p *answerPrinter) take(piece answerPiece) error {
	if piece.uploading > 0 {
		p.bar.draw(piece.uploading)
		return nil
	}
	p.reason = cmp.Or(piece.reason, p.reason)
	if piece.reasoning == "" && piece.text == "" {
		return nil
	}
	p.bar.clear()
	if piece.reasoning != "" && p.thoughts {
		p.thinking = true
		fmt.Fprint(p.notes, p.dim.paint(colourDim, withoutControls(piece.reasoning)))
	}
	if piece.text == "" {
		return nil
	}
	if p.thinking {
		p.thinking = false
		fmt.Fprint(p.notes, "\n\n")
	}
	p.open = !strings.HasSuffix(piece.text, "\n")
	if p.safe {
		piece.text = withoutControls(piece.text)
	}
	_, err := io.WriteString(p.out, piece.text)
	return err
}

// end ends the last line, and tells of an answer that has been cut.
func (p *answerPrinter) end() (err error) {
	p.bar.clear()
	if p.open {
		_, err = io.WriteString(p.out, "\n")
	}
	if p.thinking {
		fmt.Fprintln(p.notes)
	}
	if p.reason == "length" {
		fmt.Fprintln(p.notes, "The answer was cut: it has reached the largest length.")
	}
	return err
}

// withoutControls is text as a terminal may get it. It keeps the marks that some
// scripts and emoji need.
func withoutControls(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\n' || c == '\t' || c == '\u200d' || c == '\u200c' || !unicode.IsControl(c) && !unicode.Is(unicode.Bidi_Control, c) {
			return c
		}
		return -1
	}, s)
}
