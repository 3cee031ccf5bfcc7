package emulator

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// granted is the answer of getstsToken.
type granted struct {
	ID       string `json:"access_key_id"`
	Secret   string `json:"access_key_secret"`
	Token    string `json:"security_token"`
	URL      string `json:"file_url"`
	Path     string `json:"file_path"`
	File     string `json:"file_id"`
	Bucket   string `json:"bucketname"`
	Region   string `json:"region"`
	Endpoint string `json:"endpoint"`
}

// mustGrant asks for the right to upload a file.
func (c *client) mustGrant(name, kind string, size int) granted {
	c.t.Helper()
	_, body := c.call("POST", "/api/v2/files/getstsToken", mustText(map[string]any{"filename": name, "filesize": size, "filetype": kind}))
	return mustGranted(c.t, body)
}

func mustGranted(t testing.TB, body string) granted {
	t.Helper()
	var e struct {
		Success bool
		ID      string `json:"request_id"`
		Data    granted
	}
	mustDecode(t, body, &e)
	if !e.Success || e.ID == "" || e.Data.File == "" {
		t.Fatalf("getstsToken: %s", body)
	}
	return e.Data
}

// mustUpload uploads a file with a PutObject and returns what names it in a
// message.
func (c *client) mustUpload(name, kind, mime, content string) map[string]any {
	c.t.Helper()
	g := c.mustGrant(name, kind, len(content))
	up := newRaw(c.t, c.srv.storage, "")
	up.grant = Grant{AccessKeyID: g.ID, AccessKeySecret: g.Secret, SecurityToken: g.Token}
	resp, body := up.call("PUT", g.Path, "", content, "Content-Type", mime)
	if resp.StatusCode != 200 {
		c.t.Fatalf("%d %s", resp.StatusCode, body)
	}
	class := map[string]string{"image": "vision", "video": "video", "audio": "audio", "file": "document"}[kind]
	return map[string]any{
		"type": kind, "id": g.File, "url": g.URL, "name": name, "collection_name": "", "progress": 0, "status": "uploaded",
		"greenNet": "success", "size": len(content), "error": "", "itemId": "i", "file_type": mime, "showType": kind, "file_class": class,
		"uploadTaskId": "t", "file": map[string]any{
			"created_at": 1790000000000, "data": map[string]any{}, "filename": name, "hash": nil, "id": g.File, "user_id": userID,
			"meta": map[string]any{"name": name, "size": len(content), "content_type": mime}, "update_at": 1790000000000,
		},
	}
}

// mustParse brings a document through its parsing.
func (c *client) mustParse(id string) {
	c.t.Helper()
	c.call("POST", "/api/v2/files/parse", `{"file_id":"`+id+`"}`)
	for range 10 {
		if c.mustPoll(id).Status == "success" {
			return
		}
	}
	c.t.Fatal("the document was not parsed")
}

// mustPoll asks how far the parsing of a document is.
func (c *client) mustPoll(id string) parseStatus {
	c.t.Helper()
	_, body := c.call("POST", "/api/v2/files/parse/status", `{"file_id_list":["`+id+`"]}`)
	var e struct {
		Success bool
		Data    []parseStatus
	}
	mustDecode(c.t, body, &e)
	if !e.Success || len(e.Data) != 1 || e.Data[0].ID != id {
		c.t.Fatalf("parse/status: %s", body)
	}
	return e.Data[0]
}

func TestFileGrant(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	const name = "相片 a+b%.png"
	for _, path := range []string{"/api/v2/files/getstsToken", "/api/v1/files/getstsToken"} {
		_, body := c.call("POST", path, `{"filename":"相片 a+b%.png","filesize":"5","filetype":"image"}`)
		g := mustGranted(t, body)
		if g.Path != userID+"/"+g.File+"_"+name || g.Bucket != "qwen-webui-prod" || g.Region != "oss-ap-southeast-1" || g.Endpoint != "oss-accelerate.aliyuncs.com" {
			t.Errorf("granted %+v", g)
		}
		if !strings.HasPrefix(g.ID, "STS.") || g.Secret == "" || len(g.Token) < 700 {
			t.Errorf("credentials of %d, %d and %d bytes", len(g.ID), len(g.Secret), len(g.Token))
		}
		u, err := url.Parse(g.URL)
		if err != nil || !strings.HasPrefix(g.URL, srv.StorageURL()+"/qwen-webui-prod/"+userID+"/"+g.File+"_%E7%9B%B8%E7%89%87%20a%2Bb%25.png?") {
			t.Errorf("link %s: %v", g.URL, err)
		}
		q := u.Query()
		if q.Get("x-oss-expires") != "300" || q.Get("x-oss-signature-version") != "OSS4-HMAC-SHA256" || strings.HasPrefix(q.Get("x-oss-credential"), g.ID) || q.Get("x-oss-security-token") == g.Token {
			t.Errorf("link %s", g.URL)
		}
	}
	r := srv.Requests()[0]
	if r.Endpoint != EndpointFileGrant || r.Method != "POST" {
		t.Errorf("recorded %v", r)
	}
	srv.Storage().SetEndpoint("https://evil.example")
	if g := c.mustGrant("x", "file", 1); g.Endpoint != "https://evil.example" || !strings.HasPrefix(g.URL, srv.StorageURL()) {
		t.Errorf("granted %s %s", g.Endpoint, g.URL)
	}
}

func TestFileGrantRefusals(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	for _, body := range []string{
		"", "x", "{}", "[]", `{"file_name":"a","file_size":1,"file_type":"image"}`,
		`{"filename":"","filesize":1,"filetype":"image"}`, `{"filename":"a","filesize":0,"filetype":"image"}`,
		`{"filename":"a","filesize":-1,"filetype":"image"}`, `{"filename":"a","filesize":1.5,"filetype":"image"}`,
		`{"filename":"a","filesize":"x","filetype":"image"}`, `{"filename":"a","filesize":"","filetype":"image"}`,
		`{"filename":"a","filesize":null,"filetype":"image"}`, `{"filename":"a","filetype":"image"}`,
		`{"filename":"a","filesize":1,"filetype":"image/png"}`, `{"filename":"a","filesize":1,"filetype":"document"}`,
		`{"filename":"a","filesize":1}`, `{"filename":"` + strings.Repeat("a", 1000) + `","filesize":1,"filetype":"image"}`,
	} {
		resp, got := c.call("POST", "/api/v2/files/getstsToken", body)
		wantRefusal(t, resp, got, "Bad_Request", "Invalid file information!", "400")
	}
	srv.Fail("files/getstsToken", RateLimited(2))
	resp, got := c.call("POST", "/api/v1/files/getstsToken", `{"filename":"a","filesize":1,"filetype":"image"}`)
	wantRefusal(t, resp, got, "RateLimited", "", "429")
}

func TestFilesNeedLogin(t *testing.T) {
	srv := mustStart(t, Options{Tokens: []string{"x"}})
	c := newClient(t, srv)
	for endpoint, path := range map[string]string{
		EndpointFileGrant: "/api/v2/files/getstsToken", EndpointFileParse: "/api/v2/files/parse",
		EndpointFileStatus: "/api/v2/files/parse/status", EndpointFileLink: "/api/v2/files/getfilelink",
	} {
		resp, body := c.call("POST", path, "{}")
		wantRefusal(t, resp, body, "Unauthorized", "", "401")
		srv.Fail(endpoint, Status(502))
		if resp, _ := c.call("POST", path, "{}"); resp.StatusCode != 502 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

func TestParsing(t *testing.T) {
	for _, tc := range []struct {
		name string
		plan []Parsing
		want string
	}{
		{"default", nil, "pending success success"},
		{"at once", []Parsing{{}}, "success"},
		{"slow", []Parsing{{Pending: 3}}, "pending pending pending success"},
		{"failed", []Parsing{{Pending: 1, Error: "hard"}}, "pending failed:hard failed:hard"},
		{"never", []Parsing{{Never: true}}, "pending pending pending pending"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := mustStart(t, Options{})
			c := newClient(t, srv)
			id := c.mustUpload("a.txt", "file", "text/plain", "hello")["id"].(string)
			if st := c.mustPoll(id); st.Status != "failed" || st.Error == "" {
				t.Errorf("before it was asked for: %+v", st)
			}
			srv.Parse(tc.plan...)
			if _, body := c.call("POST", "/api/v2/files/parse", `{"file_id":"`+id+`"}`); !strings.Contains(body, `"success":true`) {
				t.Fatal(body)
			}
			var got []string
			for range strings.Fields(tc.want) {
				st := c.mustPoll(id)
				got = append(got, strings.TrimSuffix(st.Status+":"+st.Error, ":"))
			}
			if text := strings.Join(got, " "); text != tc.want {
				t.Errorf("%s, want %s", text, tc.want)
			}
		})
	}
}

// What was parsed stays so; what failed can be tried again.
func TestParseAgain(t *testing.T) {
	srv := mustStart(t, Options{Parsing: Parsing{Error: "no"}})
	c := newClient(t, srv)
	id := c.mustUpload("a.txt", "file", "text/plain", "hello")["id"].(string)
	parse := func() { c.call("POST", "/api/v2/files/parse", `{"file_id":"`+id+`"}`) }
	parse()
	if st := c.mustPoll(id); st.Status != "failed" || st.Error != "no" {
		t.Errorf("first: %+v", st)
	}
	srv.Parse(Parsing{}, Parsing{Never: true})
	parse()
	if st := c.mustPoll(id); st.Status != "success" || st.Error != "" {
		t.Errorf("second: %+v", st)
	}
	parse()
	if st := c.mustPoll(id); st.Status != "success" {
		t.Errorf("third: %+v", st)
	}
}

func TestFileCallRefusals(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	image := c.mustUpload("a.png", "image", "image/png", "hello")["id"].(string)
	missing := c.mustGrant("b.txt", "file", 5).File
	for _, tc := range []struct{ path, body, code string }{
		{"parse", "{}", "RequestValidationError"}, {"parse", "x", "RequestValidationError"},
		{"parse", `{"file_id":"x"}`, "Not_Found"}, {"parse", `{"file_id":"` + missing + `"}`, "Not_Found"},
		{"parse", `{"file_id":"` + image + `"}`, "invalid_input"},
		{"parse/status", "{}", "RequestValidationError"}, {"parse/status", `{"file_id_list":[]}`, "RequestValidationError"},
		{"parse/status", `{"file_id_list":["` + image + `","x"]}`, "Not_Found"},
		{"getfilelink", "{}", "RequestValidationError"}, {"getfilelink", `{"file_id":"x"}`, "Not_Found"},
		{"getfilelink", `{"file_id":"` + missing + `"}`, "Not_Found"},
	} {
		resp, body := c.call("POST", "/api/v2/files/"+tc.path, tc.body)
		wantRefusal(t, resp, body, tc.code, "", map[bool]string{true: "404", false: "400"}[tc.code == "Not_Found"])
	}
}

func TestFileLink(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	f := c.mustUpload("a b.png", "image", "image/png", "hello")
	srv.Storage().SetSkew(400 * time.Second)
	_, body := c.call("POST", "/api/v2/files/getfilelink", `{"file_id":"`+f["id"].(string)+`"}`)
	var e struct{ Data struct{ File_URL string } }
	mustDecode(t, body, &e)
	for link, status := range map[string]int{f["url"].(string): 403, e.Data.File_URL: 200} {
		resp, err := c.http.Get(link)
		if err != nil {
			t.Fatal(err)
		}
		if got := mustReadAll(t, resp); resp.StatusCode != status || status == 200 && got != "hello" {
			t.Errorf("%d %s", resp.StatusCode, got)
		}
	}
}

// Two accounts do not see each other's files.
func TestFilesOfAnotherAccount(t *testing.T) {
	srv := mustStart(t, Options{})
	c := newClient(t, srv)
	f := c.mustUpload("a.txt", "file", "text/plain", "hello")
	id := f["id"].(string)
	other := "Bearer " + jwt(`{"id":"somebody","exp":99999999999}`)
	as := func(path, body string) (*http.Response, string) {
		r := c.request(t.Context(), "POST", path, body)
		r.Header.Set("Authorization", other)
		resp := c.mustDo(r)
		return resp, mustReadAll(t, resp)
	}
	for path, body := range map[string]string{"parse": `{"file_id":"` + id + `"}`, "parse/status": `{"file_id_list":["` + id + `"]}`, "getfilelink": `{"file_id":"` + id + `"}`} {
		resp, got := as("/api/v2/files/"+path, body)
		wantRefusal(t, resp, got, "Not_Found", "File not found", "404")
	}
	_, body := as("/api/v2/files/getstsToken", `{"filename":"b","filesize":1,"filetype":"file"}`)
	if g := mustGranted(t, body); !strings.HasPrefix(g.Path, "somebody/") {
		t.Errorf("path %s", g.Path)
	}
	c.mustParse(id)
	chat := c.mustChat()
	resp, body := as("/api/v2/chat/completions?chat_id="+chat, completionJSON(t, turn{chat: chat, prompt: "hi", edit: withFiles(f)}))
	wantRefusal(t, resp, body, "invalid_input", "does not exist", "400")
}

// Without records, files work all the same.
func TestFilesWithoutRecords(t *testing.T) {
	srv := mustStart(t, Options{NoRecord: true})
	c := newClient(t, srv)
	f := c.mustUpload("a.png", "image", "image/png", "hello")
	chat := c.mustChat()
	resp := c.mustDo(c.completion(t.Context(), turn{chat: chat, prompt: "hi", edit: withFiles(f)}))
	list := mustEvents(t, mustReadAll(t, resp))
	if got := answerText(list, ""); !strings.Contains(got, "I see a.png") {
		t.Errorf("answer %q", got)
	}
	if len(srv.Storage().Requests()) != 0 || len(srv.Storage().Objects()) != 1 || srv.Context(chat, list[0].Created.Response)[0].Files != nil {
		t.Error("something was recorded, or nothing was stored")
	}
}

// Several sites may share a storage; closing one does not close it.
func TestSharedStorage(t *testing.T) {
	storage := NewStorage(StorageOptions{Bucket: "b", Region: "oss-eu", Endpoint: "e.example"})
	s := New(Options{Storage: storage})
	if s.Storage() != storage {
		t.Error("another storage")
	}
	s.Close()
	select {
	case <-storage.done:
		t.Error("the storage was closed")
	default:
	}
	own := New(Options{})
	own.Close()
	<-own.Storage().done
	srv := mustStart(t, Options{Storage: storage})
	g := newClient(t, srv).mustGrant("a", "file", 1)
	if g.Bucket != "b" || g.Region != "oss-eu" || g.Endpoint != "e.example" || !strings.HasPrefix(g.URL, srv.StorageURL()+"/b/") || storage.Address() != srv.StorageURL() {
		t.Errorf("granted %+v", g)
	}
}
