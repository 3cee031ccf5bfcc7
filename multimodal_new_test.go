package caddyqwen

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A talk is told by the images in each message of the user, and by aReply where a
// reply from elsewhere comes between them.
const aReply = -1

// talkOf returns such a talk and its images.
func talkOf(turns []int) (talk []any, images [][]byte) {
	for i, n := range turns {
		if n == aReply {
			talk = append(talk, assistant(fmt.Sprintf("A reply from elsewhere, %d.", i)))
			continue
		}
		more, parts := namedImages(len(images), n)
		images = append(images, more...)
		talk = append(talk, say(fmt.Sprintf("message %d", i), parts...))
	}
	return talk, images
}

// Clients may send several messages at once, the question after the images. Nobody
// has seen any of them yet, so that all go along.
func TestMultimodalNewMessages(t *testing.T) {
	for name, test := range map[string]struct {
		turns       []int
		first, last int // of the images that go along
	}{
		"MM-07 seven, and then the question":        {[]int{7, 0}, 0, 6},
		"MM-07 ten in three messages":               {[]int{4, 3, 3}, 0, 9},
		"MM-07 seven before the last reply":         {[]int{7, 0, aReply, 0}, 2, 6},
		"MM-07 three new ones and two of before":    {[]int{7, aReply, 3, 0}, 5, 9},
		"MM-07 ten new ones and none of before":     {[]int{2, aReply, 6, 4}, 2, 11},
		"MM-07 several messages before the reply":   {[]int{4, aReply, 2, 3, aReply, 0}, 4, 8},
		"MM-07 six new ones at the end of a longer": {[]int{4, 4, aReply, 0, aReply, 6, 0}, 8, 13},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustFilesGateway(t, setup{})
			talk, images := talkOf(test.turns)
			g.discuss(append([]any{system("Be brief.")}, talk...))
			c := g.last()
			g.mustShow(c.Files, images[test.first:test.last+1]...)
			for i := range images {
				note := fmt.Sprintf("[file not attached again: %d.png]", i)
				if left := i < test.first || i > test.last; strings.Contains(c.Content, note) != left {
					t.Errorf("image %d is left out: %t; the prompt is %s", i, left, c.Content)
				}
			}
			g.mustStore(test.last - test.first + 1)
		})
	}
	t.Run("MM-07 seven, and then the question, in a chat that goes on", func(t *testing.T) {
		g := mustFilesGateway(t, setup{})
		g.numbered()
		talk := []any{user("one")}
		talk = append(talk, g.discuss(talk).said)
		more, images := talkOf([]int{7, 0})
		g.discuss(append(talk, more...)).mustBe(t, "continued")
		g.mustShow(g.last().Files, images...)
	})
}

func TestMultimodalNewTooMany(t *testing.T) {
	g := mustFilesGateway(t, setup{})
	for name, test := range map[string]struct {
		turns []int
		param string
	}{
		"MM-02 eleven in two messages":          {[]int{10, 1}, "messages[0].content[1]"},
		"MM-02 eleven and then the question":    {[]int{5, 6, 0}, "messages[0].content[1]"},
		"MM-02 twelve after the last reply":     {[]int{3, aReply, 6, 6}, "messages[2].content[2]"},
		"MM-02 eleven messages with one each":   {slices.Repeat([]int{1}, 11), "messages[0].content[1]"},
		"MM-02 a question between the messages": {[]int{10, 0, 1}, "messages[0].content[1]"},
	} {
		for mode, fields := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				talk, _ := talkOf(test.turns)
				r := g.do(http.MethodPost, chatPath, messagesBody(t, "qwen3.7-plus", talk, fields))
				mustRefuse(t, r, 400, "invalid_value", test.param)
			})
		}
	}
	g.sentNothing()
}

// A request that names a file that nobody knows fails before anything of it is
// fetched or uploaded.
func TestMultimodalUnknownBesideLarge(t *testing.T) {
	m := mustMedia(t, func(w http.ResponseWriter, r *http.Request) { w.Write(testPNG(1, 600)) })
	g := mustFilesGateway(t, setup{qwen: fetchAllowed})
	var large []part
	for i := range 5 {
		large = append(large, imagePart(testPNG(uint64(i), 400_000)))
	}
	large = append(large, imageAt(m.URL+"/a.png"))
	unknown := fileOfID("00000000-0000-4000-8000-000000000000")
	for name, test := range map[string]struct {
		parts []part
		param string
	}{
		"after them":  {append(slices.Clone(large), unknown), "messages[0].content[7]"},
		"before them": {append([]part{unknown}, large...), "messages[0].content[1]"},
	} {
		for mode, fields := range modes {
			t.Run("FI-05 an unknown file "+name+"/"+mode, func(t *testing.T) {
				r := g.do(http.MethodPost, chatPath, messagesBody(t, "qwen3.7-plus", []any{say("What is it?", test.parts...)}, fields))
				mustRefuse(t, r, 404, "file_not_found", test.param)
			})
		}
	}
	m.mustAsk(t, 0)
	g.notSent(t)
	g.nothingLeft()
}
