package tools

// A Call is a function that the model calls.
type Call struct {
	Name      string
	Arguments string // a JSON object, as text
}

// A Kind says what a part of an answer is.
type Kind uint8

const (
	Text    Kind = iota // words for the client
	Called              // a call
	Broken              // what should have been a call but is none
	Skipped             // what is neither: white space after a call, the rest of a broken one
)

// An Event is a part of an answer.
type Event struct {
	// Kind says what it is.
	Kind Kind

	// Source is the bytes of the answer that it accounts for. Those of a text are
	// what the client gets.
	Source []byte

	// Call is set where Kind is Called.
	Call Call

	// Problem says why the part is no call where Kind is Broken. Where Kind is
	// Called it is nil, or says how the arguments violate the function's schema.
	Problem *Problem

	// Strict tells, where Kind is Called, that the function's schema must be
	// satisfied.
	Strict bool
}

// A Problem is why an answer cannot be used as it is.
type Problem struct {
	Kind ProblemKind

	// Tool is the function's name as the model wrote it; empty if it is not known.
	Tool string

	// Detail says more, in English and to the model only: it may repeat what the
	// model wrote, so that it belongs into no log and no error.
	Detail string
}

// A ProblemKind is a kind of problem.
type ProblemKind uint8

const (
	Malformed    ProblemKind = iota + 1 // a call that is no JSON
	Incomplete                          // the answer ended inside of a call
	UnknownTool                         // a function that is not offered
	NotAllowed                          // a function that is offered but may not be called in this answer
	BadArguments                        // arguments that are no object, or violate the schema
	TooLarge                            // a call that is longer than what is kept
	NoCall                              // a call was required and none came
	Forbidden                           // a call where none was allowed
	Extra                               // a second call where one was allowed
	Empty                               // nothing but reasoning
)

var problemNames = [...]string{
	Malformed: "malformed", Incomplete: "incomplete", UnknownTool: "unknown_tool", NotAllowed: "not_allowed",
	BadArguments: "bad_arguments", TooLarge: "too_large", NoCall: "no_call", Forbidden: "forbidden",
	Extra: "extra", Empty: "empty",
}

// String is a stable name in snake_case, for logs and metrics.
func (k ProblemKind) String() string {
	if k == 0 || int(k) >= len(problemNames) {
		return "unknown"
	}
	return problemNames[k]
}
