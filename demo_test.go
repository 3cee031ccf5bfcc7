package caddyqwen

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// The demonstration works with what it prints: the official SDK gets a canned
// answer, and the context ends it.
func TestDemo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := runDemo(ctx, in)
		in.CloseWithError(err)
		done <- err
	}()
	var url, key, curl string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case strings.HasPrefix(lines.Text(), "Base URL:"):
			url = fields[2]
		case strings.HasPrefix(lines.Text(), "API key:"):
			key = fields[2]
		case strings.HasPrefix(lines.Text(), "curl "):
			curl = lines.Text()
		}
		if strings.HasPrefix(lines.Text(), "Press") {
			break
		}
	}
	if !strings.Contains(curl, url+"/chat/completions") || !strings.Contains(curl, key) {
		t.Fatalf("base URL %q, key %q, curl line %q", url, key, curl)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	client := openai.NewClient(option.WithBaseURL(url), option.WithAPIKey(key), option.WithMaxRetries(0),
		option.WithHTTPClient(&http.Client{Transport: transport}))
	answer, err := client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
		Model:    "qwen",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello!")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if text := answer.Choices[0].Message.Content; !strings.Contains(text, "canned") || !strings.Contains(text, "Hello!") {
		t.Errorf("the answer is %q", text)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
