package openai

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
)

// mustAttach returns the attachments of the only message of a request.
func mustAttach(t *testing.T, parts string) []*Attachment {
	t.Helper()
	return mustParse(t, messagesOf(`{"role":"user","content":[`+parts+`]}`)).Messages[0].Attachments
}

func TestParseChatAttachments(t *testing.T) {
	const at = "messages[0].content[0]"
	tests := []struct {
		name, part string
		want       Attachment
		content    string
	}{
		{"MM-01 an image in a data URL", `{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk=","detail":"high"}}`,
			Attachment{Kind: AttachedImage, MIME: "image/png", inline: true}, "hi"},
		{"MM-03 a bare string", `{"image_url":"data:image/png;base64,aGk=","type":"image_url"}`,
			Attachment{Kind: AttachedImage, MIME: "image/png", inline: true}, "hi"},
		{"MM-06 an image elsewhere", `{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}`,
			Attachment{Kind: AttachedImage, URL: "https://example.com/a.png"}, ""},
		{"MM-05 another scheme is kept for the check", `{"type":"image_url","image_url":"file:///etc/passwd"}`,
			Attachment{Kind: AttachedImage, URL: "file:///etc/passwd"}, ""},
		{"an image of the Responses API", `{"type":"input_image","image_url":"https://example.com/a.png"}`,
			Attachment{Kind: AttachedImage, URL: "https://example.com/a.png"}, ""},
		{"FI-04 an image by id", `{"type":"input_image","file_id":"abc"}`,
			Attachment{Kind: AttachedImage, FileID: "abc"}, ""},
		{"MM-08 a file in a data URL", `{"type":"file","file":{"file_data":"data:application/pdf;base64,aGk=","filename":"图.pdf"}}`,
			Attachment{Kind: AttachedFile, MIME: "application/pdf", Name: "图.pdf", inline: true}, "hi"},
		{"MM-08 a file in plain base64", `{"type":"file","file":{"file_data":"aGk=","filename":"a.txt"}}`,
			Attachment{Kind: AttachedFile, Name: "a.txt", inline: true}, "hi"},
		{"FI-04 a file by id", `{"type":"file","file":{"file_id":" abc "}}`,
			Attachment{Kind: AttachedFile, FileID: "abc"}, ""},
		{"a file of the Responses API", `{"type":"input_file","file_data":"aGk=","filename":"a.txt"}`,
			Attachment{Kind: AttachedFile, Name: "a.txt", inline: true}, "hi"},
		{"a file elsewhere", `{"type":"input_file","file_url":"https://example.com/a.pdf"}`,
			Attachment{Kind: AttachedFile, URL: "https://example.com/a.pdf"}, ""},
		{"audio", `{"type":"input_audio","input_audio":{"data":"aGk=","format":"wav"}}`,
			Attachment{Kind: AttachedAudio, MIME: "audio/wav", inline: true}, "hi"},
		{"audio in MP3", `{"type":"input_audio","input_audio":{"data":"aGk=","format":"mp3"}}`,
			Attachment{Kind: AttachedAudio, MIME: "audio/mpeg", inline: true}, "hi"},
		{"MM-09 a video", `{"type":"video_url","video_url":{"url":"https://example.com/a.mp4"}}`,
			Attachment{Kind: AttachedVideo, URL: "https://example.com/a.mp4"}, ""},
		{"file_info beside the URL", `{"type":"image_url","image_url":{"url":"https://example.com/a.png"},"file_info":{"id":"abc","size":5,"name":"x"}}`,
			Attachment{Kind: AttachedImage, FileID: "abc"}, ""},
		{"file_info within it", `{"type":"image_url","image_url":{"url":"https://example.com/a.png","file_info":{"file_id":"abc"}}}`,
			Attachment{Kind: AttachedImage, FileID: "abc"}, ""},
		{"file_info that has only a URL", `{"type":"image_url","file_info":{"url":"https://example.com/a.png"}}`,
			Attachment{Kind: AttachedImage, URL: "https://example.com/a.png"}, ""},
		{"file_info is null", `{"type":"image_url","image_url":{"url":"https://example.com/a.png"},"file_info":null}`,
			Attachment{Kind: AttachedImage, URL: "https://example.com/a.png"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := *mustAttach(t, test.part)[0]
			test.want.Param = at
			if got.Inline() {
				content, err := io.ReadAll(got.Open())
				if err != nil || string(content) != test.content {
					t.Errorf("content %q, %v; want %q", content, err, test.content)
				}
			}
			got.data, got.encoded = "", false
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestParseChatKeepsTheOrderOfAttachments(t *testing.T) {
	m := mustParse(t, messagesOf(`{"role":"user","content":[
		{"type":"image_url","image_url":"https://example.com/1"},{"type":"text","text":"a"},
		{"type":"file","file":{"file_id":"2"}},{"type":"text","text":"b"},
		{"type":"image_url","image_url":"https://example.com/3"}]}`)).Messages[0]
	if m.Content != "a\nb" {
		t.Errorf("the text is %q", m.Content)
	}
	var order []string
	for _, a := range m.Attachments {
		order = append(order, a.Param+" "+a.URL+a.FileID)
	}
	want := "messages[0].content[0] https://example.com/1, messages[0].content[2] 2, messages[0].content[4] https://example.com/3"
	if got := strings.Join(order, ", "); got != want {
		t.Errorf("MM-02 several, in order: got %s", got)
	}
}

func TestParseChatTakesAnAttachmentForAMessage(t *testing.T) {
	for _, body := range []string{
		messagesOf(`{"role":"user","content":[{"type":"image_url","image_url":"https://example.com/1"}]}`),
		messagesOf(`{"role":"user","content":"a"},{"role":"tool","content":[{"type":"image_url","image_url":"https://example.com/1"}]}`),
		messagesOf(`{"role":"assistant","content":[{"type":"image_url","image_url":"https://example.com/1"}]}`),
	} {
		r := mustParse(t, body)
		if len(r.Messages[len(r.Messages)-1].Attachments) != 1 {
			t.Errorf("%s: the attachment is lost", body)
		}
	}
}

func TestAttachmentContent(t *testing.T) {
	binary := make([]byte, 70_000)
	for i := range binary {
		binary[i] = byte(i * 7)
	}
	std, urlSafe := base64.StdEncoding.EncodeToString(binary), base64.RawURLEncoding.EncodeToString(binary)
	var broken strings.Builder
	for i := 0; i < len(std); i += 76 {
		broken.WriteString(std[i:min(i+76, len(std))] + "\r\n")
	}
	tests := []struct {
		name, data string
		want       []byte // nil: refused
	}{
		{"standard", "data:image/png;base64," + std, binary},
		{"in capitals", "DATA:image/png;BASE64," + std, binary},
		{"with parameters", "data:image/png;name=a.png;base64," + std, binary},
		{"without a type", "data:;base64," + std, binary},
		{"for URLs, without padding", "data:image/png;base64," + urlSafe, binary},
		{"in lines", "data:image/png;base64," + broken.String(), binary},
		{"escaped as in a URL", "data:image/png;base64," + url.QueryEscape(std), binary},
		{"plain text", "data:image/svg+xml,%3Csvg%20a='b'/%3e", []byte("<svg a='b'/>")},
		{"plain text, with a charset", "data:image/svg+xml;utf8,<svg/>", []byte("<svg/>")},
		{"S22 empty", "data:,", []byte{}},
		{"S22 empty base64", "data:image/png;base64,", []byte{}},
		{"S22 not base64", "data:image/png;base64,a!bc", nil},
		{"S22 cut", "data:image/png;base64,aGkaa", nil},
		{"S22 something after the padding", "data:image/png;base64,aGk=aGk=", nil},
		{"S22 incomplete escape", "data:text/plain,a%2", nil},
		{"S22 wrong escape", "data:text/plain,a%zzb", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := &Attachment{Param: "messages[0].content[1]"}
			if err := a.setData(test.data); err != nil {
				t.Fatal(err)
			}
			for name, r := range map[string]io.Reader{"whole": a.Open(), "byte by byte": iotest.OneByteReader(a.Open())} {
				got, err := io.ReadAll(r)
				var refused *Error
				switch {
				case test.want != nil && (err != nil || !bytes.Equal(got, test.want)):
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				case test.want == nil && (!errors.As(err, &refused) || refused.Status != http.StatusBadRequest || refused.Param != a.Param):
					t.Errorf("%s: %v, want an error that names the part", name, err)
				}
			}
		})
	}
}

func TestAttachmentDrop(t *testing.T) {
	a := mustAttach(t, `{"type":"image_url","image_url":"data:image/png;base64,aGk="}`)[0]
	if a.Drop(); a.data != "" || !a.Inline() {
		t.Errorf("after Drop: %d bytes, inline %v", len(a.data), a.Inline())
	}
}

// What goes into a data URL comes out again, and nothing makes the decoder fail
// in another way than with an error for the client.
func FuzzAttachment(f *testing.F) {
	for _, seed := range []string{"data:image/png;base64,aGk=", "data:,", "data:text/plain,a%20b", "data:;base64,a-_/+==", "aGk", "data:x;base64,%", "DATA:a;b;c,d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a := &Attachment{Param: "p"}
		if err := a.setData(text); err != nil {
			return
		}
		got, err := io.ReadAll(a.Open())
		var refused *Error
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("%v is no error for the client", err)
		}
		if len(got) > len(text) {
			t.Fatalf("%d bytes from %d", len(got), len(text))
		}
		one, oneErr := io.ReadAll(iotest.OneByteReader(a.Open()))
		if (err == nil) != (oneErr == nil) || err == nil && !bytes.Equal(one, got) {
			t.Fatalf("read byte by byte it is %q, %v instead of %q, %v", one, oneErr, got, err)
		}
		again := &Attachment{}
		if again.setData("data:;base64,"+base64.StdEncoding.EncodeToString([]byte(text))) != nil {
			t.Fatal("not taken")
		}
		if back, err := io.ReadAll(again.Open()); err != nil || string(back) != text {
			t.Fatalf("came back as %q, %v", back, err)
		}
	})
}

// BenchmarkAttachment decodes an image of 10 MB.
func BenchmarkAttachment(b *testing.B) {
	text := "data:image/png;base64," + strings.Repeat("QUJDREVG", 10_000_000/6)
	b.SetBytes(10_000_000)
	for b.Loop() {
		a := new(Attachment)
		if err := a.setData(text); err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, a.Open()); err != nil || n < 9_999_000 {
			b.Fatal(n, err)
		}
	}
}
