//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// requestTime is how long a request may take at most.
const requestTime = time.Minute

// client is one connection of the load generator. It is no http.Client, because
// that would cost more than what is to be measured.
type client struct {
	address string
	conn    net.Conn
	in      *bufio.Reader // of the connection
	lines   *bufio.Reader // of the body
}

func newClient(address string) *client {
	return &client{address: address, in: bufio.NewReaderSize(nil, 4<<10), lines: bufio.NewReaderSize(nil, 16<<10)}
}

// dial opens the connection unless it is open.
func (c *client) dial() error {
	if c.conn != nil {
		return nil
	}
	conn, err := net.DialTimeout("tcp", c.address, requestTime)
	if err != nil {
		return err
	}
	c.conn = conn
	c.in.Reset(conn)
	return nil
}

// close closes the connection. The client can be used again.
func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// chat sends a request and checks the answer. After a failure of any kind the
// connection is closed.
func (c *client) chat(request []byte, k *check) error {
	err := c.exchange(request, k)
	if err != nil {
		c.close()
	}
	return err
}

func (c *client) exchange(request []byte, k *check) error {
	if err := c.dial(); err != nil {
		return err
	}
	k.sent = time.Now()
	if err := c.conn.SetDeadline(k.sent.Add(requestTime)); err != nil {
		return err
	}
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	c.lines.Reset(resp.Body)
	return k.read(c.lines)
}

// chatRequest returns a chat request as it goes over the wire.
func chatRequest(prompt string, stream bool) []byte {
	fields := `,"stream":true,"stream_options":{"include_usage":true}`
	if !stream {
		fields = ""
	}
	body := fmt.Sprintf(`{"model":"qwen3.7-plus"%s,"messages":[{"role":"user","content":"%s"}]}`, fields, prompt)
	return fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\n"+
		"Authorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", apiKey, len(body), body)
}
