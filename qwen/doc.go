// Package qwen is a client of chat.qwen.ai. It speaks the protocol of the
// site's own web front end, with the credential of the account's owner.
//
// The package knows nothing of OpenAI's API, of Caddy or of conversations. It
// returns typed errors and does not log.
package qwen
