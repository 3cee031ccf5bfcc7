package tools

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// A sample is an output of a model, and what must be read from it.
type sample struct {
	file, name string
	set        *Set
	wish       Wish
	held       int // how many bytes of an ordinary answer may be held back; negative: any
	output     string
	want       []part
}

// A part is an event, or several of text in a row, in the words of the corpus.
type part struct {
	head string // text, call NAME, repaired NAME, broken KIND, as its section is called
	body string
}

// unfinishedTag is the most that an ordinary answer may have held back: a tag that
// lacks its last byte.
const unfinishedTag = len("<tool_call>") - 1

// ordinary reports whether all of the output is text for the client.
func (s *sample) ordinary() bool {
	return len(s.want) == 0 || len(s.want) == 1 && s.want[0].head == "text" && s.want[0].body == s.output
}

// mustCorpus reads all samples of testdata/corpus; its README tells how they are written.
func mustCorpus(t *testing.T) (all []*sample) {
	t.Helper()
	dir := filepath.Join("testdata", "corpus")
	sets := mustSets(t, filepath.Join(dir, "tools.json"))
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		theme := strings.TrimSuffix(filepath.Base(file), ".txt")
		all = append(all, mustSamples(t, theme, strings.ReplaceAll(string(text), "\r\n", "\n"), sets)...)
	}
	return all
}

// mustSets reads the tools that the samples offer.
func mustSets(t *testing.T, path string) map[string]*Set {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lists map[string][]struct {
		Name, Description string
		Parameters        json.RawMessage
		Strict            bool
	}
	if err := json.Unmarshal(text, &lists); err != nil {
		t.Fatal(err)
	}
	sets := make(map[string]*Set)
	for name, list := range lists {
		var tools []Tool
		for _, tool := range list {
			tools = append(tools, Tool{tool.Name, tool.Description, string(tool.Parameters), tool.Strict})
		}
		if sets[name], err = New(tools); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return sets
}

func mustSamples(t *testing.T, theme, text string, sets map[string]*Set) (samples []*sample) {
	t.Helper()
	archive := txtar.Parse([]byte(text))
	var current *sample
	for _, section := range archive.Files {
		body := strings.TrimSuffix(string(section.Data), "\n")
		name, isCase := strings.CutPrefix(section.Name, "case: ")
		switch {
		case isCase:
			current = &sample{file: theme, name: name, held: unfinishedTag}
			current.mustHeader(t, string(archive.Comment)+body, sets)
			samples = append(samples, current)
		case current == nil:
			t.Fatalf("%s: %s is in no case", theme, section.Name)
		case section.Name == "output":
			current.output = unmarked(body)
		default:
			current.want = append(current.want, part{section.Name, unmarked(body)})
		}
	}
	checkSamples(t, samples)
	return samples
}

// unmarked puts in the bytes that could not be seen in a file.
func unmarked(text string) string {
	return strings.NewReplacer("␍", "\r", "␠", " ").Replace(text)
}

// mustHeader takes the lines of a case, which come after those of its file.
func (s *sample) mustHeader(t *testing.T, lines string, sets map[string]*Set) {
	t.Helper()
	for line := range strings.Lines(lines) {
		key, value, isSetting := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case !isSetting:
		case key == "tools":
			s.set = sets[value]
		case key == "wish":
			s.wish.Single = strings.HasSuffix(value, "single")
			s.wish.Mode = map[string]Mode{"none": None, "required": Required, "required single": Required}[value]
		case key == "only":
			s.wish.Only = strings.Split(value, ", ")
		case key == "held" && value == "any":
			s.held = -1
		case key == "held":
			held, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(s.name, err)
			}
			s.held = held
		}
	}
	if s.set == nil {
		t.Fatalf("%s: %s: no tools", s.file, s.name)
	}
}

// checkSamples finds what a slip of the pen would hide.
func checkSamples(t *testing.T, samples []*sample) {
	t.Helper()
	var names []string
	for _, s := range samples {
		if slices.Contains(names, s.name) {
			t.Errorf("%s: %s is there twice", s.file, s.name)
		}
		names = append(names, s.name)
		for _, p := range s.want {
			verb, _, _ := strings.Cut(p.head, " ")
			if !slices.Contains([]string{"text", "call", "repaired", "broken"}, verb) {
				t.Errorf("%s: %s: what is %q?", s.file, s.name, p.head)
			}
		}
	}
}
