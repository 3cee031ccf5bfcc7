package browser

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// randomText returns a text of some of the characters.
func randomText(r *rand.Rand, characters string, longest int) string {
	all := []rune(characters)
	var b strings.Builder
	for range 1 + r.IntN(longest) {
		b.WriteRune(all[r.IntN(len(all))])
	}
	return b.String()
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	// hard has what is special in one of the forms, besides line breaks.
	hard = letters + "!\"#$%&'()*+,-./:<=>?@[]^_`{|}~%%%^^^\"\"''$$!!``"
	// harder is refused by cmd, or by the browsers' own way of writing for it.
	harder = hard + `\\\\é中😀`
)

// randomRequest returns a request with values of some characters.
func randomRequest(r *rand.Rand, characters string) sent {
	s := sent{url: "https://chat.qwen.ai/api/x?a=" + randomText(r, letters+"%&", 9), body: randomText(r, characters+" \n", 40)}
	for i := range 1 + r.IntN(5) {
		s.cookies = append(s.cookies, [2]string{fmt.Sprint(randomText(r, letters+"-_.", 8), i), randomText(r, characters, 30)})
	}
	for _, name := range []string{"User-Agent", "bx-ua", "sec-ch-ua", "bx-" + randomText(r, letters, 5)} {
		s.header = append(s.header, [2]string{name, randomText(r, characters, 30)})
	}
	s.header = append(s.header, [2]string{"Authorization", "Bearer " + randomText(r, letters+"._-", 200)})
	return s
}

// TestParseGivesBack checks for all forms that what was written comes back.
func TestParseGivesBack(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			characters := harder
			if strings.Contains(name, "(cmd)") {
				characters = hard
			}
			if strings.Contains(name, "once, cURL (cmd)") { // they do not tell `^` from an escape
				characters = strings.ReplaceAll(hard, "^", "")
			}
			for range 100 {
				want := randomRequest(r, characters)
				checkGivesBack(t, want, write(want))
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func checkGivesBack(t *testing.T, want sent, text string) {
	t.Helper()
	got, err := Parse([]byte(text))
	if err != nil {
		t.Errorf("%v\n%s", err, text)
		return
	}
	header := make(http.Header)
	for _, h := range want.header {
		header.Set(h[0], h[1])
	}
	token := strings.TrimPrefix(header.Get("Authorization"), "Bearer ")
	header.Del("Authorization")
	if got.Cookies != want.cookieHeader() {
		t.Errorf("cookies\n%s, want\n%s in\n%s", got.Cookies, want.cookieHeader(), text)
	}
	if got.Token != token || got.URL != "https://chat.qwen.ai/api/x" {
		t.Errorf("token %s, URL %s in\n%s", got.Token, got.URL, text)
	}
	if !reflect.DeepEqual(got.Header, header) {
		t.Errorf("headers\n%q, want\n%q in\n%s", got.Header, header, text)
	}
}
