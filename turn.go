package caddyqwen

import "github.com/caddy-qwen/caddy-qwen/qwen"

// turn is one turn of a conversation, whatever dialect asked for it.
type turn struct {
	model    string
	info     qwen.Model // of the model, as far as anything is known
	prompt   string
	long     bool // a part of the prompt goes along as a file
	thinking qwen.Thinking
	budget   int
	demand   *demand          // nil: any text will do
	local    []qwen.LocalTool // the functions that the site itself is to offer the model
	native   *nativeRefusals  // where it is noted that it does not

	attached *attachments  // nil if the request has none
	toSend   []*attachment // those that go along with the prompt
	host     string        // by which the client has called this server

	conversation *conversation
}
