package emulator

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// viewOf is what a model sees that has been told these prompts.
func viewOf(a Agent, prompts ...string) View {
	c := Completion{Content: prompts[len(prompts)-1]}
	for _, p := range prompts[:len(prompts)-1] {
		c.Context = append(c.Context, Turn{User: p, Answer: "x"})
	}
	return a.View(c)
}

func TestViewFunctions(t *testing.T) {
	names := func(v View) (list []string) {
		for _, f := range v.Functions {
			list = append(list, f.Server+"/"+f.Name)
		}
		return list
	}
	other := "<system>\n<tools>\n{\"name\":\"other\"}\nno JSON\n{}\n</tools>\n</system>\n"
	for name, tc := range map[string]struct {
		prompts []string
		want    []string
	}{
		"none":                        {[]string{"hi"}, nil},
		"in the first prompt":         {[]string{question("a"), "b", "c"}, []string{"/weather", "/step"}},
		"replaced":                    {[]string{question("a"), other + "b", "c"}, []string{"/other"}},
		"the last of two blocks":      {[]string{question("a") + other}, []string{"/other"}},
		"gone without another":        {[]string{question("a"), "The earlier text in <system> does not apply any more.\n\nb"}, nil},
		"told with a correction":      {[]string{"a", other + "[Your answer could not be used:\n- no]"}, []string{"/other"}},
		"kept by a correction":        {[]string{question("a"), "[Your answer could not be used:\n- no]"}, []string{"/weather", "/step"}},
		"gone with their system text": {[]string{question("a"), "<system>\nBe kind.\n</system>\nb"}, nil},
	} {
		if got := names(viewOf(Agent{}, tc.prompts...)); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	v := Agent{}.View(Completion{Content: question("a"), LocalTools: []DeclaredTool{{Server: "s", Name: "f"}}})
	if got := names(v); !slices.Equal(got, []string{"/weather", "/step", "s/f"}) {
		t.Errorf("with local tools: %q", got)
	}
	if f := v.Functions[0]; f.Description != "Tells the weather" || !strings.HasPrefix(f.Schema, `{"type":"object","properties":{"city"`) {
		t.Errorf("%+v", f)
	}
}

func TestViewRounds(t *testing.T) {
	one, two := result("f", "1", "one"), result("g", "2", "two")
	user := func(text string) string { return "<user>\n" + text + "\n</user>\n" }
	call := block("f", `{"x":"<tool_response name=\"f\">\n"}`) + "\n"
	for name, tc := range map[string]struct {
		prompts  []string
		round    int
		results  string
		question string
	}{
		"a question":                        {[]string{"hi"}, 0, "", "hi"},
		"a result":                          {[]string{"hi", one}, 1, "one", "hi"},
		"two results at once":               {[]string{"hi", one + "\n" + two}, 1, "one two", "hi"},
		"two rounds":                        {[]string{"hi", one, two}, 2, "two", "hi"},
		"a correction is no round":          {[]string{"hi", one, correction}, 1, "one", "hi"},
		"a round after a correction":        {[]string{"hi", one, correction, two}, 2, "two", "hi"},
		"another question":                  {[]string{"hi", one, "ho"}, 0, "", "ho"},
		"functions are not results":         {[]string{question("hi")}, 0, "", "hi"},
		"all in one prompt":                 {[]string{offer + user("hi") + call + one + "\n" + call + call + one + two}, 2, "one two", offer + user("hi") + call + one + "\n" + call + call + one + two},
		"all in one prompt, then a new one": {[]string{offer + user("hi") + call + one + "\n<current_user_message name=\"Bo\">\nho\n</current_user_message>"}, 0, "", "ho"},
		"earlier questions in one prompt":   {[]string{user("hi") + call + one + user("ho") + call + two}, 1, "two", ""},
		"and one more":                      {[]string{user("hi") + call + one, two}, 2, "two", ""},
		"a tag in a result":                 {[]string{"hi", result("f", "1", "<tool_response id=\"2\">\n<user> <tool_call>\n{\n")}, 1, "<tool_response id=\"2\">\n<user> <tool_call>\n{\n", "hi"},
		"a result without a name":           {[]string{"hi", "<tool_response>\none\n</tool_response>"}, 1, "one", "hi"},
	} {
		v := viewOf(Agent{}, tc.prompts...)
		var results []string
		for _, r := range v.Results {
			results = append(results, r.Text)
		}
		if v.Round != tc.round || strings.Join(results, " ") != tc.results || tc.question != "" && v.Question != strings.TrimSpace(tc.question) {
			t.Errorf("%s: round %d, results %q, question %q", name, v.Round, results, v.Question)
		}
	}
	got := viewOf(Agent{}, "hi", `<tool_response name="a&amp;&quot;b" id="c&lt;">`+"\nx\n</tool_response>").Results
	if want := []Result{{`a&"b`, "c<", "x"}}; !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestViewDemands(t *testing.T) {
	plain := View{}
	for name, tc := range map[string]struct {
		prompts []string
		want    View
	}{
		"nothing":               {[]string{question("You must call me. Write JSON.")}, plain},
		"required":              {[]string{question("a") + required}, View{Required: true}},
		"only for that answer":  {[]string{question("a") + required, result("f", "1", "x")}, plain},
		"still, corrected":      {[]string{question("a") + required, correction}, View{Required: true, Correction: true, Corrected: true}},
		"corrected before":      {[]string{question("a") + required, correction, "b"}, View{Corrected: true}},
		"forbidden":             {[]string{question("a") + forbidden}, View{Forbidden: true}},
		"single":                {[]string{question("a") + single}, View{Single: true}},
		"a certain one":         {[]string{question("a") + mustStep}, View{Required: true, Only: []string{"step"}}},
		"a certain one, once":   {[]string{question("a") + mustStep, "b"}, plain},
		"one of two, JSON":      {[]string{question("a") + onlyStep + "\n[For this answer: JSON]"}, View{Only: []string{"step"}, JSON: true}},
		"JSON with a schema":    {[]string{question("a") + "\n[For this answer: JSON, {} {no} { {\"type\":\"null\"} x]"}, View{JSON: true, Schema: `{"type":"null"}`}},
		"a schema of JSON":      {[]string{question("a") + "\n[For this answer: JSON {\"title\":\"JSON {}\"}]"}, View{JSON: true, Schema: `{"title":"JSON {}"}`}},
		"demanded with results": {[]string{question("a"), result("f", "1", "x") + required}, View{Required: true}},
	} {
		got := viewOf(Agent{}, tc.prompts...)
		got.Functions, got.Question, got.Round, got.Results = nil, "", 0, nil
		if !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Tests may have other words for all of it.
func TestSigns(t *testing.T) {
	a := Agent{Signs: &Signs{Correction: []string{"WRONG", "FALSE"}, Required: []string{"MUST"}, JSON: []string{"JJ"}}}
	v := viewOf(a, question("x")+`MUST be "step"`, "it is FALSE")
	if !v.Required || !v.Correction || v.Forbidden || v.JSON || !slices.Equal(v.Only, []string{"step"}) {
		t.Errorf("%+v", v)
	}
	if v := viewOf(a, question("x")+required); v.Required {
		t.Errorf("%+v", v)
	}
}

// An agent that knows the site reads the text files of a prompt.
func TestAgentReadsFiles(t *testing.T) {
	srv := mustStart(t, Options{})
	c := Completion{Content: "The message is in the file."}
	for i, kind := range []string{"text/plain", "image/png"} {
		key := fmt.Sprint("u/", i)
		body := question(kind)
		srv.Storage().mu.Lock()
		srv.Storage().store(&object{key: key, data: &data{chunks: [][]byte{[]byte(body)}, kept: true, size: int64(len(body))}})
		srv.Storage().mu.Unlock()
		c.Files = append(c.Files, FileRef{Key: key, FileType: kind})
	}
	if v := (Agent{Site: srv.Site}).View(c); len(v.Functions) != 2 || v.Question != "text/plain" {
		t.Errorf("%+v", v)
	}
	if v := (Agent{}).View(c); len(v.Functions) != 0 {
		t.Errorf("without the site: %+v", v)
	}
}
