package tools

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestCorpus reads every output of the corpus whole, in single bytes, in single
// characters and in random pieces, and compares what comes of it with what is
// written there.
func TestCorpus(t *testing.T) {
	samples := mustCorpus(t)
	exact, ordinary := 0, 0
	for _, s := range samples {
		if t.Run(s.file+"/"+s.name, s.test) {
			exact++
		}
		if s.ordinary() {
			ordinary++
		}
	}
	t.Logf("corpus: %d outputs, %d exact (%d of them ordinary answers)", len(samples), exact, ordinary)
	if len(samples) < 400 || ordinary < 150 {
		t.Error("samples are missing")
	}
}

func (s *sample) test(t *testing.T) {
	want := s.want
	if len(want) == 0 && s.output != "" {
		want = []part{{"text", s.output}}
	}
	var first []part
	for how, pieces := range splits(s.output) {
		r := reading{t: t, parser: s.set.Parser(s.wish), set: s.set}
		r.read(pieces)
		if r.source.String() != s.output {
			t.Errorf("%s: the parts account for\n%q\nof\n%q", how, r.source.String(), s.output)
		}
		if !slices.EqualFunc(r.parts, want, part.matches) {
			t.Fatalf("%s:\n%q\nwas read as%s\nwanted%s", how, s.output, show(r.parts), show(want))
		}
		if first == nil {
			first = r.parts
		}
		if !slices.Equal(r.parts, first) { // also in the tools that problems name
			t.Errorf("%s: %q\nwas read as%s\nand otherwise as%s", how, s.output, show(r.parts), show(first))
		}
		if s.ordinary() && s.held >= 0 && how == "bytes" && r.held > s.held {
			t.Errorf("%d bytes were held back, allowed are %d: %q", r.held, s.held, r.heldText)
		}
	}
}

// splits cuts a text in all the ways that are tried.
func splits(text string) map[string][]string {
	all := map[string][]string{"whole": {text}, "bytes": nil, "characters": strings.Split(text, "")}
	for i := range len(text) {
		all["bytes"] = append(all["bytes"], text[i:i+1])
	}
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		pieces := cutUp(random, text, 1+random.IntN(40))
		all[fmt.Sprint("seed ", seed)] = pieces
	}
	return all
}

// A reading is one pass of a parser over an output.
type reading struct {
	t        *testing.T
	parser   *Parser
	set      *Set
	parts    []part
	source   strings.Builder
	fed      strings.Builder
	held     int // the most that was held back at any time
	heldText string
}

func (r *reading) read(pieces []string) {
	for _, piece := range pieces {
		r.fed.WriteString(piece)
		r.parser.Feed([]byte(piece))
		r.drain()
		if held := r.fed.Len() - r.source.Len(); held > r.held {
			r.held, r.heldText = held, r.fed.String()[r.source.Len():]
		}
	}
	r.parser.End()
	r.drain()
}

func (r *reading) drain() {
	for {
		event, more := r.parser.Next()
		if !more {
			return
		}
		r.source.Write(event.Source)
		r.take(event)
	}
}

// take turns an event into a part, and checks what holds for all events.
func (r *reading) take(event Event) {
	switch event.Kind {
	case Text:
		if n := len(r.parts); n > 0 && r.parts[n-1].head == "text" {
			r.parts[n-1].body += string(event.Source)
		} else if len(event.Source) > 0 {
			r.parts = append(r.parts, part{"text", string(event.Source)})
		}
	case Called:
		r.parts = append(r.parts, r.called(event))
	case Broken:
		head := "broken " + event.Problem.Kind.String()
		if event.Problem.Tool != "" {
			head += ": " + event.Problem.Tool
		}
		r.parts = append(r.parts, part{head: head})
	}
}

func (r *reading) called(event Event) part {
	head := "call " + event.Call.Name
	if event.Problem != nil {
		head += ": " + event.Problem.Kind.String()
	}
	tool, offered := r.set.lookup(event.Call.Name)
	if !offered || tool.Strict != event.Strict {
		r.t.Errorf("%s: offered %v, strict %v", event.Call.Name, offered, event.Strict)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(event.Call.Arguments), &object); err != nil || object == nil {
		r.t.Errorf("arguments %s: %v", event.Call.Arguments, err)
	}
	return part{head, event.Call.Arguments}
}

// matches reports whether a part is as the corpus wants it.
func (p part) matches(want part) bool {
	verb, rest, _ := strings.Cut(want.head, " ")
	switch verb {
	case "repaired":
		return p.head == "call "+rest && sameMeaning(p.body, want.body)
	case "broken":
		kind, _, _ := strings.Cut(p.head, ": ") // the tool counts where the corpus names one
		return p.head == want.head || kind == want.head
	default:
		return p == want
	}
}

// sameMeaning compares two texts by meaning, but numbers by how they are written.
func sameMeaning(a, b string) bool {
	decode := func(text string) (value any) {
		decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
		decoder.UseNumber()
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		return value
	}
	return reflect.DeepEqual(decode(a), decode(b))
}

func show(parts []part) string {
	var out strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&out, "\n\t%s %q", p.head, p.body)
	}
	return out.String()
}
