package emulator

import (
	"encoding/json"
	"html"
	"regexp"
	"slices"
	"strings"
)

// View is what an emulated model finds in its chat, which is all that it knows of
// what the client wants.
type View struct {
	// Functions are those that it may call: of the last block <tools> in the chat,
	// then those that this turn has declared as local tools.
	Functions []DeclaredTool
	// Question is what the user has said in the newest prompt that is neither
	// results nor a correction: without notes, and without what a
	// <current_user_message> has around it.
	Question string
	// Round is how many times the model has got results since the question.
	Round int
	// Results are those of the last round; none in round 0.
	Results []Result
	// Correction tells that the newest prompt corrects the last answer, Corrected
	// that some prompt of the chat does.
	Correction, Corrected bool
	// Required and Forbidden tell that a call is demanded or forbidden, Single that
	// only one is allowed.
	Required, Forbidden, Single bool
	// Only are the functions that are demanded or allowed; none: all.
	Only []string
	// JSON tells that an answer in words has to be JSON, and Schema which, if the
	// prompt says so.
	JSON   bool
	Schema string
}

// Result is what a function has returned: a block <tool_response>.
type Result struct {
	Name, ID, Text string
}

// Signs are the words by which an emulated model recognises what it is told. Each
// is looked for in a prompt as it is written here; any of a list is enough.
type Signs struct {
	Correction []string // the prompt corrects the last answer
	Note       string   // the notes on one answer begin; the others are looked for after it (empty: anywhere)
	Required   []string // a call is demanded; the functions are those quoted in the same line
	Forbidden  []string // calls are forbidden
	Only       []string // only those functions quoted in the same line may be called
	Single     []string // only one call is allowed
	JSON       []string // the answer has to be JSON; the schema is the first JSON object after it
}

// DefaultSigns are used by an [Agent] that has none of its own.
func DefaultSigns() Signs {
	return Signs{
		Correction: []string{"[Your answer could not be used"},
		Note:       "[For this answer:",
		Required:   []string{"You must call"},
		Forbidden:  []string{"Call no function"},
		Only:       []string{"only these:", "and no other."},
		Single:     []string{"<tool_call> block at most", "Call one function at most"},
		JSON:       []string{"JSON"},
	}
}

// found returns where the last of the signs begins, or -1.
func found(text string, signs []string) int {
	last := -1
	for _, sign := range signs {
		last = max(last, strings.LastIndex(text, sign))
	}
	return last
}

// reader goes through the prompts of a chat, oldest first.
type reader struct {
	View
	signs Signs
}

// prompt takes one prompt.
func (r *reader) prompt(text string) {
	r.Correction = found(text, r.signs.Correction) >= 0
	r.functions(text)
	if r.Correction {
		r.Corrected = true
		return // what was demanded before still is
	}
	r.rounds(text)
	if r.Round == 0 || r.Question == "" {
		r.Question = r.question(text)
	}
	r.demands(text)
}

func (r *reader) question(text string) string {
	if r.signs.Note != "" {
		text, _, _ = strings.Cut(text, r.signs.Note)
	}
	if i := strings.LastIndex(text, "<current_user_message"); i >= 0 {
		_, text, _ = strings.Cut(text[i:], ">")
		text, _, _ = strings.Cut(text, "</current_user_message>")
	}
	return strings.TrimSpace(text)
}

var toolsBlock = regexp.MustCompile(`(?s)<tools>\n(.*?)</tools>`)

// functions reads the list of functions. A system text without one takes the place
// of an earlier one.
func (r *reader) functions(text string) {
	blocks := toolsBlock.FindAllStringSubmatch(text, -1)
	if len(blocks) > 0 || strings.Contains(text, "<system>") {
		r.Functions = nil
	}
	if len(blocks) == 0 {
		return
	}
	for line := range strings.Lines(blocks[len(blocks)-1][1]) {
		var f struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Parameters  json.RawMessage `json:"parameters"`
		}
		if json.Unmarshal([]byte(line), &f) == nil && f.Name != "" {
			r.Functions = append(r.Functions, DeclaredTool{Name: f.Name, Description: f.Description, Schema: string(f.Parameters)})
		}
	}
}

// spoken are the marks in a prompt that tell rounds: a call, results, a question.
var (
	spoken    = regexp.MustCompile(`<tool_call>\s*\{|<tool_response( [^>\n]*)?>\n|<(?:user|current_user_message)[ >]`)
	attribute = regexp.MustCompile(` (name|id)="([^"]*)"`)
)

// rounds counts the rounds of a prompt. Results next to each other belong to one.
// One prompt has several if it repeats a conversation.
func (r *reader) rounds(text string) {
	text = toolsBlock.ReplaceAllString(text, "")
	group, marked := false, false
	for {
		at := spoken.FindStringSubmatchIndex(text)
		if at == nil {
			break
		}
		mark, attributes := text[at[0]:at[1]], ""
		if at[2] >= 0 {
			attributes = text[at[2]:at[3]]
		}
		text = text[at[1]:]
		switch {
		case strings.HasPrefix(mark, "<tool_call>"):
			_, text, _ = strings.Cut(text, "</tool_call>")
			group = false
			continue
		case !strings.HasPrefix(mark, "<tool_response"):
			r.Round, r.Results, group = 0, nil, false
		default:
			if !group {
				r.Round++
				r.Results, group = nil, true
			}
			var result string
			result, text, _ = strings.Cut(text, "\n</tool_response>")
			r.Results = append(r.Results, newResult(attributes, result))
		}
		marked = true
	}
	if !marked {
		r.Round, r.Results = 0, nil
	}
}

func newResult(attributes, text string) Result {
	result := Result{Text: text}
	for _, a := range attribute.FindAllStringSubmatch(attributes, -1) {
		if a[1] == "name" {
			result.Name = html.UnescapeString(a[2])
		} else {
			result.ID = html.UnescapeString(a[2])
		}
	}
	return result
}

// demands reads what a prompt demands of its answer.
func (r *reader) demands(text string) {
	if at := strings.Index(text, r.signs.Note); at >= 0 {
		text = text[at:]
	} else {
		text = ""
	}
	r.Required = found(text, r.signs.Required) >= 0
	r.Forbidden = found(text, r.signs.Forbidden) >= 0
	r.Single = found(text, r.signs.Single) >= 0
	r.Only = nil
	for _, signs := range [][]string{r.signs.Required, r.signs.Only} {
		if at := found(text, signs); at >= 0 && r.Only == nil {
			r.Only = r.named(lineAt(text, at))
		}
	}
	r.JSON, r.Schema = false, ""
	for _, sign := range r.signs.JSON {
		// The schema may have the sign in it, too.
		if _, after, ok := strings.Cut(text, sign); ok {
			r.JSON, r.Schema = true, firstObject(after)
			return
		}
	}
}

// lineAt returns the line of a text in which an index is.
func lineAt(text string, at int) string {
	start := strings.LastIndexByte(text[:at], '\n') + 1
	line, _, _ := strings.Cut(text[start:], "\n")
	return line
}

// named returns the functions whose names are quoted in a line.
func (r *reader) named(line string) (names []string) {
	for _, f := range r.Functions {
		if strings.Contains(line, `"`+f.Name+`"`) {
			names = append(names, f.Name)
		}
	}
	return names
}

// firstObject returns the first JSON object in a text that is not empty, or "".
func firstObject(text string) string {
	for at := strings.IndexByte(text, '{'); at >= 0; {
		var object json.RawMessage
		if json.NewDecoder(strings.NewReader(text[at:])).Decode(&object) == nil && len(object) > 2 {
			return string(object)
		}
		next := strings.IndexByte(text[at+1:], '{')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return ""
}

// function returns the function of a name.
func (v *View) function(name string) (DeclaredTool, bool) {
	i := slices.IndexFunc(v.Functions, func(f DeclaredTool) bool { return f.Name == name })
	if i < 0 {
		return DeclaredTool{}, false
	}
	return v.Functions[i], true
}

// allows reports whether a function may be called.
func (v *View) allows(name string) bool {
	return !v.Forbidden && (len(v.Only) == 0 || slices.Contains(v.Only, name))
}
