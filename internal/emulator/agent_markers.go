package emulator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// agentMarkers are those that an emulated model answers.
func agentMarkers() map[string]marker {
	return map[string]marker{
		"call": func(arg string, c Completion) Reply {
			plan, err := parseCallMarker(arg)
			if err != nil {
				return Text(err.Error())
			}
			return Agent{Plan: plan}.Respond(c)
		},
		"style": func(arg string, c Completion) Reply {
			a, err := parseStyleMarker(arg)
			if err != nil {
				return Text(err.Error())
			}
			return a.Respond(c)
		},
	}
}

// parseCallMarker reads the argument of the marker call: a name and JSON.
func parseCallMarker(arg string) (Plan, error) {
	name, arguments, _ := strings.Cut(arg, " ")
	if arguments = strings.TrimSpace(arguments); arguments == "" {
		arguments = "{}"
	}
	if name == "" || arguments[0] != '{' || !json.Valid([]byte(arguments)) {
		return nil, fmt.Errorf("the emulator's marker call needs the name of a function and a JSON object")
	}
	return Script(Move{Calls: []Call{{name, arguments}}}), nil
}

// parseStyleMarker reads the argument of the marker style: a style and for how long.
func parseStyleMarker(arg string) (Agent, error) {
	style, persistence, _ := strings.Cut(arg, " ")
	a := Agent{Style: Style(style)}
	if !slices.Contains(Styles(), a.Style) {
		return a, fmt.Errorf("the emulator has no style %q. It has: %v", style, Styles())
	}
	i := slices.Index([]string{"once", "each-turn", "always"}, strings.TrimSpace(persistence))
	if i < 0 && persistence != "" {
		return a, fmt.Errorf("the emulator's marker style takes once, each-turn or always")
	}
	a.Persistence = Persistence(max(i, 0))
	return a, nil
}

// lasting returns the agent that answers where no marker of this prompt and no
// script does: that of a marker in an earlier prompt, or a perfect one where
// functions or JSON are demanded, or the question is about a function.
func (s *Site) lasting(c Completion) (Agent, bool) {
	if !concernsAgent(c) {
		return Agent{}, false
	}
	a := Agent{Site: s, Plan: careful}
	v := a.View(c)
	underWay := v.Round > 0 || v.Correction
	for _, t := range slices.Backward(c.Context) {
		name, arg, _ := findMarker(t.User)
		switch {
		case name == "style":
			marked, err := parseStyleMarker(arg)
			marked.Site = s
			return marked, err == nil
		case name == "call" && underWay:
			plan, err := parseCallMarker(arg)
			a.Plan = plan
			return a, err == nil
		}
	}
	_, topic := v.topic()
	return a, underWay || v.JSON || v.Required || topic
}

// concernsAgent reports whether there is anything in a chat that an agent would do
// something about. It spares the others the reading.
func concernsAgent(c Completion) bool {
	in := func(prompt string, files []FileRef) bool {
		return len(files) > 0 || strings.Contains(prompt, "<tool") || strings.Contains(prompt, "[For this answer:") ||
			strings.Contains(prompt, "[[emulator:")
	}
	return in(c.Content, c.Files) || len(c.LocalTools) > 0 ||
		slices.ContainsFunc(c.Context, func(t Turn) bool { return in(t.User, t.Files) })
}
