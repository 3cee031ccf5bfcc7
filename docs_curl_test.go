package caddyqwen

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// The files that the README's commands send. The video is large enough for its
// upload to be told of.
func readmeFiles() map[string][]byte {
	return map[string][]byte{
		"photo.png":  testPNG(1, 4000),
		"clip.mp4":   testMP4(2, tellFrom+1),
		"report.pdf": testFile("%PDF-1.7\n", 3, 3000),
	}
}

// mustReadmeFiles returns a directory with these files.
func mustReadmeFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range readmeFiles() {
		mustWriteFile(t, filepath.Join(dir, name), string(content), 0o600)
	}
	return dir
}

// formCommand is a command of the README that sends a form, as the program curl
// and its arguments.
type formCommand struct {
	line string
	// args makes the arguments of the line, as the shell does for which it is. The
	// key is in the environment variable OPENAI_API_KEY.
	args func(t *testing.T, line string) []string
}

// formCommands returns the commands of a document that send forms.
func formCommands(d document) (list []formCommand) {
	for _, b := range d.blocks {
		for line := range strings.Lines(b.text) {
			line = strings.TrimSuffix(line, "\n")
			command, unix := strings.CutPrefix(line, "$ curl ")
			switch {
			case !strings.Contains(line, " -F "):
			case unix && b.language == "console":
				list = append(list, formCommand{command, unixArgs})
			case strings.HasPrefix(line, "curl.exe ") && b.language == "bat":
				list = append(list, formCommand{strings.TrimPrefix(line, "curl.exe "), windowsArgs})
			default:
				list = append(list, formCommand{line, nil}) // which is a mistake
			}
		}
	}
	return list
}

// unixArgs has /bin/sh tell the arguments.
func unixArgs(t *testing.T, line string) []string {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `for argument in "$@"; do printf '%s\0' "$argument"; done`)
	// The shell reads the line as it would read it after curl.
	cmd.Args[2] = "set -- " + line + "; " + cmd.Args[2]
	cmd.Env = append(os.Environ(), "OPENAI_API_KEY="+testKey)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("/bin/sh: %v: %s", err, line)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// windowsArgs makes the arguments as cmd.exe and the start of a program on Windows
// do: variables are in percent signs, words end at blanks outside of double quotes,
// these are taken off unless there is a backslash before them, and nothing else is
// a quote.
func windowsArgs(_ *testing.T, line string) (args []string) {
	line = strings.ReplaceAll(line, "%OPENAI_API_KEY%", testKey)
	var word strings.Builder
	quoted := false
	for i := 0; i < len(line); i++ {
		switch {
		case strings.HasPrefix(line[i:], `\"`):
			word.WriteByte('"')
			i++
		case line[i] == '"':
			quoted = !quoted
		case line[i] == ' ' && !quoted:
			args = append(args, word.String())
			word.Reset()
		default:
			word.WriteByte(line[i])
		}
	}
	return append(args, word.String())
}

// streams reports whether the answer to a command is to be a stream.
func (c formCommand) streams() bool { return strings.HasPrefix(c.line, "-N ") }

// output is what curl prints.
type output struct {
	strings.Builder
	told chan struct{} // closed when the output tells of an upload
	once sync.Once
}

func newOutput() *output { return &output{told: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Builder.Write(p)
	if strings.Contains(o.String(), "\n: uploading ") {
		o.once.Do(func() { close(o.told) })
	}
	return n, err
}

// curl runs curl with the arguments of a command, but for another server than that
// of the README, and returns what it prints to out.
func (c formCommand) curl(t *testing.T, base, dir string, out *output) string {
	t.Helper()
	const address = "http://127.0.0.1:8080"
	args := c.args(t, c.line)
	at := slices.IndexFunc(args, func(arg string) bool { return strings.HasPrefix(arg, address+"/") })
	if at < 0 {
		t.Fatalf("the command is for no address of the README: %q", args)
	}
	args[at] = base + strings.TrimPrefix(args[at], address)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, mustCurl(t), append(args, "--silent", "--show-error", "--fail-with-body", "--noproxy", "*")...)
	cmd.Dir = dir
	var failure strings.Builder
	cmd.Stdout, cmd.Stderr = out, &failure
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s\n%s", err, failure.String(), out)
	}
	return out.String()
}

// mustCurl returns the path of curl, without which the test is skipped.
func mustCurl(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl")
	}
	return path
}

func TestDocsFormCommands(t *testing.T) {
	dir := mustReadmeFiles(t)
	commands := formCommands(mustReadDocument(t, readmes[0]))
	tried := make(map[string]bool)
	for _, c := range commands {
		t.Run(strings.Map(plainRune, c.line[:40]), func(t *testing.T) {
			if c.args == nil {
				t.Fatalf("this sends a form, but is no command in a block for a known shell: %s", c.line)
			}
			g := mustGateway(t, setup{})
			printed := newOutput()
			if c.streams() { // hold the upload until the client has been told of it
				g.site.Storage().Fail(emulator.OpComplete, 1, emulator.Fault{Gate: printed.told})
			}
			out := c.curl(t, g.url, dir, printed)
			file, path := g.checkStored(c), formPath(c)
			tried[path] = true
			switch path {
			case "/v1/files", "/v1/files/upload":
				checkFileAnswer(t, out, file)
			default:
				checkChatAnswer(t, out, file, c)
			}
		})
	}
	want := []string{"/v1/files", "/v1/files/upload", "/v1/image/upload_and_chat", "/v1/video/upload_and_chat"}
	if got := slices.Sorted(maps.Keys(tried)); !slices.Equal(got, want) {
		t.Errorf("the README has commands for %q, want %q", got, want)
	}
}

func plainRune(r rune) rune {
	if r == '/' || r == ' ' {
		return '_'
	}
	return r
}

// formPath is the path to which a command sends its form.
func formPath(c formCommand) string {
	_, rest, _ := strings.Cut(c.line, "http://127.0.0.1:8080")
	path, _, _ := strings.Cut(rest, " ")
	return path
}

// checkStored checks that the storage has the file of a command, byte by byte,
// and returns its name.
func (g *gateway) checkStored(c formCommand) string {
	g.t.Helper()
	for name, content := range readmeFiles() {
		if !strings.Contains(c.line, "=@"+name) {
			continue
		}
		for _, object := range g.site.Storage().Objects() {
			if strings.HasSuffix(object.Key, "_"+name) && object.SHA256 == fmt.Sprintf("%x", sha256.Sum256(content)) {
				return name
			}
		}
		g.t.Errorf("the storage does not have %s", name)
		return name
	}
	g.t.Fatalf("the command sends no file: %s", c.line)
	return ""
}

var uploadingPattern = regexp.MustCompile(`\n\n: uploading [1-9]00?%\n\n`)

func checkFileAnswer(t *testing.T, out, name string) {
	t.Helper()
	var answer struct {
		ID, Object, Filename, Status string
		FileInfo                     struct{ Name string } `json:"file_info"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if answer.ID == "" || answer.Object != "file" || answer.Filename != name || answer.Status != "uploaded" || answer.FileInfo.Name != name {
		t.Errorf("the answer is %s", out)
	}
}

// checkChatAnswer checks that the model has seen the file, and that the answer has
// the form that the command asks for.
func checkChatAnswer(t *testing.T, out, name string, c formCommand) {
	t.Helper()
	streamed := strings.HasSuffix(out, "data: [DONE]\n\n")
	if want := c.streams(); streamed != want {
		t.Errorf("streamed: %v, want %v", streamed, want)
	}
	if streamed && !uploadingPattern.MatchString(out) {
		t.Errorf("the stream does not tell of the upload: %s", out)
	}
	if !strings.Contains(out, "see "+name) {
		t.Errorf("the model has not seen %s: %s", name, out)
	}
	if want := strings.Contains(c.line, "enable_thinking=true"); strings.Contains(out, `"reasoning_content"`) != want {
		t.Errorf("the answer has reasoning: %v, want %v: %s", !want, want, out)
	}
}

// TestDocsWindowsQuotes checks that the line for cmd.exe has quotes in its values on
// the wire, as the README says, and that they do not count.
func TestDocsWindowsQuotes(t *testing.T) {
	var line formCommand
	for _, c := range formCommands(mustReadDocument(t, readmes[0])) {
		if strings.Contains(c.line, "%OPENAI_API_KEY%") {
			line = c
		}
	}
	// Of double quotes, curl itself takes off one pair after -F; other programs do not.
	double := line
	double.line = strings.Replace(line.line, "-F stream='false'", `--form-string stream=\"false\"`, 1)
	dir, video := mustReadmeFiles(t), fmt.Sprintf("file clip.mp4 of %d bytes", tellFrom+1)
	for c, stream := range map[*formCommand]string{&line: "'false'", &double: `"false"`} {
		t.Run(stream, func(t *testing.T) {
			server := newFormServer(t)
			c.curl(t, server.URL, dir, newOutput())
			want := map[string]string{"video": video, "prompt": "What happens here?", "stream": stream, "model": "'qwen3-vl'"}
			if !maps.Equal(server.fields, want) {
				t.Errorf("it sends %q, want %q", server.fields, want)
			}
			g := mustGateway(t, setup{})
			checkChatAnswer(t, c.curl(t, g.url, dir, newOutput()), "clip.mp4", *c)
			g.checkStored(*c)
		})
	}
}

// formServer is a server that keeps the fields of a form as they come in.
type formServer struct {
	*httptest.Server
	fields map[string]string
}

func newFormServer(t *testing.T) *formServer {
	s := &formServer{fields: make(map[string]string)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		form, err := r.MultipartReader()
		if err != nil {
			t.Error(err)
			return
		}
		for {
			part, err := form.NextPart()
			if err == io.EOF {
				return
			}
			var value []byte
			if err == nil {
				value, err = io.ReadAll(part)
			}
			if err != nil {
				t.Error(err)
				return
			}
			s.fields[part.FormName()] = string(value)
			if name := part.FileName(); name != "" {
				s.fields[part.FormName()] = fmt.Sprintf("file %s of %d bytes", name, len(value))
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestWindowsArgs(t *testing.T) {
	for line, want := range map[string][]string{
		`a b`: {"a", "b"}, `"a b" c`: {"a b", "c"}, `a='b c'`: {"a='b", "c'"}, `a=\"b\"`: {`a="b"`}, `-F "p=\"x y\""`: {"-F", `p="x y"`},
		`"x=%OPENAI_API_KEY%"`: {"x=" + testKey},
	} {
		if got := windowsArgs(t, line); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
