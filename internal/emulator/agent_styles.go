package emulator

import (
	"encoding/json"
	"slices"
	"strings"
)

// Style is how an emulated model writes calls, and answers that have to be JSON.
type Style string

// The styles. What is said of calls holds for JSON as well, where it makes sense;
// a style that has no meaning for JSON is perfect there. Words are plain in every
// style but StyleHalfTag.
const (
	StylePerfect       Style = "perfect"         // nothing but the calls in the convention
	StyleChatty        Style = "chatty"          // prose before and after
	StyleChinese       Style = "chinese"         // Chinese prose before and after
	StyleLate          Style = "late"            // after 8 KB of prose
	StyleFenced        Style = "fenced"          // ```json around the JSON alone
	StyleFencedXML     Style = "fenced-xml"      // ```xml around the blocks
	StyleFencedInside  Style = "fenced-inside"   // ```json inside of each block
	StyleBare          Style = "bare"            // the JSON alone, nothing around it
	StyleFunctionXML   Style = "function-xml"    // <function=name><parameter=key>
	StyleSingleQuotes  Style = "single-quotes"   // as Python would write it
	StyleUnclosed      Style = "unclosed"        // without the last end tag; JSON without the last bracket
	StyleTruncated     Style = "truncated"       // it ends in the middle of the JSON
	StyleWrongName     Style = "wrong-name"      // of a function that was not offered
	StyleWrongTypes    Style = "wrong-types"     // what it writes violates the schema
	StyleTwoCalls      Style = "two-calls"       // one call too many; JSON twice
	StyleThinkThenCall Style = "think-then-call" // in the reasoning first, then in the answer
	StyleThinkOnly     Style = "think-only"      // in the reasoning, and no answer
	StyleHalfTag       Style = "half-tag"        // prose that ends in half a tag instead
	StyleIgnores       Style = "ignores"         // plain prose instead
	StyleAnnounces     Style = "announces"       // it says that it will, and does not
	StyleDefiant       Style = "defiant"         // no call where one is demanded, one where it is forbidden
)

// Styles returns all styles.
func Styles() []Style {
	return []Style{
		StylePerfect, StyleChatty, StyleChinese, StyleLate, StyleFenced, StyleFencedXML, StyleFencedInside, StyleBare,
		StyleFunctionXML, StyleSingleQuotes, StyleUnclosed, StyleTruncated, StyleWrongName, StyleWrongTypes, StyleTwoCalls,
		StyleThinkThenCall, StyleThinkOnly, StyleHalfTag, StyleIgnores, StyleAnnounces, StyleDefiant,
	}
}

// script is what a model writes in a turn.
type script struct {
	thinking string
	text     string
	native   []Step // calls of local tools
	after    string // text after them
}

// writer writes in a style.
type writer struct {
	style Style
	view  *View
}

// around returns the prose before and after what a style writes.
func (w *writer) around() (before, after string) {
	switch w.style {
	case StyleChatty:
		return "Sure, I can do that {no problem}. Is 1 < 2? It is, so here you go:\n\n", "\n\nLet me know if you need anything else!"
	case StyleChinese:
		return "好的，我马上为您处理。请看：\n", "\n以上就是我的操作，请稍等。"
	case StyleLate:
		return prose(8<<10) + "\n\n", ""
	}
	return "", ""
}

// calls writes a move that has calls.
func (w *writer) calls(m Move) script {
	calls := w.mistaken(m.Calls)
	switch w.style {
	case StyleIgnores:
		return script{text: "I can answer that without any help: it depends."}
	case StyleAnnounces:
		return script{text: "I will call the function " + calls[0].Name + " now to find that out."}
	case StyleHalfTag:
		return script{text: "I will look that up. <tool_c"}
	case StyleThinkOnly:
		return script{thinking: w.blocks(calls)}
	}
	before, after := w.around()
	if said := w.view.words(m); said != "" {
		before = said + "\n" + before
	}
	s := script{text: before + w.blocks(calls) + after}
	if w.native(m.Calls) {
		s = script{text: before, native: w.steps(calls), after: after}
	}
	if w.style == StyleThinkThenCall {
		s.thinking = "I need a function for that. " + w.blocks(calls)
	}
	return s
}

// mistaken returns the calls with the mistakes of the style.
func (w *writer) mistaken(calls []Call) []Call {
	calls = slices.Clone(calls)
	for i := range calls {
		switch w.style {
		case StyleWrongName:
			for _, known := w.view.function(calls[i].Name); known; _, known = w.view.function(calls[i].Name) {
				calls[i].Name += "_now"
			}
		case StyleWrongTypes:
			f, _ := w.view.function(calls[i].Name)
			calls[i].Arguments = w.wrong(f.Schema)
		}
	}
	if w.style == StyleTwoCalls {
		calls = append(calls, w.view.another(calls[0]))
	}
	return calls
}

// wrong returns a value that violates a schema.
func (w *writer) wrong(schema string) string {
	s := sampler{view: w.view, root: json.RawMessage(schema), wrong: true}
	return s.value(s.root, 0)
}

// native reports whether the calls are of local tools.
func (w *writer) native(calls []Call) bool {
	f, _ := w.view.function(calls[0].Name)
	return f.Server != ""
}

func (w *writer) steps(calls []Call) (steps []Step) {
	for _, c := range calls {
		f, _ := w.view.function(c.Name)
		if f.Server == "" {
			f.Server = w.view.Functions[len(w.view.Functions)-1].Server
		}
		steps = append(steps, LocalTool(f.Server, c.Name, json.RawMessage(c.Arguments)))
	}
	return steps
}

// blocks writes calls.
func (w *writer) blocks(calls []Call) string {
	blocks := make([]string, len(calls))
	for i, c := range calls {
		blocks[i] = w.block(c)
	}
	text := strings.Join(blocks, "\n")
	switch w.style {
	case StyleFencedXML:
		return "```xml\n" + text + "\n```"
	case StyleUnclosed:
		return strings.TrimSuffix(text, "\n</tool_call>")
	case StyleTruncated:
		return truncated(text)
	}
	return text
}

// block writes one call.
func (w *writer) block(c Call) string {
	text := string(appendString([]byte(`{"name": `), c.Name)) + `, "arguments": ` + c.Arguments + "}"
	switch w.style {
	case StyleBare:
		return text
	case StyleFenced:
		return "```json\n" + text + "\n```"
	case StyleFencedInside:
		text = "```json\n" + text + "\n```"
	case StyleSingleQuotes:
		text = pythonic(json.RawMessage(text))
	case StyleFunctionXML:
		text = functionXML(c)
	}
	return "<tool_call>\n" + text + "\n</tool_call>"
}

// words writes a move that has no calls.
func (w *writer) words(m Move) script {
	text := w.view.words(m)
	if w.style == StyleHalfTag {
		text += " <tool_c"
	}
	return script{text: text}
}

// json writes a move without calls that has to be JSON.
func (w *writer) json(m Move) script {
	text := w.view.json(m)
	before, after := w.around()
	switch w.style {
	case StyleFenced, StyleFencedXML, StyleFencedInside:
		text = "```json\n" + text + "\n```"
	case StyleSingleQuotes:
		text = pythonic(json.RawMessage(text))
	case StyleUnclosed:
		text = text[:len(text)-1]
	case StyleTruncated:
		text = truncated(text)
	case StyleWrongTypes:
		text = w.wrong(w.view.Schema)
	case StyleTwoCalls:
		text += "\n" + text
	case StyleThinkThenCall:
		return script{thinking: "It has to be JSON. " + text, text: text}
	case StyleThinkOnly:
		return script{thinking: text}
	case StyleHalfTag:
		text += "\n<tool_c"
	case StyleIgnores, StyleAnnounces, StyleDefiant:
		return script{text: "I would rather say it in words: it depends."}
	}
	return script{text: before + text + after}
}
