package emulator

import (
	"fmt"
	"strings"
)

// canned is the default responder: an answer that nobody takes for a real
// one, and that shows whether the conversation and its files arrived. Where
// functions or JSON are asked for, an agent answers.
func (s *Site) canned(c Completion) Reply {
	if a, ok := s.lasting(c); ok {
		return a.Respond(c)
	}
	text := "This is a canned answer of the emulator. "
	switch n := len(c.Context); n {
	case 0:
	case 1:
		text += "I remember 1 earlier turn of this chat. "
	default:
		text += fmt.Sprintf("I remember %d earlier turns of this chat. ", n)
	}
	for _, t := range c.Context {
		text += mention("I remember ", t.Files)
	}
	said := c.Content
	if strings.Contains(said, "<tools>") {
		said = Agent{Site: s}.View(c).Question
	}
	text += mention("I see ", c.Files) + "You said: " + shorten(said, 400)

	in := 1200 + tokens(c.Content)
	steps := []Step{Created()}
	thinking := 0
	if c.Feature.ThinkingEnabled && s.models[c.Model].canThink() {
		thinking = 24
		steps = append(steps, reasoning(c.Feature.ThinkingFormat, in, thinking)...)
	}
	out := thinking
	for _, p := range pieces(text) {
		out += tokens(p)
		steps = append(steps, Count(in, out, thinking), Answer(p))
	}
	return Stream(append(steps, Usage(in, out, thinking), Finish())...)
}

// mention names files in one sentence, or is empty without files.
func mention(verb string, files []FileRef) string {
	if len(files) == 0 {
		return ""
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.String()
	}
	return verb + strings.Join(names, ", ") + ". "
}

// reasoning is canned, too. The site shows a summary unless a client asks for
// everything.
func reasoning(format string, in, tokens int) []Step {
	const first, second = "The question has arrived.", "There is nobody here who could think about it."
	if format == "full" || format == "detail" {
		return []Step{Count(in, tokens/2, tokens/2), Think(first + " "), Count(in, tokens, tokens), Think(second), ThinkDone()}
	}
	one := []string{"Reading the question"}
	two := append(one, "Looking for a thought")
	return []Step{
		Count(in, tokens/4, tokens/4), Summary(one, []string{"The question"}),
		Count(in, tokens/3, tokens/3), Summary(one, []string{first}),
		Count(in, tokens/2, tokens/2), Summary(one, []string{first}),
		Count(in, tokens, tokens), Summary(two, []string{first, second}),
		SummaryDone(),
	}
}

// tokens is a rough count.
func tokens(s string) int { return len(s)/4 + 1 }

// pieces cuts a text into pieces of about three words that give the same text
// when put together.
func pieces(text string) []string {
	var list []string
	words := strings.SplitAfter(text, " ")
	for len(words) > 0 {
		n := min(3, len(words))
		list = append(list, strings.Join(words[:n], ""))
		words = words[n:]
	}
	return list
}
