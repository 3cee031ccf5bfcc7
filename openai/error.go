package openai

import "net/http"

// The values of [Error.Type].
const (
	// TypeInvalidRequest says that the request must be changed before it can
	// succeed.
	TypeInvalidRequest = "invalid_request_error"

	// TypeRateLimit says that the same request may succeed later.
	TypeRateLimit = "rate_limit_error"

	// TypeServer says that the caller did nothing wrong.
	TypeServer = "server_error"
)

// Error is an error in the OpenAI format.
type Error struct {
	// Status is the HTTP status of the answer. It is not part of the JSON.
	Status int

	// Message says in a sentence what is wrong and what to do about it. It is
	// shown to the person in front of the client and may be logged, so it
	// holds no secrets and no text of a conversation.
	Message string

	// Type is the class of the error. An empty type is written as the one
	// that fits the status: rate_limit_error for 429, server_error from 500
	// on, invalid_request_error otherwise.
	Type string

	// Param is the path of the request field that is to blame, such as
	// messages[3].content[1].type. Empty (null in JSON) if there is none.
	Param string

	// Code names the case for programs. Empty (null in JSON) if there is none.
	Code string
}

// Error returns the code, if there is one, and the message.
func (e *Error) Error() string {
	if e.Code == "" {
		return e.Message
	}
	return e.Code + ": " + e.Message
}

// AppendJSON appends the error as the body of an answer,
//
//	{"error":{"message":"…","type":"…","param":null,"code":null}}
//
// and returns the extended slice. All four keys are always there. The JSON has
// no line breaks, so it can also follow `data: ` in an event stream. Bytes that
// are not UTF-8 become U+FFFD.
func (e *Error) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"error":{"message":`...)
	dst = appendString(dst, e.Message)
	dst = append(dst, `,"type":`...)
	dst = appendString(dst, e.kind())
	dst = append(dst, `,"param":`...)
	dst = appendStringOrNull(dst, e.Param)
	dst = append(dst, `,"code":`...)
	dst = appendStringOrNull(dst, e.Code)
	return append(dst, "}}"...)
}

func (e *Error) kind() string {
	switch {
	case e.Type != "":
		return e.Type
	case e.Status == http.StatusTooManyRequests:
		return TypeRateLimit
	case e.Status >= http.StatusInternalServerError:
		return TypeServer
	}
	return TypeInvalidRequest
}

// appendString appends s as a JSON string with the fewest possible escapes.
func appendString(dst []byte, s string) []byte {
	return append(appendEscaped(append(dst, '"'), s), '"')
}

func appendStringOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendString(dst, s)
}
