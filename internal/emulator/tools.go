package emulator

import "github.com/google/uuid"

// Tool is the use of a built-in tool: three frames of the phase with
// `function_call` whose arguments grow, then a frame with the role `function`
// and the status `finished` that carries the result as its `extra`. The
// function is called like the phase (`web_search`, `code_interpreter`, …).
// Arguments is JSON text; a result that cannot be marshalled panics.
func Tool(phase, arguments string, result any) Step {
	extra := mustText(result)
	return Step{func(st *stream) error {
		id := "call_" + uuid.NewString()
		runes := []rune(arguments)
		for part := 1; part <= 3; part++ {
			err := st.toolCall(phase, id, string(runes[:len(runes)*part/3]))
			if err != nil {
				return err
			}
		}
		return st.delta(delta{role: "function", phase: phase, status: "finished", extra: extra})
	}}
}

// toolCall sends one snapshot of a function call.
func (st *stream) toolCall(phase, id, arguments string) error {
	call := appendString([]byte(`{"name":`), phase)
	call = appendString(append(call, `,"arguments":`...), arguments)
	return st.delta(delta{
		role: "assistant", phase: phase, status: "typing",
		call: string(append(call, '}')), callID: id, extra: `{"display_position":"answer"}`,
	})
}

// Doc is a page that a web search has found.
type Doc struct {
	URL     string `json:"url"`
	Title   string `json:"title"`
	Snippet string `json:"snippet"`
	Date    string `json:"date,omitempty"`
}

// WebSearch is the use of the tool `web_search` in the form of 2026. UsedID is
// the number of the last page of the turn so far; answers cite `[[n]]`.
func WebSearch(query string, usedID int, docs ...Doc) Step {
	return Tool("web_search", mustText(map[string]any{"queries": []string{query}}), map[string]any{
		"tool_result": map[string]any{"docs": append([]Doc{}, docs...), "used_id": usedID},
	})
}

// LocalTool is the call of a tool that the client has declared in
// `feature_config.local_mcp`.
func LocalTool(server, tool string, params any) Step {
	extra := mustText(map[string]any{
		"local_mcp": map[string]any{server: []any{map[string]any{"tool_name": tool, "params": params}}},
	})
	return Step{func(st *stream) error {
		return st.delta(delta{role: "assistant", phase: "local_tool", status: "finished", extra: extra})
	}}
}

// Image is a generated image in the form of the chat type `t2i`: phase
// `image_gen`, the content is the address, the size is in the extra. Such a
// stream ends with FinishWith("image_gen", "").
func Image(url string, width, height int) Step {
	extra := mustText(map[string]any{"output_image_hw": [][]int{{height, width}}})
	return Step{func(st *stream) error {
		return st.delta(delta{role: "assistant", content: url, phase: "image_gen", status: "typing", extra: extra})
	}}
}

// ToolImage is a generated image in the form of an ordinary chat: the tool
// `image_gen_tool` with the addresses for display and of the original.
func ToolImage(prompt, display, original string) Step {
	return Tool("image_gen_tool", mustText(map[string]any{"prompt": prompt}), map[string]any{
		"image_list":  []any{map[string]string{"image": display}},
		"tool_result": []any{map[string]string{"image": original}},
	})
}
