package caddyqwen

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// apiClient speaks to the API of this program.
type apiClient struct {
	base string // ends with /v1
	key  string
	http *http.Client
}

// newAPIClient returns a client that does not follow redirects: the key is for the
// server that was named.
func newAPIClient(base, key string, proxy func(*http.Request) (*url.URL, error)) *apiClient {
	return &apiClient{base: base, key: key, http: &http.Client{
		Transport:     &http.Transport{Proxy: proxy},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *apiClient) close() { c.http.CloseIdleConnections() }

// apiBase returns the base URL of an API that somebody has named.
func apiBase(text string) (string, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return "", errors.New("--url must be the base URL of the API, such as https://api.example.com/v1")
	}
	if u.Path == "" {
		u.Path = "/v1"
	}
	return u.String(), nil
}

// post makes a request and returns the answer, which is a success.
func (c *apiClient) post(ctx context.Context, path, kind string, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	if req.ContentLength = size; c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.broken(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // a part of it is no JSON
	if message := errorMessage(text); message != "" {
		return nil, errors.New(message)
	}
	return nil, fmt.Errorf("%s answers with the HTTP status %d and without an explanation: %w", c.base, resp.StatusCode, errOtherAPI)
}

// errOtherAPI says that an answer is none of this API.
var errOtherAPI = errors.New("is it the base URL of this API? It ends with /v1")

// broken explains why there is no answer.
func (c *apiClient) broken(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the address
	}
	return fmt.Errorf("the connection to %s failed: %w", c.base, err)
}

// errorMessage returns the message in an answer in the error format, fit for a
// terminal, or an empty text.
func errorMessage(text []byte) string {
	var answer struct {
		Error struct{ Message string }
	}
	_ = json.Unmarshal(text, &answer) // what is no JSON has no message
	return shown(answer.Error.Message)
}

// sentFile is a file that the API has taken in.
type sentFile struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// upload sends a file. It is read while it is sent, and report is called with how
// many bytes are sent.
func (c *apiClient) upload(ctx context.Context, path string, report func(sent, size int64)) (f sentFile, err error) {
	file, err := os.Open(path)
	if err != nil {
		return f, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return f, err
	}
	if !info.Mode().IsRegular() {
		return f, fmt.Errorf("%s is not a file", path)
	}
	var frame bytes.Buffer
	form := multipart.NewWriter(&frame)
	if _, err = form.CreateFormFile("file", filepath.Base(path)); err != nil {
		return f, err
	}
	head := bytes.Clone(frame.Bytes())
	frame.Reset()
	if err = form.Close(); err != nil {
		return f, err
	}
	content := &countingReader{from: io.LimitReader(file, info.Size()), size: info.Size(), report: report}
	resp, err := c.post(ctx, "/files", form.FormDataContentType(),
		io.MultiReader(bytes.NewReader(head), content, &frame), int64(len(head))+info.Size()+int64(frame.Len()))
	if err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	defer resp.Body.Close()
	if err = json.NewDecoder(resp.Body).Decode(&f); err != nil || f.ID == "" {
		return f, fmt.Errorf("%s: the server's answer cannot be understood: %w", path, errOtherAPI)
	}
	return f, nil
}

// countingReader reports how much was read.
type countingReader struct {
	from       io.Reader
	read, size int64
	report     func(sent, size int64)
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if r.read += int64(n); r.report != nil {
		r.report(r.read, r.size)
	}
	return n, err
}

// answerPiece is what comes with a stream.
type answerPiece struct {
	text, reasoning string
	// uploading is how much of a large file is at the site, in percent, or 0.
	uploading int
	// reason is why the answer has ended.
	reason string
}

// stream reads a stream to its end.
func (c *apiClient) stream(body io.Reader, take func(answerPiece) error) error {
	lines := bufio.NewReader(body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return c.broken(err)
		}
		line = strings.TrimRight(line, "\r\n")
		if percent, ok := strings.CutPrefix(line, ": uploading "); ok {
			n, _ := strconv.Atoi(strings.TrimSuffix(percent, "%")) // 0 draws nothing
			if err := take(answerPiece{uploading: n}); err != nil {
				return err
			}
		}
		data, ok := strings.CutPrefix(line, "data: ")
		switch {
		case !ok:
			continue
		case data == "[DONE]":
			return nil
		}
		if err := takeChunk([]byte(data), take); err != nil {
			return err
		}
	}
}

// takeChunk takes one event of a stream.
func takeChunk(data []byte, take func(answerPiece) error) error {
	if message := errorMessage(data); message != "" {
		return errors.New(message)
	}
	var chunk struct {
		Choices []struct {
			Delta struct {
				Content   string `json:"content"`
				Reasoning string `json:"reasoning_content"`
			} `json:"delta"`
			Reason string `json:"finish_reason"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(data, &chunk); err != nil {
		return fmt.Errorf("the server's answer cannot be understood: %w", errOtherAPI)
	}
	for _, choice := range chunk.Choices {
		if err := take(answerPiece{text: choice.Delta.Content, reasoning: choice.Delta.Reasoning, reason: choice.Reason}); err != nil {
			return err
		}
	}
	return nil
}
