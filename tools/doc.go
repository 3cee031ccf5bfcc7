// Package tools lets a model that knows no function calling of its own call the
// functions of a client, by a convention in its text.
//
// A call is a block in the answer, as Qwen models are trained to write it:
//
//	<tool_call>
//	{"name": "get_weather", "arguments": {"city": "Oslo"}}
//	</tool_call>
//
// and the result of a call comes back in a block of the next prompt:
//
//	<tool_response name="get_weather" id="call_1">
//	4 °C, rain
//	</tool_response>
//
// A [Set] holds the functions that a client offers. It says what the model is told:
// [Set.Instructions] for the whole conversation, [Set.Note] for one answer, and
// [Set.Correction] after an answer that cannot be used. [AppendCalls] and
// [AppendResult] write what has happened before. The package speaks no HTTP and
// knows no dialect of any API.
package tools
