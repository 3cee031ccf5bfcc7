package caddyqwen

import (
	"slices"

	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/tools"
)

// callsText writes earlier calls as the model itself makes them: it imitates what it
// sees.
func callsText(calls []openai.ToolCall) string {
	list := make([]tools.Call, len(calls))
	for i, c := range calls {
		list[i] = tools.Call{Name: c.Name, Arguments: c.Arguments}
	}
	return string(tools.AppendCalls(nil, list))
}

// resultNames returns the names of the tools whose results are in messages, by the
// index of the message.
func resultNames(messages []openai.Message) map[int]string {
	var n resultNamer
	names := make(map[int]string)
	for i := range messages {
		switch m := &messages[i]; roleTag(m.Role) {
		case "assistant":
			n.called(m.ToolCalls)
		case "tool":
			names[i] = n.name(m)
		}
	}
	return names
}

// resultNamer finds out to what tools results belong. Clients name the call, or the
// tool, or rely on the order.
type resultNamer struct {
	byID     map[string]string
	open     []openai.ToolCall // those without a result so far
	answered bool              // there are results of those that were called last
}

func (n *resultNamer) called(calls []openai.ToolCall) {
	if len(calls) == 0 {
		return
	}
	if n.answered {
		n.open, n.answered = nil, false
	}
	n.open = append(n.open, calls...)
	for _, c := range calls {
		if c.ID == "" {
			continue
		}
		if n.byID == nil {
			n.byID = make(map[string]string)
		}
		n.byID[c.ID] = c.Name
	}
}

func (n *resultNamer) name(result *openai.Message) string {
	n.answered = true
	name, i := "", -1
	if id := result.ToolCallID; id != "" {
		name = n.byID[id]
		i = slices.IndexFunc(n.open, func(c openai.ToolCall) bool { return c.ID == id })
	}
	switch {
	case name != "":
	case result.Name != "":
		name = result.Name
		i = slices.IndexFunc(n.open, func(c openai.ToolCall) bool { return c.Name == name })
	case len(n.open) > 0:
		name, i = n.open[0].Name, 0
	}
	if i >= 0 {
		n.open = slices.Delete(n.open, i, i+1)
	}
	return name
}
