package tools

import "strings"

// Note is what the model is told about one answer, to stand at the end of the turn's
// prompt. It is empty if the model may do as it likes.
func (s *Set) Note(w Wish) string {
	if len(s.tools) == 0 {
		return ""
	}
	text := s.demand(w)
	switch {
	case !w.Single || w.Mode == None:
	case w.Native:
		text = append(text, "Call one function at most.")
	default:
		text = append(text, "Write one <tool_call> block at most.")
	}
	if len(text) == 0 {
		return ""
	}
	return "[For this answer: " + strings.Join(text, " ") + "]"
}

// demand says which functions must or may be called.
func (s *Set) demand(w Wish) []string {
	names := s.callable(w)
	none, block := ", write no <tool_call>", ", in a <tool_call> block"
	if w.Native {
		none, block = "", ""
	}
	switch {
	case len(names) == 0:
		return []string{"Call no function" + none + "; answer in words."}
	case w.Mode == Required && len(names) == 1:
		return []string{"You must call the function " + list(names) + " now" + block + ", and no other. Write nothing but the call."}
	case w.Mode == Required && len(w.Only) > 0:
		return []string{"You must call at least one of these functions now" + block + ", and no others: " +
			list(names) + ". Write nothing but the call."}
	case w.Mode == Required:
		return []string{"You must call at least one function now" + block + ". Write nothing but the call."}
	case len(w.Only) > 0:
		return []string{"Of the functions, you may call only these: " + list(names) + "."}
	}
	return nil
}

// list writes names as a reader expects them. None has a quote in it.
func list(names []string) string {
	return `"` + strings.Join(names, `", "`) + `"`
}
