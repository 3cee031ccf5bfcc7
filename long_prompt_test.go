package caddyqwen

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

const longHeader = "X-Qwen-Long-Prompt"

// longText returns a text of about a size in several scripts, which begins and ends with
// a name.
func longText(name string, size int) string {
	random := rand.New(rand.NewPCG(uint64(size), uint64(len(name))))
	words := []string{"word", "слово", "字", "😀", "a+b", "100%", `"quoted"`, "<tag>", "line\n", "\ttab"}
	var b strings.Builder
	b.WriteString(name + " begins. ")
	for b.Len() < size {
		b.WriteString(words[random.IntN(len(words))] + " ")
	}
	return b.String() + name + " ends."
}

// document returns the text of the file in which the long part of the newest
// prompt is.
func (g *gateway) document() string {
	g.t.Helper()
	files := g.last().Files
	if len(files) == 0 {
		g.t.Fatal("nothing went along with the prompt")
	}
	f := files[len(files)-1]
	stored, ok := g.site.Storage().Object(f.Key)
	if !ok || f.Name != "prompt.txt" || f.FileClass != "document" || !strings.HasPrefix(f.FileType, "text/plain") {
		g.t.Fatalf("the last file is %v", f)
	}
	return string(stored.Body)
}

// What is too long for the site goes along as a file, whole.
func TestLongPrompt(t *testing.T) {
	const limit = 2000
	long := longText("The long text", 9000)
	replies := []any{user("first question"), assistant("first reply " + longText("the reply", 3000)), user("second question"), assistant("second reply")}
	for name, test := range map[string]struct {
		messages []any
		inline   []string // what is said, in this order
		document []string // what is in the file
		exactly  bool     // and nothing else is
	}{
		"one long message":              {[]any{user(long)}, []string{"attached file prompt.txt"}, []string{long}, true},
		"a long history, a short end":   {append(replies, user("third question")), []string{"attached file prompt.txt", "<current_user_message>\nthird question\n</current_user_message>"}, []string{"<user>\nfirst question\n</user>", replies[1].(said).Content, "second question", "second reply"}, false},
		"a long history, a long end":    {append(replies, user(long)), []string{"attached file prompt.txt"}, []string{"first question", replies[1].(said).Content, "second question", "second reply", "<current_user_message>\n" + long}, false},
		"a short history, a long end":   {[]any{user("first question"), assistant("first reply"), user(long)}, []string{"attached file prompt.txt"}, []string{"first question", "first reply", long}, false},
		"a long system text":            {[]any{system(long), user("a question")}, []string{"<current_user_message>\na question\n"}, []string{"<system>\n" + long + "\n</system>"}, false},
		"a system text, a long message": {[]any{system("Be brief."), user(long)}, []string{"attached file prompt.txt"}, []string{"<system>\nBe brief.\n</system>", long}, false},
	} {
		for mode, fields := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				g := mustFilesGateway(t, setup{qwen: fmt.Sprint("max_prompt ", limit)})
				g.parsesAtOnce()
				r := g.do(http.MethodPost, chatPath, messagesBody(t, "qwen3.7-plus", test.messages, fields))
				modelOf(t, r)
				if got := r.header.Get(longHeader); got != "uploaded" {
					t.Errorf("%s is %q", longHeader, got)
				}
				document, inline := g.document(), g.last().Content
				if len(inline) > limit {
					t.Errorf("the prompt has still %d bytes", len(inline))
				}
				mustContainInOrder(t, inline, test.inline)
				mustContainInOrder(t, document, test.document)
				if test.exactly && document != test.document[0] {
					t.Error("there is more in the file than the message")
				}
				for _, m := range test.messages {
					if text := m.(said).Content; strings.Count(document, text)+strings.Count(inline, text) == 0 {
						t.Errorf("%.30q is lost", text)
					}
				}
				g.mustStore(1)
			})
		}
	}
}

func mustContainInOrder(t testing.TB, text string, parts []string) {
	t.Helper()
	for _, part := range parts {
		_, after, found := strings.Cut(text, part)
		if !found {
			t.Errorf("%.60q is not in the text, or not in its place", part)
			return
		}
		text = after
	}
}

// The limit is a number of bytes; below it, nothing changes.
func TestLongPromptLimit(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	g.parsesAtOnce()
	for name, test := range map[string]struct {
		size int
		long bool
	}{
		"LI-02 just fits":                  {160_000, false},
		"LI-02 one byte more":              {160_001, true},
		"LI-02 200 KB":                     {200_000, true},
		"LI-02 a megabyte":                 {1_000_000, true},
		"LI-02 as much as a text may have": {3_900_000, true},
	} {
		for mode, fields := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				prompt := strings.Repeat("é", test.size/2) + strings.Repeat("x", test.size%2)
				r := g.chat(prompt, fields)
				modelOf(t, r)
				if got := r.header.Get(longHeader) == "uploaded"; got != test.long {
					t.Errorf("%s is %q", longHeader, r.header.Get(longHeader))
				}
				switch {
				case test.long && g.document() != prompt:
					t.Error("the file is not the prompt")
				case !test.long && (g.last().Content != prompt || len(g.last().Files) > 0):
					t.Error("the prompt is not the same")
				}
			})
		}
	}
}

// Later turns send what is new, as in any conversation.
func TestLongPromptContinues(t *testing.T) {
	for mode, fields := range modes {
		t.Run("HI-02, HI-03 "+mode, func(t *testing.T) {
			g := mustFilesGateway(t, setup{qwen: "max_prompt 2000"})
			g.parsesAtOnce()
			g.numbered()
			long := longText("The long text", 9000)
			talk := []any{user(long)}
			ask := func() reply {
				t.Helper()
				r := g.do(http.MethodPost, chatPath, messagesBody(t, "qwen3.7-plus", talk, fields))
				modelOf(t, r)
				c := g.last()
				path := g.site.Context(c.ChatID, c.ResponseID)
				talk = append(talk, assistant(path[len(path)-1].Answer))
				return r
			}
			first := ask()
			for _, next := range []string{"two", "three"} {
				talk = append(talk, user(next))
				r := ask()
				if r.header.Get("X-Qwen-Session") != "continued" || r.header.Get("X-Qwen-Chat-Id") != first.header.Get("X-Qwen-Chat-Id") || r.header.Get(longHeader) != "" {
					t.Errorf("the turn is %q, %s is %q", r.header.Get("X-Qwen-Session"), longHeader, r.header.Get(longHeader))
				}
				if c := g.last(); c.Content != next || len(c.Files) > 0 {
					t.Errorf("the site got %q and %v", c.Content, c.Files)
				}
			}
			g.mustShow(g.last().Context[0].Files, []byte(long))
			g.mustStore(1)

			talk = append(talk, user("four"))
			g.site.Reply(emulator.ChatNotFound())
			r := ask()
			if r.header.Get("X-Qwen-Session") != "replayed" || r.header.Get(longHeader) != "uploaded" {
				t.Errorf("after the loss it is %q, %s is %q", r.header.Get("X-Qwen-Session"), longHeader, r.header.Get(longHeader))
			}
			mustContainInOrder(t, g.document(), []string{long, "two", "three"})
			mustContainInOrder(t, g.last().Content, []string{"<current_user_message>\nfour\n"})

			talk = append(talk[:len(talk)-1:len(talk)-1], assistant("Another reply."), user("five")) // which nobody has given
			if r := ask(); r.header.Get("X-Qwen-Session") != "replayed" || len(g.last().Files) != 1 {
				t.Errorf("after an edited reply it is %q, with %v", r.header.Get("X-Qwen-Session"), g.last().Files)
			}
			mustContainInOrder(t, g.document(), []string{long, "two", "three", "four", "Another reply."})
		})
	}
}

// The same long question again does not upload the same text again.
func TestLongPromptAgain(t *testing.T) {
	g := mustFilesGateway(t, setup{qwen: "max_prompt 2000"})
	g.parsesAtOnce()
	long := longText("The long text", 5000)
	for range 3 {
		g.mustReply(g.chat(long, ""))
		if g.document() != long {
			t.Error("the file is not the prompt")
		}
	}
	g.mustStore(1)
	for _, list := range []string{"", "?limit=1"} {
		if l := g.files(list); len(l.Data) > 0 {
			t.Errorf("it is in the list of files: %+v", l.Data)
		}
	}
}

// Files of the message come before the text.
func TestLongPromptWithImages(t *testing.T) {
	g := mustFilesGateway(t, setup{qwen: "max_prompt 2000"})
	g.parsesAtOnce()
	images, parts := namedImages(0, 10)
	long := longText("The long text", 5000)
	g.discuss([]any{say(long, parts...)})
	g.mustShow(g.last().Files, append(images, []byte(long))...)
	g.document()

	g.discuss([]any{say(long, parts[:2]...), assistant("A reply from elsewhere."), user("and now?")}).mustBe(t, "replayed")
	document := g.document()
	g.mustShow(g.last().Files, images[0], images[1], []byte(document))
	mustContainInOrder(t, document, []string{long, "[attached file: 0.png]", "[attached file: 1.png]", "A reply from elsewhere."})
}

// What is longer than the model's context is refused in the words that clients
// know, and so is everything where the owner wants it so.
func TestLongPromptRefused(t *testing.T) {
	for name, test := range map[string]struct {
		qwen, model string
		size        int
	}{
		"UP-02 refused by the owner":       {"max_prompt 2000\nlong_prompts refuse", "qwen3.7-plus", 3000},
		"UP-02 longer than the context":    {"", "qwen3-vl-plus", 4*262144 + 4},
		"UP-02 in a history of many turns": {"max_prompt 2000\nlong_prompts refuse", "qwen3.7-plus", -1},
	} {
		for mode, fields := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				g := mustFilesGateway(t, setup{qwen: test.qwen})
				messages := []any{user(strings.Repeat("x", max(0, test.size)))}
				if test.size < 0 {
					messages = nil
					for i := range 200 {
						messages = append(messages, user(fmt.Sprint("question ", i)), assistant(fmt.Sprint("reply ", i)))
					}
					messages = append(messages, user("the end"))
				}
				r := g.askModel(test.model, messages, fields)
				wantTooLong.check(t, r)
				if !strings.Contains(r.body, "maximum context length") || r.header.Get(longHeader) != "" {
					t.Errorf("clients do not understand: %s", r.body)
				}
				g.sentNothing()
			})
		}
	}
}

// A text that the site does not take as a file is not answered without it.
func TestLongPromptFails(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(g *gateway)
		status  int
		code    string
		stage   string
	}{
		"the site cannot read it": {func(g *gateway) { g.site.Parse(emulator.Parsing{Error: "The file is damaged."}) }, 400, "document_unreadable", "reading of the document"},
		"no grant":                {func(g *gateway) { g.site.Fail(emulator.EndpointFileGrant, emulator.Refusal("Bad_Request", "No.")) }, 502, "upload_failed", "upload grant"},
		"the storage refuses it":  {func(g *gateway) { g.failAll(emulator.OpPost, emulator.OpPut) }, 502, "upload_failed", "transfer to the storage"},
		"the site will not read":  {func(g *gateway) { g.site.Fail(emulator.EndpointFileParse, emulator.Refusal("Bad_Request", "No.")) }, 502, "upload_failed", "reading of the document"},
	} {
		for mode, fields := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				g := mustFilesGateway(t, setup{qwen: "max_prompt 2000"})
				test.prepare(g)
				r := g.chat(longText(secretPrompt, 5000), fields)
				mustRefuse(t, r, test.status, test.code, "messages")
				if !strings.Contains(r.body, test.stage) {
					t.Errorf("the stage is not named: %s", r.body)
				}
				if n := len(g.site.Completions()); n > 0 {
					t.Errorf("the site got %d prompts", n)
				}
				if strings.Contains(r.body+g.logged(), secretPrompt) {
					t.Error("the prompt is in the answer or in the log")
				}
			})
		}
	}
}

// Tokens that the site has not counted are estimated from all of the text.
func TestLongPromptUsage(t *testing.T) {
	g := mustFilesGateway(t, setup{qwen: "max_prompt 2000"})
	g.parsesAtOnce()
	g.site.Reply(emulator.Stream(emulator.Created(), emulator.Answer("Read."), emulator.Finish()))
	long := longText("The long text", 40_000)
	var answer struct {
		Usage struct {
			Prompt int `json:"prompt_tokens"`
		}
	}
	r := g.chat(long, "")
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil || answer.Usage.Prompt < len(long)/4 || answer.Usage.Prompt > len(long)/4+200 {
		t.Errorf("%v: %d tokens for %d bytes", err, answer.Usage.Prompt, len(long))
	}
}
