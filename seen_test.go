package caddyqwen

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// view is what the model knows at a turn, read back from what the site has got:
// the messages of the path to the turn, marked or not, and the system text that
// it was told last.
type view struct {
	messages []said
	system   string
}

// marked is one part of a prompt.
var marked = regexp.MustCompile(`(?s)<(system|user|assistant|current_user_message|unfinished_assistant_message)>\n(.*?)\n</`)

// viewOf reads the prompts and answers of a path.
func viewOf(context []emulator.Turn, prompt string) (v view) {
	for _, turn := range context {
		v.read(turn.User)
		v.messages = append(v.messages, assistant(turn.Answer))
	}
	v.read(prompt)
	return v
}

// read takes in a prompt: a plain one, or one with marks.
func (v *view) read(prompt string) {
	parts := marked.FindAllStringSubmatch(prompt, -1)
	if strings.Contains(prompt, noSystem) {
		v.system = ""
	}
	if len(parts) == 0 {
		v.messages = append(v.messages, user(prompt))
	}
	for _, part := range parts {
		switch part[1] {
		case "system":
			v.system = part[2]
		case "assistant", "unfinished_assistant_message":
			v.messages = append(v.messages, assistant(part[2]))
		default:
			v.messages = append(v.messages, user(part[2]))
		}
	}
}

// of reports what is wrong with the view of a conversation. If older tells so,
// the model may know messages from before it.
func (v view) of(talk []said, older bool) error {
	wanted := ""
	if talk[0].Role == "system" {
		wanted, talk = talk[0].Content, talk[1:]
	}
	if v.system != wanted {
		return fmt.Errorf("the system text is %q, not %q", v.system, wanted)
	}
	known := v.messages
	if older && len(known) > len(talk) {
		known = known[len(known)-len(talk):]
	}
	if !slices.Equal(known, talk) {
		return fmt.Errorf("the model knows\n%q, not\n%q", known, talk)
	}
	return nil
}

func TestView(t *testing.T) {
	context := []emulator.Turn{
		{User: "<system>\nS1\n</system>\n\n<current_user_message>\none\n</current_user_message>", Answer: "A1"},
		{User: branchNote + answerNote + "\n\n<conversation_history>\n<user>\ntwo\n</user>\n\n<assistant>\nA2\n</assistant>\n\n</conversation_history>\n\n<current_user_message>\nthree\n</current_user_message>", Answer: "A3"},
	}
	v := viewOf(context, "four")
	talk := []said{system("S1"), user("one"), assistant("A1"), user("two"), assistant("A2"), user("three"), assistant("A3"), user("four")}
	if err := v.of(talk, false); err != nil {
		t.Error(err)
	}
	trimmed := append([]said{system("S1")}, talk[3:]...)
	if err := v.of(trimmed, true); err != nil {
		t.Error(err)
	}
	for name, wrong := range map[string][]said{
		"trimmed": trimmed, "another system text": append([]said{system("S2")}, talk[1:]...), "none": talk[1:],
		"a message more": append(slices.Clone(talk), user("five")), "another": append(slices.Clone(talk[:7]), user("5")),
	} {
		if v.of(wrong, false) == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
	if v := viewOf(context, noSystem+"\n\n<current_user_message>\nfour\n</current_user_message>"); v.of(talk[1:], false) != nil {
		t.Error("a system text that does not apply any more still counts")
	}
}
