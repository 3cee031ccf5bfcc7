package form

import (
	"testing"
	"unicode/utf8"
)

func TestNames(t *testing.T) {
	for name, c := range map[string]struct {
		disposition, name, fileName string
		isFile                      bool
	}{
		"plain":                          {`form-data; name="a"; filename="b.png"`, "a", "b.png", true},
		"no file":                        {`form-data; name="a"`, "a", "", false},
		"without quotes":                 {`form-data; name=a; filename=b.png`, "a", "b.png", true},
		"no blanks, capitals":            {`FORM-DATA;NAME="a";FileName="b.png"`, "a", "b.png", true},
		"blanks around":                  {"form-data ;\tname = \"a\" ; filename = \"b.png\" ", "a", "b.png", true},
		"empty file name":                {`form-data; name="a"; filename=""`, "a", "", true},
		"plain UTF-8":                    {`form-data; name="图片"; filename="照片 1+2 100%.png"`, "图片", "照片 1+2 100%.png", true},
		"FI-02 RFC 5987":                 {`form-data; name="a"; filename*=UTF-8''%e7%85%A7%20%2B.png`, "a", "照 +.png", true},
		"RFC 5987 wins":                  {`form-data; name="a"; filename="_.png"; filename*=utf-8'zh'%E7%85%A7.png`, "a", "照.png", true},
		"RFC 5987 in Latin-1":            {`form-data; name="a"; filename*=ISO-8859-1''caf%E9.png`, "a", "café.png", true},
		"RFC 5987 broken":                {`form-data; name="a"; filename="b.png"; filename*=UTF-8''%E7%8`, "a", "b.png", true},
		"RFC 5987 not UTF-8":             {`form-data; name="a"; filename="b.png"; filename*=UTF-8''%E7%85`, "a", "b.png", true},
		"RFC 5987 unknown charset":       {`form-data; name="a"; filename="b.png"; filename*=GBK''%D5%D5`, "a", "b.png", true},
		"quotes of browsers":             {`form-data; name="a"; filename="%22b%22 100%25 %0D%0A.png"`, "a", "\"b\" 100%25 \r\n.png", true},
		"escaped quotes":                 {`form-data; name="a"; filename="my \"b\" x.png"`, "a", `my "b" x.png`, true},
		"escaped backslash":              {`form-data; name="a"; filename="C:\\Users\\x\\photo.png"`, "a", `C:\Users\x\photo.png`, true},
		"Windows path":                   {`form-data; name="a"; filename="C:\Users\x\(1)\photo.png"`, "a", `C:\Users\x\(1)\photo.png`, true},
		"Windows folder":                 {`form-data; name="a"; filename="C:\Users\"`, "a", `C:\Users\`, true},
		"quotes left in":                 {`form-data; name="a"; filename=""photo.png""`, "a", "photo.png", true},
		"one quote left in":              {`form-data; name="a"; filename="12" screen.png"`, "a", `12" screen.png`, true},
		"quotes and path of a shell":     {`form-data; name="\"a\""; filename="\"C:\\x\\photo.png\""`, "a", `C:\x\photo.png`, true},
		"single quotes of a shell":       {`form-data; name="'a'"; filename="'photo.png'"`, "a", "photo.png", true},
		"one single quote of cmd.exe":    {`form-data; name="'a"`, "a", "", false},
		"semicolon in the name":          {`form-data; name="a"; filename="b; name=c.png"`, "a", "b; name=c.png", true},
		"first one counts":               {`form-data; name="a"; name="b"; filename="c"; filename="d"`, "a", "c", true},
		"not UTF-8":                      {"form-data; name=\"a\"; filename=\"\xd5\xd5.png\"", "a", "\uFFFD.png", true},
		"no end":                         {`form-data; name="a"; filename="b`, "a", "b", true},
		"without a value":                {`form-data; name; filename="b"`, "", "b", true},
		"another disposition":            {`attachment; name="a"; filename="b"`, "", "", false},
		"none":                           {``, "", "", false},
		"path of the other kind is kept": {`form-data; name="a"; filename="../../etc/passwd"`, "a", "../../etc/passwd", true},
	} {
		t.Run(name, func(t *testing.T) {
			got := mustAll(t, formType, parts(part(c.disposition, "", "x")), Limits{})
			mustEqual(t, got, []field{{Name: c.name, FileName: c.fileName, IsFile: c.isFile, Content: "x"}})
		})
	}
}

// cmd.exe knows no single quotes: curl -F 'stream=false' sends the field 'stream
// with the value false'.
func TestSingleQuotesOfCommandLines(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{`'stream`, `false'`, "false"},
		{`stream`, `false'`, "false'"},
		{`'stream'`, `false'`, "false'"},
		{`'stream`, `false`, "false"},
	} {
		r := mustNew(t, parts(part(`form-data; name="`+c.name+`"`, "", c.value)), Limits{})
		p := mustNext(t, r)
		if text, err := r.Text(p); p.Name != "stream" || text != c.want || err != nil {
			t.Errorf("%s=%s: %s=%s, %v", c.name, c.value, p.Name, text, err)
		}
	}
}

func TestTextIsKeptAsItIs(t *testing.T) {
	const said = " \"quoted\" and 'so'\n"
	r := mustNew(t, parts(part(`form-data; name="prompt"`, "", said)), Limits{})
	if text, err := r.Text(mustNext(t, r)); text != said || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

func TestUnquote(t *testing.T) {
	for s, want := range map[string]string{
		`"false"`: "false", `'false'`: "false", ` "false" `: "false", `" false "`: "false", "false\r\n": "false",
		`""false""`: `"false"`, `"`: `"`, `'`: `'`, `""`: "", ``: "", `  `: "", `"false'`: `"false'`,
		`fal"se`: `fal"se`, `"qwen3"-"vl"`: `qwen3"-"vl`, `“false”`: `“false”`,
	} {
		if got := Unquote(s); got != want {
			t.Errorf("Unquote(%q) is %q, want %q", s, got, want)
		}
	}
}

func FuzzDisposition(f *testing.F) {
	f.Add(`form-data; name="a"; filename="b.png"`)
	f.Add(`form-data; name="a\"; filename*=UTF-8''%E7%85%A7; filename="C:\"`)
	f.Add(`form-data;;;=;"=";name='`)
	f.Fuzz(func(t *testing.T, header string) {
		for key, value := range dispositionParams(header) {
			if len(value) > 3*len(header) || !utf8.ValidString(value) || key == "" {
				t.Errorf("%q is %q", key, value)
			}
		}
	})
}
