package openai

import "strconv"

// Usage counts the tokens of an answer.
type Usage struct {
	// Prompt and Completion are the tokens of the request and of the answer,
	// reasoning included.
	Prompt, Completion int64
	// Reasoning is the part of Completion that is reasoning.
	Reasoning int64
	// Cached is the part of Prompt that was in a cache.
	Cached int64
	// Estimated tells that the numbers are guessed from the length of the texts.
	// The JSON then has `"estimated":true`.
	Estimated bool
}

// Plus returns the sum, which is an estimate if one of the two is.
func (u Usage) Plus(v Usage) Usage {
	return Usage{
		Prompt: u.Prompt + v.Prompt, Completion: u.Completion + v.Completion,
		Reasoning: u.Reasoning + v.Reasoning, Cached: u.Cached + v.Cached,
		Estimated: u.Estimated || v.Estimated,
	}
}

// appendJSON appends the usage object. The total is always the sum.
func (u Usage) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, u.Prompt, 10)
	dst = append(dst, `,"completion_tokens":`...)
	dst = strconv.AppendInt(dst, u.Completion, 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, u.Prompt+u.Completion, 10)
	dst = append(dst, `,"prompt_tokens_details":{"cached_tokens":`...)
	dst = strconv.AppendInt(dst, u.Cached, 10)
	dst = append(dst, `},"completion_tokens_details":{"reasoning_tokens":`...)
	dst = strconv.AppendInt(dst, u.Reasoning, 10)
	dst = append(dst, '}')
	if u.Estimated {
		dst = append(dst, `,"estimated":true`...)
	}
	return append(dst, '}')
}
