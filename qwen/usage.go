package qwen

import "github.com/caddy-qwen/caddy-qwen/internal/jsonraw"

// Usage is the number of tokens of a turn as the site counts them. The site
// adds 500 to 2,800 tokens of its own to the input.
type Usage struct {
	// Input is the number of tokens of the prompt and the history.
	Input int64
	// Output is the number of tokens of the answer, reasoning included.
	Output int64
	// Reasoning is the part of Output that is reasoning.
	Reasoning int64
	// Cached is the part of Input that the site had in its cache.
	Cached int64
}

// parseUsage reads the object
//
//	{"input_tokens":1200,"output_tokens":90,"total_tokens":1290,
//	 "output_tokens_details":{"reasoning_tokens":88},"prompt_tokens_details":{"cached_tokens":512}}
func parseUsage(raw []byte) (u Usage, ok bool) {
	c := jsonraw.NewCursor(raw)
	if len(raw) == 0 || !c.Object() {
		return Usage{}, false
	}
	for key, more := c.Key(); more; key, more = c.Key() {
		switch string(key) {
		case "input_tokens":
			u.Input = c.Int()
		case "output_tokens":
			u.Output = c.Int()
		case "output_tokens_details":
			u.Reasoning = member(&c, "reasoning_tokens")
		case "prompt_tokens_details":
			u.Cached = member(&c, "cached_tokens")
		default:
			c.Skip()
		}
	}
	return u, c.OK() && u.Input+u.Output > 0
}

// member returns the integer of that name in the object at the cursor.
func member(c *jsonraw.Cursor, name string) (n int64) {
	if !c.Object() {
		return 0
	}
	for key, ok := c.Key(); ok; key, ok = c.Key() {
		if string(key) == name {
			n = c.Int()
		} else {
			c.Skip()
		}
	}
	return n
}
