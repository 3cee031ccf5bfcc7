package session

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// sameMessage reports whether two messages are one for a conversation.
func sameMessage(a, b Message) bool { return a.entry().digest == b.entry().digest }

func TestMessagesAlike(t *testing.T) {
	call := func(arguments string) Message {
		return Message{Role: "assistant", Calls: []Call{{Name: "f", Arguments: arguments}}}
	}
	with := func(m Message, files ...string) Message {
		m.Files = files
		return m
	}
	tests := map[string]struct {
		a, b Message
		want bool
	}{
		"a file":                          {with(user("a"), "id:1"), user("a"), false},
		"the same file":                   {with(user(" a\n"), "id:1"), with(user("a"), "id:1"), true},
		"another file":                    {with(user("a"), "id:1"), with(user("a"), "id:2"), false},
		"the order of files":              {with(user("a"), "id:1", "id:2"), with(user("a"), "id:2", "id:1"), false},
		"a file twice":                    {with(user("a"), "id:1", "id:1"), with(user("a"), "id:1"), false},
		"two files in one":                {with(user("a"), "id:1", "id:2"), with(user("a"), "id:1id:2"), false},
		"white space of a file":           {with(user("a"), "id:1"), with(user("a"), "id:1 "), false},
		"an empty file":                   {with(user("a"), ""), user("a"), false},
		"a file moved into the text":      {with(user("a"), "id:1"), user("aid:1"), false},
		"a text moved into a file":        {with(user(""), "a"), user("a"), false},
		"files of a result":               {with(tool("a"), "id:1"), tool("a"), false},
		"files of a system message":       {with(system("a"), "id:1"), system("a"), false},
		"files of a developer":            {with(Message{Role: "developer", Text: "a"}, "id:1"), with(system("a"), "id:1"), true},
		"files of another role":           {with(system("a"), "id:1"), with(user("a"), "id:1"), false},
		"files of assistants":             {with(assistant("a"), "id:1"), assistant("a"), true},
		"white space of a reply":          {assistant(" a\t\nb \u3000c"), assistant("a b c\r\n"), true},
		"white space of a question":       {user("if x:\n    a()\n    b()"), user("if x:\n    a()\nb()"), false},
		"white space around a question":   {user(" a\r\nb \n"), user("a\nb"), true},
		"white space added within a word": {user("ab"), user("a b"), false},
		"nothing and white space":         {assistant(""), assistant(" \n"), true},
		"case":                            {user("a"), user("A"), false},
		"composed characters":             {user("\u00e9"), user("e\u0301"), false},
		"roles":                           {user("a"), system("a"), false},
		"the role of a reply":             {user("a"), assistant("a"), false},
		"the role of a result":            {user("a"), tool("a"), false},
		"developer is system":             {Message{Role: "developer", Text: "a"}, system("a"), true},
		"function is tool":                {Message{Role: "function", Text: "a"}, tool("a"), true},
		"names of users":                  {Message{Role: "user", Name: "x", Text: "a"}, user("a"), false},
		"a name moved into the text":      {Message{Role: "user", Name: "x", Text: "a"}, user("xa"), false},
		"names of tools":                  {Message{Role: "function", Name: "f", Text: "a"}, tool("a"), true},
		"names of assistants":             {Message{Role: "assistant", Name: "x", Text: "a"}, assistant("a"), true},
		"arguments with spaces":           {call(`{"a":1,"b":"x"}`), call("{ \"a\" : 1,\n\"b\":\"x\" }"), true},
		"arguments in another order":      {call(`{"a":1,"b":2}`), call(`{"b":2,"a":1}`), true},
		"arguments with escapes":          {call(`{"a":"\u00e9\/"}`), call(`{"a":"é/"}`), true},
		"spaces in an argument":           {call(`{"a":"x y"}`), call(`{"a":"x  y"}`), false},
		"an argument changed":             {call(`{"a":1}`), call(`{"a":2}`), false},
		"an argument as text":             {call(`{"a":1}`), call(`{"a":"1"}`), false},
		"a list in another order":         {call(`[1,2]`), call(`[2,1]`), false},
		"whole numbers beyond floats":     {call(`{"a":9007199254740993}`), call(`{"a":9007199254740992}`), false},
		"not JSON":                        {call(`{"a":`), call(`{"a": `), false},
		"calls left out":                  {call(`{}`), assistant(""), false},
		"names of calls":                  {call(`{}`), Message{Role: "assistant", Calls: []Call{{Name: "g", Arguments: "{}"}}}, false},
		"a call moved into the text":      {call(`{}`), assistant("f{}"), false},
		"two calls in one": {
			Message{Role: "assistant", Calls: []Call{{"f", "1"}, {"g", "2"}}},
			Message{Role: "assistant", Calls: []Call{{"f", "1g2"}}}, false,
		},
		"the order of calls": {
			Message{Role: "assistant", Calls: []Call{{"f", "1"}, {"g", "2"}}},
			Message{Role: "assistant", Calls: []Call{{"g", "2"}, {"f", "1"}}}, false,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := sameMessage(test.a, test.b); got != test.want {
				t.Errorf("alike: %v, want %v", got, test.want)
			}
		})
	}
}

// Messages without files have the digests that they had before there were any, and
// all others have those of the first release: conversations in existing databases go
// on.
func TestDigestsStay(t *testing.T) {
	for want, m := range map[string]Message{
		"77dd855aabeb1d58010dbdf058c2c732": user("Hello"),
		"a4545be31c57f30a4b9ca064e44a6e76": {Role: "user", Name: "Ann", Text: " a\r\nb "},
		"15c85cc3dd4878aba177a82618e86f44": {Role: "developer", Text: "Be brief."},
		"a77a0a4bfd66f9dabeb39d91bfeff3d4": tool("{}"),
		"50a4a9347a95c8e9dde0a6a28fc1552e": assistant("Hi  there"),
		"efa801d8af5e15fb43d4c24afcaf86c3": {Role: "user", Text: "What is this?", Files: []string{"sha256:00", "id:1"}},
	} {
		if e := m.entry(); e.digest.String() != want {
			t.Errorf("%+v: %s, not %s", m, e.digest, want)
		}
	}
	c := New(Scope{Tenant: "t", Account: Of("account", "a"), Model: "m"}, "Be brief.", list("Hello", "Hi", "So?"))
	turn := c.Turn(c.NewChat(), "chat", "answer", replyOf("", "Yes."), time.UnixMilli(0))
	for what, digests := range map[string][2]string{
		"the list": {digestOf(c).String(), "05899805ebe821a84c03ff3724616b5a"},
		"a pair":   {c.pair(1, c.entries[1].digest).String(), "2e37eab4ce541929cc6c7f4b7847ff60"},
		"loose":    {next(next(c.loose, c.entries[0].digest), c.entries[1].digest).String(), "baff0a262f19134d58f62318dff579ec"},
		"a turn":   {Of("all", turn.Pair.String(), turn.Loose.String(), turn.Chain.String()).String(), "33bdd92e9108df65435cc6ba442e4c79"},
	} {
		if digests[0] != digests[1] {
			t.Errorf("%s: %s, not %s", what, digests[0], digests[1])
		}
	}
}

// TestMessageForms takes reasoning off replies that call tools, too.
func TestMessageForms(t *testing.T) {
	calls := []Call{{"f", "{}"}}
	for name, test := range map[string]struct {
		sent, recorded Message
		want           bool
	}{
		"thoughts":                 {assistant("<think>a</think>b"), assistant("b"), true},
		"thoughts and calls":       {Message{Role: "assistant", Text: "<think>a</think>b", Calls: calls}, Message{Role: "assistant", Text: "b", Calls: calls}, true},
		"thoughts, calls left out": {Message{Role: "assistant", Text: "<think>a</think>b", Calls: calls}, assistant("b"), false},
		"thoughts, calls put in":   {assistant("<think>a</think>b"), Message{Role: "assistant", Text: "b", Calls: calls}, false},
		"thoughts of a user":       {user("<think>a</think>b"), user("b"), false},
		"a quotation":              {assistant("b"), assistant("> b"), false},
	} {
		sent, recorded := test.sent.entry(), test.recorded.entry()
		if got := slices.Contains(sent.forms(), recorded.digest); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	quoted := assistant("> a\n\nb")
	calling := Message{Role: "assistant", Text: quoted.Text, Calls: calls}
	a, b := quoted.entry(), calling.entry()
	if len(a.variants) != 1 || len(b.variants) != 1 || a.variants[0] == b.variants[0] {
		t.Errorf("a quotation has the forms %v, and with calls %v", a.variants, b.variants)
	}
}

func TestWithoutReasoning(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "",
		"a":                 "a",
		"<think>a</think>b": "b",
		" \u3000<think>a</think>\n<think>b</think>\n c": "\n c",
		"<think>a</think>":                   "",
		"<think>a":                           "<think>a",
		"<think>a</think><think>b":           "<think>b",
		"a<think>b</think>":                  "a<think>b</think>",
		"<think>a<think>b</think>c</think>d": "c</think>d",
		"<Think>a</Think>b":                  "<Think>a</Think>b",
		`<details type="reasoning" done="true">a</details>b`:                             "b",
		`a<details type="reasoning">b</details>c<details type="reasoning">d</details>e`:  "ace",
		`a<details type="reasoning">b`:                                                   `a<details type="reasoning">b`,
		`<details type="reasoning">a</details><think>b</think>c`:                         "c",
		`<think>b</think><details type="reasoning">a</details>c`:                         "c",
		`<details><summary>a</summary>b</details>c`:                                      `<details><summary>a</summary>b</details>c`,
		`<details type="tool_calls">b</details>c`:                                        `<details type="tool_calls">b</details>c`,
		`<details type="reasoning">a</details>b<details type="reasoning">unended so far`: `b<details type="reasoning">unended so far`,
	} {
		if got := withoutReasoning(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestChunks parts texts, also such that are not UTF-8, and folds them: the same
// as in one piece.
func TestChunks(t *testing.T) {
	for _, unit := range []string{"a", "é", "好", "\u3000", "\U0001f600", "a\u3000", "\x80", "\xe3\x80", "\xf0\x9f", "\u3000\x80\x80\x80\x80", "\U0001f600\xbf"} {
		for shift := range 8 {
			text := strings.Repeat("x", shift) + strings.Repeat(unit, 1200/len(unit)) + "y"
			var joined []byte
			for chunk := range chunks(text) {
				if len(chunk) == 0 {
					t.Fatalf("%q: an empty piece", unit)
				}
				joined = append(joined, chunk...)
			}
			if string(joined) != text {
				t.Fatalf("%q: the pieces are another text", unit)
			}
			whole := newFolder()
			whole.write([]byte(text))
			if got, runes := fold(text); got != whole.digest() || runes != whole.runes {
				t.Errorf("%q after %d: in pieces %v of %d characters, whole %v of %d", unit, shift, got, runes, whole.digest(), whole.runes)
			}
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, test := range replies {
		f.Add(test.text, test.reasoning)
		f.Add("<think>"+test.reasoning+"</think>"+test.text, `{"a": 1.50}`)
		f.Add(`<details type="reasoning">`+test.reasoning+"</details>"+test.text, `{"b":1,"a":[]}`)
		f.Add("> "+test.reasoning+"\n\n"+test.text, "\xff")
	}
	f.Fuzz(func(t *testing.T, text, arguments string) {
		checkMessage(t, text, arguments)
	})
}

// checkMessage checks what holds for any message.
func checkMessage(t *testing.T, text, arguments string) {
	t.Helper()
	if once := canonical(arguments); canonical(once) != once {
		t.Errorf("%q: canonical is %q, and then %q", arguments, once, canonical(once))
	}
	once := withoutReasoning(text)
	// Only what was put together of the parts around a block may be taken out in
	// a second go.
	if twice := withoutReasoning(once); twice != once && strings.Count(once, detailsOpen) == 0 {
		t.Errorf("%q without reasoning is %q, and then %q", text, once, twice)
	}
	if !strings.Contains(text, detailsOpen) && !strings.HasSuffix(text, once) {
		t.Errorf("%q is no end of %q", once, text)
	}
	for _, m := range []Message{{Role: "assistant", Text: text}, {Role: "assistant", Text: text, Calls: []Call{{"f", arguments}}}} {
		e := m.entry()
		if len(e.variants) > 2 {
			t.Errorf("%d variants", len(e.variants))
		}
		m.Text = " \n" + m.Text + "\t"
		if spaced := m.entry(); utf8.ValidString(text) && !slices.Equal(spaced.forms(), e.forms()) {
			t.Errorf("%q has other forms with white space around", text)
		}
		m.Text = strings.TrimSpace(m.Text) + "x"
		if other := m.entry(); other.digest == e.digest {
			t.Errorf("%q has the same digest with a letter more", text)
		}
	}
	m := user(text)
	if e := m.entry(); len(e.variants) > 0 || e.digest == (&Message{Role: "assistant", Text: text}).entry().digest {
		t.Errorf("%q of a user counts as a reply", text)
	}
}

// Texts that differ in more than white space have different digests, wherever
// they are parted.
func TestFoldDiffers(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	seen := make(map[Digest]string)
	for range 20_000 {
		b := make([]rune, r.IntN(6))
		for i := range b {
			b[i] = []rune("ab \n\u3000好")[r.IntN(6)]
		}
		text := string(b)
		d, n := fold(text)
		folded := strings.Join(strings.FieldsFunc(text, unicode.IsSpace), " ")
		if n != utf8.RuneCountInString(folded) {
			t.Fatalf("%q has %d characters", text, n)
		}
		if old, ok := seen[d]; ok && old != folded {
			t.Fatalf("%q and %q have one digest", old, folded)
		}
		seen[d] = folded
	}
}
