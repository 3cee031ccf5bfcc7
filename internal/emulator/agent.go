package emulator

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Persistence says for how long an emulated model keeps to its style.
type Persistence uint8

const (
	// Once: until it is corrected for the first time in the chat.
	Once Persistence = iota
	// EachTurn: it does better when it is corrected, and has forgotten that in the
	// next turn.
	EachTurn
	// Always: whatever it is told.
	Always
)

// Agent is an emulated model that calls functions and answers in JSON, more or less
// as it is told. It knows what the prompts of its chat say, not what the client
// has sent: the functions of the block <tools>, the results in blocks
// <tool_response>, and by Signs what is demanded of an answer. The zero value is a
// perfect model that calls the function the question is about.
//
//	site.Respond(emulator.Agent{Style: emulator.StyleChatty, Plan: emulator.Loop("step", 20)}.Respond)
//
// Functions that the turn has declared as local tools are called natively, with
// the words of the style around them but not its mistakes in writing.
type Agent struct {
	// Style is how it writes. Default: StylePerfect.
	Style Style
	// Persistence is when it does better. Default: Once.
	Persistence Persistence
	// Plan is what it does. Default: it calls the function that the question seems
	// to be about, else the first of them, with arguments made from the schema,
	// and answers in words when it has the result.
	Plan Plan
	// Piece is the size in bytes of the pieces in which it writes; no character is
	// cut in two. Default: about three words.
	Piece int
	// Signs are by what it recognises what it is told. Default: DefaultSigns.
	Signs *Signs
	// Site is the site whose storage it reads attached text files from. Default: it
	// does not see what is in them.
	Site *Site
}

// Respond answers a completion, for [Site.Respond].
func (a Agent) Respond(c Completion) Reply { return Stream(a.Steps(c)...) }

// Steps are the steps of the answer, for scripts that add others.
func (a Agent) Steps(c Completion) []Step {
	v := a.View(c)
	s := a.answer(v)
	steps := []Step{Created()}
	thinking := 0
	switch {
	case s.thinking != "":
		thinking = tokens(s.thinking)
		steps = append(steps, a.think(c.Feature.ThinkingFormat, s.thinking)...)
	case c.Feature.ThinkingEnabled:
		thinking = 24
		steps = append(steps, reasoning(c.Feature.ThinkingFormat, tokens(c.Content), thinking)...)
	}
	steps = append(steps, a.write(s.text)...)
	steps = append(steps, s.native...)
	steps = append(steps, a.write(s.after)...)
	return append(steps, Usage(1200+tokens(c.Content), thinking+tokens(s.text), thinking), Finish())
}

// View is what the model finds in the chat of a completion.
func (a Agent) View(c Completion) View {
	r := reader{signs: DefaultSigns()}
	if a.Signs != nil {
		r.signs = *a.Signs
	}
	for _, t := range c.Context {
		r.prompt(a.read(t.User, t.Files))
	}
	r.prompt(a.read(c.Content, c.Files))
	r.Functions = append(slices.Clone(r.Functions), c.LocalTools...)
	return r.View
}

// read returns a prompt with the text of its files before it.
func (a Agent) read(prompt string, files []FileRef) string {
	if a.Site == nil {
		return prompt
	}
	var b strings.Builder
	for _, f := range files {
		if !strings.HasPrefix(f.FileType, "text/") {
			continue
		}
		if object, ok := a.Site.Storage().Object(f.Key); ok {
			b.Write(object.Body)
			b.WriteByte('\n')
		}
	}
	return b.String() + prompt
}

// style is how the model writes this time.
func (a Agent) style(v View) Style {
	if a.Persistence == Once && v.Corrected || a.Persistence == EachTurn && v.Correction {
		return StylePerfect
	}
	return a.Style
}

// answer decides and writes the answer.
func (a Agent) answer(v View) script {
	plan := a.Plan
	if plan == nil {
		plan = helpful
	}
	style, move := a.style(v), plan(v)
	if style == StyleDefiant {
		move = v.defy(move)
	} else {
		move = v.obey(move)
	}
	w := writer{style: style, view: &v}
	switch {
	case len(move.Calls) > 0:
		return w.calls(move)
	case v.JSON:
		return w.json(move)
	}
	return w.words(move)
}

// write returns the steps of a text.
func (a Agent) write(text string) []Step {
	var steps []Step
	for _, p := range a.pieces(text) {
		steps = append(steps, Answer(p))
	}
	return steps
}

// think returns the steps of a reasoning that is the model's own.
func (a Agent) think(format, text string) []Step {
	if format == "full" || format == "detail" {
		var steps []Step
		for _, p := range a.pieces(text) {
			steps = append(steps, Think(p))
		}
		return append(steps, ThinkDone())
	}
	return []Step{Summary([]string{"Thinking"}, nil), Summary([]string{"Thinking"}, []string{text}), SummaryDone()}
}

// pieces cuts a text into the pieces in which it is sent.
func (a Agent) pieces(text string) []string {
	if text == "" {
		return nil
	}
	if a.Piece <= 0 {
		return pieces(text)
	}
	var list []string
	for len(text) > 0 {
		n := min(a.Piece, len(text))
		for n > 0 && n < len(text) && !utf8.RuneStart(text[n]) {
			n--
		}
		if n == 0 { // a character is larger than a piece
			_, n = utf8.DecodeRuneInString(text)
		}
		list = append(list, text[:n])
		text = text[n:]
	}
	return list
}
