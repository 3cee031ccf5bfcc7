package caddyqwen

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// long is set where there is time for the long rounds of tests.
var long = os.Getenv("CADDY_QWEN_LONG") != ""

// views makes the site answer with a number, under which it keeps what the model
// has seen. Some answers are short and equal, without a number.
type views struct {
	n    atomic.Int64
	byID sync.Map // number → view
}

func (g *gateway) views() *views {
	v := new(views)
	g.site.Respond(v.answer)
	return v
}

func (v *views) answer(c emulator.Completion) emulator.Reply {
	n := v.n.Add(1)
	if n%7 == 0 {
		return emulator.Text("OK")
	}
	v.byID.Store(n, viewOf(c.Context, c.Content))
	return emulator.Text(fmt.Sprintf("Answer number %d ", n), "and some more words.")
}

var answerNumber = regexp.MustCompile(`^Answer number (\d+) and some more words\.$`)

// at returns what the model saw for an answer, if the answer has a number.
func (v *views) at(answer string) (view, bool) {
	m := answerNumber.FindStringSubmatch(answer)
	if m == nil {
		return view{}, false
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	value, ok := v.byID.LoadAndDelete(n)
	if !ok {
		return view{}, false
	}
	return value.(view), true
}

// talker is a client with one conversation, which it changes at random, as people
// do.
type talker struct {
	g       *gateway
	views   *views
	random  *rand.Rand
	mark    string // in all it says
	header  []string
	models  []string
	cancels bool

	model  string
	system string
	talk   []said // ends with what is to be answered
	older  bool   // the model may know messages from before the conversation
	window int    // of the last messages that are sent; 0: all
	steps  []string
}

func (k *talker) say() said {
	return user(fmt.Sprintf("%s %s", k.mark, []string{"hello", "and now?", "why", "go on", strconv.Itoa(k.random.IntN(1000))}[k.random.IntN(5)]))
}

// step changes the conversation, sends it and checks what the model saw.
func (k *talker) step() error {
	change := k.change()
	k.steps = append(k.steps, change)
	sent := k.sent()
	if k.cancels && k.random.IntN(6) == 0 {
		k.cancel(sent)
		return nil
	}
	answer, err := k.send(sent)
	if err != nil {
		return fmt.Errorf("after %q: %w", k.steps, err)
	}
	if v, ok := k.views.at(answer); ok {
		if err := v.of(sent, k.older); err != nil {
			return fmt.Errorf("after %q: %w", k.steps, err)
		}
	}
	k.talk = append(k.talk, assistant(answer))
	return nil
}

// change makes the conversation end with something to be answered.
func (k *talker) change() string {
	n := len(k.talk)
	if n == 0 || n > 40 || k.random.IntN(15) == 0 {
		*k = talker{g: k.g, views: k.views, random: k.random, mark: k.mark, header: k.header, models: k.models, cancels: k.cancels, model: k.models[0]}
		if k.random.IntN(2) == 0 {
			k.system = k.mark + " be brief"
		}
		k.talk = []said{k.say()}
		return "begin"
	}
	at := k.random.IntN(n)
	switch k.random.IntN(12) {
	case 0: // as when a message is edited: what follows it is gone
		for at > 0 && k.talk[at].Role != "user" {
			at--
		}
		k.talk = append(slices.Clone(k.talk[:at]), k.say())
		return fmt.Sprint("edit ", at)
	case 1: // a reply is edited, and the conversation goes on
		k.talk = slices.Clone(k.talk)
		k.talk[at].Content += " (edited)"
	case 2:
		if k.talk[n-1].Role == "assistant" && n > 1 && k.talk[n-2].Role == "user" {
			k.talk = k.talk[:n-1]
			return "regenerate"
		}
	case 3:
		if n > 2 {
			k.talk = slices.Delete(slices.Clone(k.talk), at, at+1)
			k.older = true // with equal messages it may look like a trimmed one
			k.talk = append(k.talk, k.say())
			return fmt.Sprint("delete ", at)
		}
	case 4:
		k.window = []int{0, 3, 5}[k.random.IntN(3)]
		k.older = true
	case 5:
		k.system = []string{"", k.mark + " be brief", fmt.Sprintf("%s it is %d o'clock", k.mark, k.random.IntN(24))}[k.random.IntN(3)]
	case 6:
		k.model = k.models[k.random.IntN(len(k.models))]
	}
	k.talk = append(k.talk, k.say())
	return "append"
}

func (k *talker) sent() []said {
	talk := k.talk
	if k.window > 0 {
		talk = talk[max(0, len(talk)-k.window):]
	}
	if k.system == "" {
		return slices.Clone(talk)
	}
	return append([]said{system(k.system)}, talk...)
}

func (k *talker) body(sent []said, fields string) string {
	return strings.Replace(talkBody(sent, fields), "qwen3.7-plus", k.model, 1)
}

func (k *talker) send(sent []said) (string, error) {
	resp, err := k.g.trySend(context.Background(), http.MethodPost, chatPath, k.body(sent, ""), k.header...)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d, %w: %s", resp.StatusCode, err, text)
	}
	return contentOf(text)
}

// cancel sends the conversation and leaves at a random moment. The client may
// keep what it has got.
func (k *talker) cancel(sent []said) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(k.random.IntN(4000))*time.Microsecond)
	defer cancel()
	resp, err := k.g.trySend(ctx, http.MethodPost, chatPath, k.body(sent, `"stream":true`), k.header...)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if k.random.IntN(2) == 0 {
		k.talk = append(k.talk, assistant("Answer numb"))
	}
	k.steps = append(k.steps, "cancel")
}

// mustSeed returns a source of chance whose seed the log tells.
func mustSeed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("CADDY_QWEN_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CADDY_QWEN_SEED=%d", seed)
	return seed
}
