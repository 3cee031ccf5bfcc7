package caddyqwen

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/openai"
)

// Of a prompt that is too long, what the model must not miss is said as long as it
// fits.
func TestPromptSplit(t *testing.T) {
	const file, limit = "prompt.txt", 500
	long := strings.Repeat("long ", 400)
	before, whole := fmt.Sprintf(beforeInFile, file), fmt.Sprintf(messageInFile, file)
	talk := func(first, last string) []openai.Message {
		return []openai.Message{message("system", "Be brief."), message("user", first), message("assistant", "b"), message("user", last)}
	}
	current := func(text string) string { return "<current_user_message>\n" + text + "\n</current_user_message>" }
	history := strings.TrimSuffix(promptHistory("<user>\n"+long+"\n</user>\n\n<assistant>\nb\n</assistant>\n\n"), "\n\n")
	const functions, brief = "<system>\n# F\n</system>", "<system>\nBe brief.\n</system>"
	for name, test := range map[string]struct {
		prompt           prompt
		inline, document string
	}{
		"a long history": {prompt{messages: talk(long, "c"), instructions: "# F", note: "[N.]"},
			before + "\n\n" + functions + "\n\n" + current("c") + "\n\n[N.]", brief + "\n\n" + history},
		"a long history, no functions": {prompt{messages: talk(long, "c"), note: "[N.]"},
			before + "\n\n" + current("c") + "\n\n[N.]", brief + "\n\n" + history},
		"no system text": {prompt{messages: talk(long, "c")[1:], instructions: "# F"},
			before + "\n\n" + functions + "\n\n" + current("c"), history},
		"a changed system text": {prompt{messages: talk("a", "c"), known: 0, goesOn: true, systemChanged: true, instructions: "# F"},
			before + "\n\n" + functions + "\n\n" + current("c"), systemNote + "\n\n" + brief + "\n\n" + branchNote + answerNote + "\n\n<conversation_history>\n<user>\na\n</user>\n\n<assistant>\nb\n</assistant>\n\n</conversation_history>"},
		"changed, no system text": {prompt{messages: talk(long, "c")[1:], goesOn: true, systemChanged: true, instructions: "# F"},
			before + "\n\n" + systemNote + "\n\n" + functions + "\n\n" + current("c"), strings.Replace(history, historyNote, branchNote, 1)},
		"a long message": {prompt{messages: talk("a", long), instructions: "# F", note: "[N.]"},
			whole + "\n\n" + functions + "\n\n[N.]", brief + "\n\n" + promptHistory("<user>\na\n</user>\n\n<assistant>\nb\n</assistant>\n\n") + current(long)},
		"nothing but a long message": {prompt{messages: []openai.Message{message("user", long)}, instructions: "# F"},
			whole + "\n\n" + functions, current(long)},
		"a plain long message": {prompt{messages: []openai.Message{message("user", long)}, note: "[N.]"}, whole + "\n\n[N.]", long},
		"long instructions": {prompt{messages: talk(long, "c"), instructions: long, note: "[N.]"},
			before + " " + functionsInFile + "\n\n" + current("c") + "\n\n[N.]", "<system>\nBe brief.\n\n" + long + "\n</system>\n\n" + history},
		"long instructions and a long message": {prompt{messages: []openai.Message{message("user", long)}, instructions: long, note: "[N.]"},
			whole + " " + functionsInFile + "\n\n[N.]", "<system>\n" + long + "\n</system>\n\n" + current(long)},
		"a long result": {prompt{messages: []openai.Message{message("user", "a"), calling("", openai.ToolCall{Name: "f"}), result("", "", long)}, known: 2, goesOn: true, instructions: "# F", note: "[N.]"},
			whole + "\n\n[N.]", "<tool_response name=\"f\">\n" + long + "\n</tool_response>"},
		"a long note": {prompt{messages: []openai.Message{message("user", "a")}, note: long}, whole, "a\n\n" + long},
	} {
		t.Run("LI-02 "+name, func(t *testing.T) {
			inline, document := test.prompt.split(limit, file)
			if inline != test.inline {
				t.Errorf("said is\n%s\nwant\n%s", inline, test.inline)
			}
			if document != test.document {
				t.Errorf("the file is\n%.600s\nwant\n%.600s", document, test.document)
			}
			if len(inline) > limit {
				t.Errorf("%d bytes are said", len(inline))
			}
		})
	}
}

// A byte decides whether the instructions can be said.
func TestPromptSplitLimit(t *testing.T) {
	p := prompt{messages: []openai.Message{message("user", strings.Repeat("long ", 400)), message("assistant", "b"), message("user", "c")}, instructions: "# Functions", note: "[Note.]"}
	whole, _ := p.split(1000, "prompt.txt")
	if inline, _ := p.split(len(whole), "prompt.txt"); inline != whole || !strings.Contains(inline, "# Functions") || !strings.Contains(inline, "\nc\n") {
		t.Errorf("where all just fits, said is\n%s", inline)
	}
	for limit := len(whole) - 1; limit >= 0; limit-- {
		inline, document := p.split(limit, "prompt.txt")
		for _, text := range []string{"# Functions", "\nc\n", "[Note.]", "long long"} {
			if strings.Count(inline+document, text) == 0 {
				t.Fatalf("%d bytes: %q is lost", limit, text)
			}
		}
		if smallest := len(fmt.Sprintf(messageInFile, "prompt.txt")); len(inline) > limit && len(inline) > smallest {
			t.Fatalf("%d bytes of %d are said", len(inline), limit)
		}
	}
}
