package emulator

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// marker makes the reply of a marker from its argument, which may be empty.
type marker func(arg string, c Completion) Reply

// Markers returns the names that prompts can select a reply with, sorted. The
// package documentation says what each of them does.
func Markers() []string {
	return slices.Sorted(maps.Keys(markerTable()))
}

// findMarker returns the last marker of a prompt: earlier ones may belong to a
// history that was sent along.
func findMarker(prompt string) (name, arg string, found bool) {
	const open = "[[emulator:"
	i := strings.LastIndex(prompt, open)
	if i < 0 {
		return "", "", false
	}
	inner, _, closed := strings.Cut(prompt[i+len(open):], "]]")
	if !closed {
		return "", "", false
	}
	name, arg, _ = strings.Cut(strings.TrimSpace(inner), " ")
	return name, strings.TrimSpace(arg), true
}

// marked returns the reply of a marker. A marker that does not exist is
// answered with the names of those that do.
func (s *Site) marked(c Completion, name, arg string) Reply {
	if m, known := s.markers[name]; known {
		return m(arg, c)
	}
	return Text("The emulator has no marker ", strconv.Quote(name), ". It has: ", strings.Join(Markers(), ", "), ".")
}

// number reads the argument of a marker.
func number(arg string, otherwise, most int) int {
	n, err := strconv.Atoi(arg)
	if err != nil || n < 0 {
		return otherwise
	}
	return min(n, most)
}

// fixed is a marker that takes no argument.
func fixed(r func() Reply) marker {
	return func(string, Completion) Reply { return r() }
}

// broken is a stream that begins well and then takes the given steps.
func broken(steps ...Step) marker {
	all := append([]Step{Created(), Answer("This answer "), Answer("ends here")}, steps...)
	return func(string, Completion) Reply { return Stream(all...) }
}

// whole is a complete stream around the given steps.
func whole(steps ...Step) marker {
	all := append([]Step{Created()}, steps...)
	all = append(all, Usage(10, 10, 0), Finish())
	return func(string, Completion) Reply { return Stream(all...) }
}

// markerTable returns all markers.
func markerTable() map[string]marker {
	table := refusalMarkers()
	maps.Copy(table, failureMarkers())
	maps.Copy(table, shapeMarkers())
	maps.Copy(table, agentMarkers())
	return table
}

// refusalMarkers are those that are answered without a stream.
func refusalMarkers() map[string]marker {
	return map[string]marker{
		"bad-request":       fixed(Internal),
		"broken-parent":     fixed(BrokenParent),
		"busy":              fixed(Busy),
		"challenge":         fixed(ChallengeJSON),
		"challenge-html":    func(arg string, _ Completion) Reply { return ChallengeHTML(statusArg(arg, 200)) },
		"chat-not-found":    func(_ string, c Completion) Reply { return chatNotFound(c.ChatID) },
		"empty":             fixed(Empty),
		"expired":           fixed(Expired),
		"login-page":        fixed(LoginPage),
		"model-not-found":   fixed(ModelNotFound),
		"moderation":        fixed(Moderation),
		"rate-limited":      func(arg string, _ Completion) Reply { return RateLimited(number(arg, 4, 1000)) },
		"status":            func(arg string, _ Completion) Reply { return Status(statusArg(arg, 502)) },
		"too-many-messages": fixed(TooManyMessages),
		"unauthorized":      fixed(unauthorized),
		"unauthorized-401":  fixed(Unauthorized401),
	}
}

// statusArg reads an HTTP status that can be sent.
func statusArg(arg string, otherwise int) int {
	if n := number(arg, otherwise, 599); n >= 200 {
		return n
	}
	return otherwise
}

// failureMarkers are streams that do not end well.
func failureMarkers() map[string]marker {
	return map[string]marker{
		"burst":           fixed(Burst),
		"cut":             broken(Cut()),
		"cut-frame":       broken(Raw([]byte(`data: {"choices":[{"delta":{"role":"assi`)), Cut()),
		"drop":            broken(Drop()),
		"empty-stream":    fixed(EmptyStream),
		"error":           broken(ErrorFrame("internal_error", "Internal error!")),
		"error-delta":     broken(ErrorDelta("internal_error", "Internal error!")),
		"error-first":     func(string, Completion) Reply { return Stream(ErrorFrame("", "Internal error!")) },
		"garbage":         whole(Answer("A broken event "), Garbage(), Answer("is in this answer.")),
		"garbage-only":    broken(Garbage(), Garbage(), Garbage(), Garbage(), Garbage(), Garbage()),
		"hang":            broken(Hang()),
		"hang-headers":    fixed(HangBeforeHeaders),
		"moderation-late": broken(ErrorFrame("data_inspection_failed", "Output data may contain inappropriate content.")),
		"reset":           broken(Reset()),
	}
}

// shapeMarkers are streams that end well but look unusual.
func shapeMarkers() map[string]marker {
	piece := Answer("Grüße, 世界 🌍! ")
	return map[string]marker{
		"bytewise":   whole(Bytewise(piece, piece)),
		"candidates": whole(Answer("Only "), Candidate(1, Answer("never ")), Answer("this "), Candidate(1, Answer("this"), Finish()), Answer("one.")),
		"crlf":       whole(CRLF(piece, piece)),
		"done":       func(string, Completion) Reply { return Stream(Created(), piece, Usage(10, 10, 0), Finish(), Done()) },
		"gzip":       func(string, Completion) Reply { return Text("This answer ", "came gzip'ed.").Gzip() },
		"hold-open": func(string, Completion) Reply {
			return Stream(Created(), Answer("The connection stays open."), Usage(10, 10, 0), Finish(), HoldOpen())
		},
		"huge":       func(arg string, c Completion) Reply { return whole(HugeFrame(number(arg, 1<<20, 32<<20)))(arg, c) },
		"keep-alive": whole(KeepAlive(), Comment(), KeepAlivePhase(), Answer("Three keep-alives came before this.")),
		"length": func(string, Completion) Reply {
			return Stream(Created(), piece, Usage(10, 10, 0), FinishWith("answer", "length"))
		},
		"long": func(arg string, _ Completion) Reply { return Bulk(number(arg, 1000, 1<<20), "word ", 0) },
		"search": whole(WebSearch("the emulator", 1, Doc{URL: "https://example.com/", Title: "Example", Snippet: "An example."}),
			Answer("One page was found.[[1]]")),
		"slow": func(arg string, _ Completion) Reply {
			return Bulk(60, "word ", time.Duration(number(arg, 1000, 60000))*time.Millisecond)
		},
		"think":   whole(Think("First I look. "), Think("Then I write."), ThinkDone(), Answer("Done thinking.")),
		"unicode": whole(piece, Answer("a\u2028b\u0000c\x1b[0m data: [DONE]\n\ndata: {\"error\":\"no\"}\n")),
	}
}
