package emulator

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mustTurn completes a turn and returns the response id of its answer.
func (c *client) mustTurn(chat, parent, prompt string) string {
	c.t.Helper()
	_, body := c.say(chat, parent, prompt)
	list := mustEvents(c.t, body)
	if len(list) == 0 || list[0].Created == nil {
		c.t.Fatalf("no answer: %.300s", body)
	}
	return list[0].Created.Response
}

// prompts returns what the model sees of the user.
func prompts(turns []Turn) string {
	var list []string
	for _, v := range turns {
		list = append(list, v.User)
	}
	return strings.Join(list, ",")
}

func TestChatsAreTrees(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	chat, other := c.mustChat(), c.mustChat()
	a := c.mustTurn(chat, "", "a")
	b := c.mustTurn(chat, a, "b")
	b2 := c.mustTurn(chat, a, "b2")
	d := c.mustTurn(chat, b, "d")
	foreign := c.mustTurn(other, "", "elsewhere")
	lost := c.mustTurn(chat, foreign, "lost")
	wrong := c.mustTurn(chat, "no-such-answer", "wrong")
	root := c.mustTurn(chat, "", "root")
	after := c.mustTurn(chat, lost, "after")

	for _, tc := range []struct{ name, chat, response, want string }{
		{"first", chat, a, "a"},
		{"follow-up", chat, d, "a,b,d"},
		{"branch", chat, b2, "a,b2"},
		{"foreign parent loses the context", chat, lost, "lost"},
		{"unknown parent loses the context", chat, wrong, "wrong"},
		{"no parent starts over", chat, root, "root"},
		{"the lost context stays lost", chat, after, "lost,after"},
		{"answer of another chat", chat, foreign, ""},
		{"unknown chat", "nope", a, ""},
		{"unknown answer", chat, "nope", ""},
		{"no answer", chat, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := prompts(srv.Context(tc.chat, tc.response)); got != tc.want {
				t.Errorf("context %q, want %q", got, tc.want)
			}
		})
	}

	// What was seen at the time is recorded with each completion.
	for i, want := range []string{"", "a", "a", "a,b", "", "", "", "", "lost"} {
		if got := prompts(srv.Completions()[i].Context); got != want {
			t.Errorf("completion %d saw %q, want %q", i, got, want)
		}
	}
	turns := srv.Context(chat, b)
	if turns[0].ResponseID != a || turns[1].ResponseID != b || !strings.HasSuffix(turns[1].Answer, "You said: b") {
		t.Errorf("turns %+v", turns)
	}
}

// The four parent fields must not contradict each other.
func TestContradictingParents(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(b, m map[string]any, parent string)
		want string
	}{
		{"all of them", func(_, _ map[string]any, _ string) {}, "a"},
		{"only the one at the top", func(b, m map[string]any, p string) {
			delete(b, "parentId")
			delete(m, "parentId")
			delete(m, "parent_id")
		}, "a"},
		{"message has null", func(b, m map[string]any, p string) { m["parent_id"] = nil }, ""},
		{"message has another", func(b, m map[string]any, p string) { m["parentId"] = "x" }, ""},
		{"top has null", func(b, m map[string]any, p string) { b["parent_id"] = nil }, ""},
		{"top has an empty parentId", func(b, m map[string]any, p string) { b["parentId"] = "" }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStart(t, Options{})
			c := newClient(t, srv)
			chat := c.mustChat()
			a := c.mustTurn(chat, "", "a")
			resp := c.mustDo(c.completion(t.Context(), turn{
				chat: chat, parent: a, prompt: "b",
				edit: func(b, m map[string]any) { tc.edit(b, m, a) },
			}))
			mustReadAll(t, resp)
			rec := srv.Completions()[1]
			if got := prompts(rec.Context); got != tc.want {
				t.Errorf("context %q, want %q", got, tc.want)
			}
			if !rec.Finished {
				t.Error("the site does not refuse it")
			}
			want := "b"
			if tc.want != "" {
				want = "a,b"
			}
			if got := prompts(srv.Context(chat, rec.ResponseID)); got != want {
				t.Errorf("the tree has %q, want %q", got, want)
			}
		})
	}
}

func TestEveryCandidateBelongsToTheChat(t *testing.T) {
	srv := mustStart(t, Options{})
	srv.Reply(Stream(Created(), Answer("zero"), Candidate(1, Answer("one"), Finish()), Finish()))
	c := newClient(t, srv)
	chat := c.mustChat()
	_, body := c.say(chat, "", "q")
	var ids []string
	for _, e := range mustEvents(t, body) {
		if e.Created != nil {
			ids = append(ids, e.Created.Response)
		}
	}
	if len(ids) != 2 {
		t.Fatalf("candidates %v", ids)
	}
	for i, want := range []string{"zero", "one"} {
		if got := srv.Context(chat, ids[i]); len(got) != 1 || got[0].Answer != want {
			t.Errorf("candidate %d: %+v", i, got)
		}
	}
	var d detailBody
	_, body = c.call("GET", "/api/v2/chats/"+chat, "")
	mustDecode(t, body, &d)
	if d.Data.CurrentID != ids[0] || len(d.Data.Chat.Messages) != 3 {
		t.Errorf("current %s, messages %+v", d.Data.CurrentID, d.Data.Chat.Messages)
	}
	if got := d.Data.Chat.Messages[0].ChildrenIDs; len(got) != 2 {
		t.Errorf("the question has the children %v", got)
	}
}

type detailBody struct {
	Data struct {
		ID, Title string
		CurrentID string `json:"currentId"`
		CreatedAt int64  `json:"created_at"`
		Chat      struct {
			Messages []struct {
				ID, Role, Content string
				ParentID          *string
				ChildrenIDs       []string
				ContentList       []struct{ Content string } `json:"content_list"`
				Timestamp         int64
			}
			History struct{ Messages map[string]any }
		}
	}
}

func TestChatDetail(t *testing.T) {
	srv := mustStart(t, Options{})
	srv.Reply(Text("Hi", "."), Text("Bye."))
	c := newClient(t, srv)
	chat := c.mustChat()

	var d detailBody
	_, body := c.call("GET", "/api/v2/chats/"+chat, "")
	mustDecode(t, body, &d)
	if d.Data.ID != chat || d.Data.Title != "New chat" || d.Data.CurrentID != "" || !strings.Contains(body, `"messages":[]`) {
		t.Errorf("empty chat: %s", body)
	}
	if now := time.Now().Unix(); d.Data.CreatedAt < now-60 || d.Data.CreatedAt > now {
		t.Errorf("created_at %d is not in seconds", d.Data.CreatedAt)
	}

	a := c.mustTurn(chat, "", "Hello")
	b := c.mustTurn(chat, a, "Goodbye")
	d = detailBody{}
	_, body = c.call("GET", "/api/v2/chats/"+chat, "")
	mustDecode(t, body, &d)
	m := d.Data.Chat.Messages
	if d.Data.Title != "Hello" || d.Data.CurrentID != b || len(m) != 4 || len(d.Data.Chat.History.Messages) != 4 {
		t.Fatalf("chat: %s", body)
	}
	if m[0].Role != "user" || m[0].Content != "Hello" || m[0].ParentID != nil || m[0].ChildrenIDs[0] != a {
		t.Errorf("question %+v", m[0])
	}
	if m[1].Role != "assistant" || m[1].ID != a || *m[1].ParentID != m[0].ID || m[1].ContentList[0].Content != "Hi." || m[1].ChildrenIDs[0] != m[2].ID {
		t.Errorf("answer %+v", m[1])
	}
	if *m[2].ParentID != a || len(m[3].ChildrenIDs) != 0 {
		t.Errorf("second turn %+v", m[2:])
	}
}

func TestTitle(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	named := c.mustChat()
	_, body := c.call("POST", "/api/v2/chats/new", newChatBody(func(b map[string]any) { b["title"] = "Mine" }))
	var e struct{ Data struct{ ID string } }
	mustDecode(t, body, &e)
	c.mustTurn(named, "", strings.Repeat("é", 50))
	c.mustTurn(e.Data.ID, "", "prompt")
	_, body = c.call("GET", "/api/v2/chats/", "")
	for _, want := range []string{`"title":"Mine"`, `"title":"` + strings.Repeat("é", 40) + `…"`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
}

func TestChatList(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	var want []string
	for i := range 130 {
		want = append(want, srv.AddChat("chat "+strconv.Itoa(i)))
	}
	if got := srv.ChatIDs(); !reflect.DeepEqual(got, want) {
		t.Error("ChatIDs are not in the order of creation")
	}
	var listed []string
	for page, size := range []int{60, 60, 10, 0, 0} {
		path := "/api/v2/chats/?exclude_project=true&page=" + strconv.Itoa(page+1)
		_, body := c.call("GET", path, "")
		var e struct{ Data []row }
		mustDecode(t, body, &e)
		if len(e.Data) != size || e.Data == nil {
			t.Errorf("page %d has %d rows, want %d", page+1, len(e.Data), size)
		}
		for _, r := range e.Data {
			listed = append(listed, r.ID)
			if r.UpdatedAt > time.Now().Unix() || r.UpdatedAt < 1e9 || r.ChatType != "t2t" {
				t.Errorf("row %+v", r)
			}
		}
	}
	for i, id := range listed {
		if id != want[len(want)-1-i] {
			t.Fatalf("row %d is not the chat that was expected", i)
		}
	}
	_, body := c.call("GET", "/api/v2/chats?limit=20", "")
	if n := strings.Count(body, `"id":`); n != 20 {
		t.Errorf("limit=20 gives %d rows", n)
	}
	if _, body := c.call("GET", "/api/v2/chats/pinned", ""); body != `{"success":true,"request_id":"rid-1","data":[]}` {
		t.Errorf("pinned: %s", body)
	}
}

func TestDelete(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	a, b, d := c.mustChat(), c.mustChat(), c.mustChat()
	const ok = `{"success":true,"request_id":"rid-1","data":{"status":true}}`
	if _, body := c.call("DELETE", "/api/v2/chats/"+b, ""); body != ok {
		t.Errorf("answered %s", body)
	}
	if got := srv.ChatIDs(); !reflect.DeepEqual(got, []string{a, d}) || !reflect.DeepEqual(srv.Deleted(), []string{b}) {
		t.Errorf("left %v, deleted %v", got, srv.Deleted())
	}
	resp, body := c.say(b, "", "still there?")
	wantRefusal(t, resp, body, "Not_Found", "is not exist", "404")

	// An empty id is the path that deletes everything.
	if _, body := c.call("DELETE", "/api/v2/chats/", ""); body != ok || len(srv.ChatIDs()) != 0 || len(srv.Deleted()) != 3 {
		t.Errorf("answered %s, left %v", body, srv.ChatIDs())
	}
}

func TestDeleteWhileAnswering(t *testing.T) {
	srv := mustStart(t, Options{})
	gate := make(chan struct{})
	srv.Reply(Stream(Created(), Answer("a"), Wait(gate), Finish()))
	c := newClient(t, srv)
	chat := c.mustChat()
	resp := c.mustDo(c.completion(t.Context(), turn{chat: chat, prompt: "hi"}))
	c.call("DELETE", "/api/v2/chats/"+chat, "")
	close(gate)
	list := mustEvents(t, mustReadAll(t, resp))
	if list[len(list)-1].Choices[0].Delta.Status != "finished" || len(srv.ChatIDs()) != 0 {
		t.Errorf("stream %+v, chats %v", list, srv.ChatIDs())
	}
}
