package caddyqwen

import (
	"errors"
	"slices"

	"github.com/caddy-qwen/caddy-qwen/structured"
	"github.com/caddy-qwen/caddy-qwen/tools"
)

// Failures of models to answer as demanded.
var (
	errToolChoice = errors.New("the model does not call functions as tool_choice demands")
	errToolCall   = errors.New("the model's call of a function cannot be used")
	errFormat     = errors.New("the model's answer does not have the form that response_format demands")
)

// demandError is such a failure, with what exactly it was, for the log.
type demandError struct {
	err    error
	reason string
}

func (e *demandError) Error() string { return e.err.Error() + ": " + e.reason }
func (e *demandError) Unwrap() error { return e.err }

// verdict judges a complete answer: it is fine, or the model is to be told what is
// wrong with it and answers once more, or the turn has failed. Of an answer that was cut
// off, what is complete has to be right; that the rest is missing, the client is told.
func (r *reading) verdict(cutOff, final bool) (correction string, err error) {
	problems := r.problems
	without := r.wish.Mode == tools.Required && len(r.calls) == 0
	if cutOff {
		problems = slices.DeleteFunc(slices.Clone(problems), unfinished)
	}
	switch {
	case r.wish.Single && len(r.right()) > 0:
		problems = nil // the one call that is allowed is there
	case len(problems) == 0 && without && (!cutOff || r.stopped):
		problems = []tools.Problem{{Kind: tools.NoCall}}
	}
	switch {
	case len(problems) > 0 && (final || cutOff):
		return "", r.failure(problems)
	case len(problems) > 0:
		return r.tools.Correction(r.wish, problems), nil
	case r.misshapen == nil || len(r.calls) > 0:
		return "", nil
	case cutOff && !(r.stopped && r.misshapen.Kind == structured.NoJSON):
		return "", nil
	case final || cutOff || r.written:
		return "", &demandError{errFormat, r.misshapen.Kind.String()}
	}
	return r.shape.Correction(*r.misshapen), nil
}

// unfinished reports whether a problem is that the answer ended inside of a call.
func unfinished(p tools.Problem) bool { return p.Kind == tools.Incomplete }

// wordless is what the model is told if it has thought and then said nothing.
func (r *reading) wordless() (correction string) {
	if r.tools == nil {
		return r.shape.Correction(structured.Problem{Kind: structured.NoJSON})
	}
	return r.tools.Correction(r.wish, []tools.Problem{{Kind: tools.Empty}})
}

// failure is the end of a turn whose second answer is not right either. Arguments
// that violate a schema that is not strict are the client's matter: it has tools
// that check them. Those that are no object cannot be given to it.
func (r *reading) failure(problems []tools.Problem) error {
	lenient := func(p tools.Problem) bool { return p.Kind == tools.BadArguments }
	if !r.strict && !r.lost && !slices.ContainsFunc(problems, func(p tools.Problem) bool { return !lenient(p) }) {
		return nil
	}
	worst := problems[0]
	for _, p := range problems {
		if choice(p) {
			worst = p
		}
	}
	if choice(worst) {
		return &demandError{errToolChoice, worst.Kind.String()}
	}
	return &demandError{errToolCall, worst.Kind.String()}
}

// choice reports whether a problem is that the model has not chosen as demanded.
func choice(p tools.Problem) bool {
	return p.Kind == tools.NoCall || p.Kind == tools.Forbidden || p.Kind == tools.NotAllowed
}
