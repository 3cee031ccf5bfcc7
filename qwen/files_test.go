package qwen

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// mustAnswer starts a site that gives the answers in turn, the last of them from
// then on, and returns a client and the bodies of the requests.
func mustAnswer(t *testing.T, answers ...string) (*Client, *[]string) {
	t.Helper()
	bodies := new([]string)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a part of it fails the test as well
		*bodies = append(*bodies, r.Method+" "+r.URL.Path+" "+strings.TrimSpace(string(body)))
		_, _ = io.WriteString(w, answers[min(len(*bodies), len(answers))-1])
	}))
	transport := &http.Transport{}
	t.Cleanup(site.Close)
	t.Cleanup(transport.CloseIdleConnections)
	return &Client{BaseURL: site.URL, Version: "1", Transport: transport}, bodies
}

const grantFields = `"access_key_id":"STS.a","access_key_secret":"s","security_token":"t","file_url":"https://b.oss/u/f_p.png?sig=1",` +
	`"file_path":"u/f_p.png","file_id":"f","bucketname":"b","region":"oss-ap-southeast-1","endpoint":"oss-accelerate.aliyuncs.com"`

func TestGrantUpload(t *testing.T) {
	want := Grant{
		AccessKeyID: "STS.a", AccessKeySecret: "s", SecurityToken: "t", FileID: "f", URL: "https://b.oss/u/f_p.png?sig=1",
		Path: "u/f_p.png", Bucket: "b", Region: "oss-ap-southeast-1", Endpoint: "oss-accelerate.aliyuncs.com",
	}
	const usual = `POST /api/v2/files/getstsToken {"filename":"p.png","filesize":"3113813","filetype":"image"}`
	tests := []struct {
		name    string
		answers []string
		bodies  []string
	}{
		{"in an envelope", []string{`{"success":true,"request_id":"r","data":{` + grantFields + `}}`}, []string{usual}},
		{"without one", []string{`{` + grantFields + `}`}, []string{usual}},
		{"a site with another spelling", []string{
			`{"success":false,"data":{"code":"Bad_Request","details":"Invalid file information!"}}`, `{"success":true,"data":{` + grantFields + `}}`,
		}, []string{usual, `POST /api/v2/files/getstsToken {"file_name":"p.png","file_size":"3113813","file_type":"image"}`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, bodies := mustAnswer(t, test.answers...)
			got, err := c.GrantUpload(t.Context(), testCredential, "p.png", 3113813, FileImage)
			if err != nil || got != want {
				t.Errorf("got %+v, %v", got, err)
			}
			if !reflect.DeepEqual(*bodies, test.bodies) {
				t.Errorf("asked %q", *bodies)
			}
		})
	}
}

func TestGrantRefused(t *testing.T) {
	tests := []struct {
		name, answer string
		kind         Kind
	}{
		{"U15 the limit", `{"success":false,"data":{"code":"RateLimited","details":"x","num":4}}`, KindQuota},
		{"U15 the credential", `{"success":false,"data":{"code":"Unauthorized"}}`, KindCredential},
		{"U15 the protection", `{"ret":["FAIL_SYS_USER_VALIDATE","RGV587_ERROR::SM"],"data":{"url":"https://x/punish"}}`, KindVerification},
		{"U15 the protection's page", `<html>aliyun_waf</html>`, KindVerification},
		{"U15 not JSON", `hello`, KindBadResponse},
		{"U15 empty", ``, KindBadResponse},
		{"U15 nothing in it", `{"success":true,"data":{}}`, KindBadResponse},
		{"U15 null in it", `{"success":true,"data":null}`, KindBadResponse},
		{"U15 another type", `{"success":true,"data":{"file_id":5}}`, KindBadResponse},
		{"U15 an odd id", `{"success":true,"data":{` + strings.Replace(grantFields, `"f",`, `"../f",`, 1) + `}}`, KindBadResponse},
	}
	for field := range strings.SplitSeq("access_key_id access_key_secret security_token file_url file_path file_id bucketname region endpoint", " ") {
		tests = append(tests, struct {
			name, answer string
			kind         Kind
		}{"U15 without " + field, `{"success":true,"data":{` + strings.Replace(grantFields, `"`+field+`"`, `"other"`, 1) + `}}`, KindBadResponse})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, _ := mustAnswer(t, test.answer)
			got, err := c.GrantUpload(t.Context(), testCredential, "p.png", 1, FileImage)
			var e *Error
			if !errors.As(err, &e) || e.Kind != test.kind || e.Op != opGrant {
				t.Errorf("got %+v, %v; want %v", got, err, test.kind)
			}
		})
	}
}

func TestGrantUserID(t *testing.T) {
	for path, want := range map[string]string{"u-1/f_p.png": "u-1", "anonymous/f": "", "f": "", "": "", "a b/f": ""} {
		if got := (Grant{Path: path}).UserID(); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func TestParseStatus(t *testing.T) {
	tests := []struct {
		name, answer string
		state        ParseState
		reason       string
		kind         Kind // of an error, if there is a reason "error"
	}{
		{"pending", `{"success":true,"data":[{"file_id":"f","status":"pending"}]}`, ParsePending, "", 0},
		{"done", `{"success":true,"data":[{"file_id":"g","status":"failed"},{"file_id":"f","status":"success"}]}`, ParseDone, "", 0},
		{"failed", `{"success":true,"data":[{"file_id":"f","status":"failed","error_msg":"a  password https://x/y?sig=1"}]}`, ParseFailed, "a password", 0},
		{"another file only", `{"success":true,"data":[{"file_id":"g","status":"success"}]}`, ParsePending, "", 0},
		{"nothing", `{"success":true,"data":[]}`, ParsePending, "", 0},
		{"refused", `{"success":false,"data":{"code":"Not_Found"}}`, ParsePending, "error", KindRejected},
		{"another type", `{"success":true,"data":"done"}`, ParsePending, "error", KindBadResponse},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, bodies := mustAnswer(t, test.answer)
			state, reason, err := c.ParseStatus(t.Context(), testCredential, "f")
			if test.reason == "error" {
				var e *Error
				if !errors.As(err, &e) || e.Kind != test.kind {
					t.Errorf("got %v, want %v", err, test.kind)
				}
			} else if err != nil || state != test.state || reason != test.reason {
				t.Errorf("got %v %q, %v", state, reason, err)
			}
			if got := (*bodies)[0]; got != `POST /api/v2/files/parse/status {"file_id_list":["f"]}` {
				t.Errorf("asked %s", got)
			}
		})
	}
}

func TestFileLink(t *testing.T) {
	const link = "https://b.oss-accelerate.aliyuncs.com/u/f?x-oss-signature=1"
	for name, answer := range map[string]string{
		"file_url": `{"success":true,"data":{"file_url":"` + link + `"}}`,
		"url":      `{"success":true,"data":{"url":"` + link + `"}}`,
		"a string": `{"success":true,"data":"` + link + `"}`,
	} {
		c, _ := mustAnswer(t, answer)
		if got, err := c.FileLink(t.Context(), testCredential, "f"); err != nil || got != link {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, answer := range []string{`{"success":true,"data":{}}`, `{"success":true,"data":"x"}`, `{"success":true}`} {
		c, _ := mustAnswer(t, answer)
		var e *Error
		if got, err := c.FileLink(t.Context(), testCredential, "f"); !errors.As(err, &e) || e.Kind != KindBadResponse {
			t.Errorf("%s: %q, %v", answer, got, err)
		}
	}
}

// TestFileInATurn holds the form of a file against a capture of the site's page.
func TestFileInATurn(t *testing.T) {
	f := File{
		ID: "f", UserID: "u", URL: "https://b/u/f_p.png?a=1&b=2", Name: "图.png", MIME: "image/png", Kind: FileImage, Size: 214310,
		Created: time.UnixMilli(1790000000000),
	}
	raw, err := json.Marshal(Completion{Files: []File{f}}.Files)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	for _, fresh := range []string{"itemId", "uploadTaskId"} {
		if id, _ := got[0][fresh].(string); len(id) != 36 {
			t.Errorf("%s is %q", fresh, id)
		}
		delete(got[0], fresh)
	}
	var want map[string]any
	const capture = `{"type":"image","file":{"created_at":1790000000000,"data":{},"filename":"图.png","hash":null,"id":"f","user_id":"u",` +
		`"meta":{"name":"图.png","size":214310,"content_type":"image/png"},"update_at":1790000000000},"id":"f","url":"https://b/u/f_p.png?a=1&b=2",` +
		`"name":"图.png","collection_name":"","progress":0,"status":"uploaded","greenNet":"success","size":214310,"error":"",` +
		`"file_type":"image/png","showType":"image","file_class":"vision"}`
	if err := json.Unmarshal([]byte(capture), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("got  %v\nwant %v", got[0], want)
	}
}

func TestFileClasses(t *testing.T) {
	for kind, want := range map[string]string{FileImage: "vision", FileVideo: "video", FileAudio: "audio", FileDocument: "document"} {
		raw, err := json.Marshal(File{Kind: kind, Created: time.Now()})
		if err != nil || !strings.Contains(string(raw), `"file_class":"`+want+`"`) || !strings.Contains(string(raw), `"showType":"`+kind+`"`) {
			t.Errorf("%s: %s, %v", kind, raw, err)
		}
		if parsed := strings.Contains(string(raw), `"parse_meta":{"parse_status":"success"}`); parsed != (kind == FileDocument) {
			t.Errorf("%s: read as a document: %v", kind, parsed)
		}
	}
}

func TestWithoutSignature(t *testing.T) {
	for link, want := range map[string]string{"https://h/p?q#f": "https://h/p", "https://h/p#f?x": "https://h/p", "https://h/p": "https://h/p", "": ""} {
		if got := WithoutSignature(link); got != want {
			t.Errorf("%q: %q", link, got)
		}
	}
}

func TestDocument(t *testing.T) {
	site, c := mustSite(t, emulator.Options{})
	g, err := c.GrantUpload(t.Context(), testCredential, "a.txt", 5, FileDocument)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing was uploaded, so that the site cannot read it.
	var e *Error
	if err := c.Parse(t.Context(), testCredential, g.FileID); !errors.As(err, &e) {
		t.Errorf("a document that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Parse(ctx, testCredential, g.FileID); !errors.Is(err, context.Canceled) {
		t.Errorf("after the caller has left: %v", err)
	}
	if n := len(site.Storage().Objects()); n != 0 {
		t.Errorf("%d objects", n)
	}
}
