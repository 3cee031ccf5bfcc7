package caddyqwen

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

// readmes are the same text in two languages.
var readmes = []string{"README.md", "README.zh-CN.md"}

// document is a text in Markdown.
type document struct {
	path   string
	blocks []codeBlock
	prose  string // what is outside of the blocks
}

type codeBlock struct{ language, text string }

var fencePattern = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

func mustReadDocument(t *testing.T, path string) document {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	d := document{path: path, prose: fencePattern.ReplaceAllString(text, "")}
	for _, m := range fencePattern.FindAllStringSubmatch(text, -1) {
		d.blocks = append(d.blocks, codeBlock{m[1], m[2]})
	}
	if strings.Contains(d.prose, "```") {
		t.Errorf("%s: a code block does not end, or starts in the middle of a line", path)
	}
	return d
}

// mustReadDocuments returns all documents of the repository.
func mustReadDocuments(t *testing.T) []document {
	t.Helper()
	var documents []document
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: no files, %v", pattern, err)
		}
		for _, path := range paths {
			documents = append(documents, mustReadDocument(t, path))
		}
	}
	return documents
}

// in returns the blocks in a language.
func (d document) in(language string) (texts []string) {
	for _, b := range d.blocks {
		if b.language == language {
			texts = append(texts, b.text)
		}
	}
	return texts
}

var headingPattern = regexp.MustCompile(`(?m)^(#+) (.*)$`)

// rows returns the cells of the tables whose head starts with a cell.
func (d document) rows(head string) (rows [][]string) {
	inside := false
	for line := range strings.SplitSeq(d.prose, "\n") {
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "| "), `\|`, "\x00"), " | ")
		switch {
		case cells[0] == head:
			inside = true
		case inside && !strings.HasPrefix(cells[0], "---"):
			rows = append(rows, cells)
		}
	}
	return rows
}

var codePattern = regexp.MustCompile("`([^`]+)`")

// codes returns what is set as code in a text.
func codes(text string) (list []string) {
	for _, m := range codePattern.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

func TestDocsJSON(t *testing.T) {
	for _, d := range mustReadDocuments(t) {
		for _, text := range d.in("json") {
			if !json.Valid([]byte(text)) {
				t.Errorf("%s: not JSON: %s", d.path, text)
			}
			if !strings.Contains(text, `"messages"`) {
				continue
			}
			if _, err := openai.ParseChat([]byte(text), openai.Limits{}); err != nil {
				t.Errorf("%s: %v in the request %s", d.path, err, text)
			}
		}
	}
}

var linkPattern = regexp.MustCompile(`\]\(([^)]*)\)`)

func TestDocsLinks(t *testing.T) {
	for _, d := range mustReadDocuments(t) {
		for _, m := range linkPattern.FindAllStringSubmatch(d.prose, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.HasPrefix(target, "https://") {
				continue
			}
			path := d.path
			if target != "" {
				path = filepath.Join(filepath.Dir(d.path), target)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: link to %s: %v", d.path, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(mustReadDocument(t, path)), anchor) {
				t.Errorf("%s: link to %s: there is no such section", d.path, m[1])
			}
		}
	}
}

// anchors returns the names under which GitHub links to a document's sections.
func anchors(d document) (names []string) {
	for _, m := range headingPattern.FindAllStringSubmatch(d.prose, -1) {
		names = append(names, strings.Map(func(c rune) rune {
			switch {
			case c == ' ':
				return '-'
			case c == '-' || c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c):
				return unicode.ToLower(c)
			}
			return -1
		}, m[2]))
	}
	return names
}

func TestReadmesAgree(t *testing.T) {
	english, chinese := mustReadDocument(t, readmes[0]), mustReadDocument(t, readmes[1])
	if !slices.Equal(english.blocks, chinese.blocks) {
		t.Error("the code blocks of the two READMEs differ")
	}
	levels := func(d document) (list []int) {
		for _, m := range headingPattern.FindAllStringSubmatch(d.prose, -1) {
			list = append(list, len(m[1]))
		}
		return list
	}
	if e, c := levels(english), levels(chinese); !slices.Equal(e, c) {
		t.Errorf("the READMEs have sections of the levels %v and %v", e, c)
	}
}

// TestDocsCommands checks that every command of the documents is run by .ci/run,
// which does so where no file of the owner is touched.
func TestDocsCommands(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := map[string]bool{ // needs the network and is of git, not of this project
		"git clone https://github.com/caddy-qwen/caddy-qwen": true,
		"cd caddy-qwen": true,
	}
	for _, line := range shellCommands(t) {
		if !elsewhere[line] && !isDeployCommand(line) && !strings.Contains(string(script), line) {
			t.Errorf(".ci/run does not run %q, which a document recommends", line)
		}
	}
}

// shellCommands returns the commands that the documents recommend.
func shellCommands(t *testing.T) (list []string) {
	t.Helper()
	for _, path := range []string{readmes[0], migrating} {
		for _, text := range mustReadDocument(t, path).in("sh") {
			for line := range strings.Lines(text) {
				list = append(list, strings.TrimSpace(line))
			}
		}
	}
	return list
}

// TestReadmeCaddyVersion checks that the README builds the Caddy that is tested.
func TestReadmeCaddyVersion(t *testing.T) {
	module, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	build := regexp.MustCompile(`xcaddy build (v\S+)`)
	for _, text := range mustReadDocument(t, readmes[0]).in("sh") {
		for _, m := range build.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(module), "github.com/caddyserver/caddy/v2 "+m[1]+"\n") {
				t.Errorf("the README builds Caddy %s, and go.mod requires another", m[1])
			}
		}
	}
}

// TestDocsSessionsCommands compares the READMEs' table of commands with what
// there is: the commands, their arguments and their flags.
func TestDocsSessionsCommands(t *testing.T) {
	var known []string
	for _, cmd := range sessionsCommand().Commands() {
		known = append(known, cmd.Name())
	}
	for path, head := range map[string]string{readmes[0]: "command", readmes[1]: "命令"} {
		var found []string
		for _, row := range mustReadDocument(t, path).rows(head) {
			words, ok := strings.CutPrefix(codes(row[0])[0], "caddy qwen sessions ")
			if !ok || words == "…" {
				continue // TestDocsAllCommands
			}
			name, rest, _ := strings.Cut(words, " ")
			found = append(found, name)
			checkUsage(t, name, rest)
		}
		slices.Sort(found)
		if slices.Sort(known); !slices.Equal(found, known) {
			t.Errorf("%s has the commands %q, and there are %q", path, found, known)
		}
	}
}

// TestDocsAllCommands compares the READMEs' table of all commands with what there is:
// the commands and their flags.
func TestDocsAllCommands(t *testing.T) {
	known := map[string]*cobra.Command{}
	for _, cmd := range qwenCommands() {
		known[cmd.Name()] = cmd
	}
	for path, head := range map[string]string{readmes[0]: "command", readmes[1]: "命令"} {
		var found []string
		for _, row := range mustReadDocument(t, path).rows(head) {
			words, ok := strings.CutPrefix(codes(row[0])[0], "caddy qwen ")
			name, rest, _ := strings.Cut(words, " ")
			if name == "sessions" && rest != "…" {
				continue // TestDocsSessionsCommands
			}
			found = append(found, name)
			cmd := known[name]
			if !ok || cmd == nil {
				t.Errorf("%s: there is no %q", path, words)
				continue
			}
			for _, text := range codes(strings.Join(row, " ")) {
				for _, m := range anyFlagPattern.FindAllStringSubmatch(" "+text, -1) {
					if cmd.Flags().Lookup(m[1]) == nil && cmd.Flags().ShorthandLookup(m[2]) == nil {
						t.Errorf("%s: %s has no flag %s", path, name, m[0])
					}
				}
			}
		}
		if slices.Sort(found); !slices.Equal(found, slices.Sorted(maps.Keys(known))) {
			t.Errorf("%s has the commands %q", path, found)
		}
	}
}

// anyFlagPattern matches a flag by its name or by its letter.
var anyFlagPattern = regexp.MustCompile(`[ \[](?:--(\w+)|-(\w))`)

var flagPattern = regexp.MustCompile(`--(\w+)`)

// checkUsage checks the documented arguments and flags of a command.
func checkUsage(t *testing.T, name, rest string) {
	t.Helper()
	cmd, _, err := sessionsCommand().Find([]string{name})
	if err != nil || cmd.Name() != name {
		t.Errorf("there is no command %q: %v", name, err)
		return
	}
	for _, m := range flagPattern.FindAllStringSubmatch(rest, -1) {
		if cmd.Flags().Lookup(m[1]) == nil {
			t.Errorf("%s has no flag --%s", name, m[1])
		}
	}
	var args []string
	if strings.HasPrefix(rest, "<chat-id>") {
		args = []string{"x"}
	}
	if strings.HasSuffix(rest, "<chat-id>…") {
		args = append(args, "y")
	}
	if cmd.Args(cmd, args) != nil || cmd.Args(cmd, append(args, "z")) == nil && !strings.HasSuffix(rest, "…") {
		t.Errorf("%s does not take just %q", name, rest)
	}
}
