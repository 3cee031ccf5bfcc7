package caddyqwen

import (
	"errors"
	"net/http"

	"github.com/caddy-qwen/caddy-qwen/internal/stopseq"
	"github.com/caddy-qwen/caddy-qwen/openai"
	"github.com/caddy-qwen/caddy-qwen/structured"
	"github.com/caddy-qwen/caddy-qwen/tools"
)

// demand is what a request demands of the answer beyond text. The site knows none
// of it, so that the model is told in words, and what it answers is checked.
type demand struct {
	tools   *tools.Set // nil: no functions are offered
	offered []tools.Tool
	wish    tools.Wish
	shape   *structured.Shape // nil: the text has no form
	stops   []string
	most    int // the largest number of tokens, or 0

}

// demandOf returns what a request demands, or nil if that is text of any form and length.
func demandOf(req *openai.ChatRequest) (*demand, error) {
	d := &demand{stops: req.Stop, most: req.MaxOutput}
	if err := d.offer(req); err != nil {
		return nil, err
	}
	if f := req.Format; f.Type != "" {
		shape, err := structured.New(structured.Format{Schema: f.Schema, Name: f.Name, Description: f.Description})
		if err != nil {
			return nil, wrongFormat(req, err)
		}
		d.shape = shape
	}
	if d.tools == nil && d.shape == nil && len(d.stops) == 0 && d.most == 0 {
		return nil, nil
	}
	return d, nil
}

// offer takes the functions that a request offers.
func (d *demand) offer(req *openai.ChatRequest) error {
	if len(req.Tools) == 0 {
		return nil
	}
	list := make([]tools.Tool, len(req.Tools))
	for i, t := range req.Tools {
		list[i] = tools.Tool{Name: t.Name, Description: t.Description, Parameters: t.Parameters, Strict: t.Strict}
	}
	set, err := tools.New(list)
	if err != nil {
		return wrongTool(req, err)
	}
	d.tools, d.offered = set, list
	d.wish = tools.Wish{Mode: choices[req.ToolChoice.Mode], Only: req.ToolChoice.Names, Single: req.SingleCall}
	return nil
}

var choices = map[string]tools.Mode{
	openai.ChoiceAuto: tools.Auto, openai.ChoiceNone: tools.None, openai.ChoiceRequired: tools.Required,
}

// wrongTool is the answer to a definition that cannot be offered.
func wrongTool(req *openai.ChatRequest, err error) error {
	var e *tools.Error
	if !errors.As(err, &e) {
		return err
	}
	param := req.Tools[e.Index].Param + "." + e.Field
	return &openai.Error{Status: http.StatusBadRequest, Code: "invalid_value", Param: param, Message: param + " " + e.Reason + "."}
}

// wrongFormat is the answer to a format that no answer can be checked against.
func wrongFormat(req *openai.ChatRequest, err error) error {
	var e *structured.Error
	if !errors.As(err, &e) {
		return err
	}
	param := req.Format.Param + ".schema"
	return &openai.Error{Status: http.StatusBadRequest, Code: "invalid_value", Param: param, Message: param + " cannot be used: " + e.Reason + "."}
}

// instructions are what the model is told once in a chat: which functions there
// are, and how to call them.
func (d *demand) instructions() string {
	if d == nil || d.tools == nil {
		return ""
	}
	return d.tools.Instructions()
}

// beforeJSON tells a model that is to write JSON and nothing else that it can call
// functions all the same.
const (
	beforeJSON       = "[As long as functions are needed, write their <tool_call> blocks instead. The JSON is for the answer without calls.]"
	beforeJSONNative = "[As long as functions are needed, call them instead. The JSON is for the answer without calls.]"
)

// note is what the model is told with the turn, whether or not the site itself offers
// it the functions.
func (d *demand) note(native bool) string {
	switch {
	case d == nil:
		return ""
	case d.tools == nil:
		return d.form()
	}
	wish, before := d.wish, beforeJSON
	if wish.Native = native; native {
		before = beforeJSONNative
	}
	switch {
	case wish.Mode == tools.Required: // the JSON is for a later answer
		return d.tools.Note(wish)
	case wish.Mode == tools.None || d.shape == nil:
		return joined(d.tools.Note(wish), d.form())
	}
	return joined(d.tools.Note(wish), d.form(), before)
}

// form is what the model is told of the form of the text.
func (d *demand) form() string {
	if d.shape == nil {
		return ""
	}
	return d.shape.Note()
}

// reading begins the reading of an answer: of the first one, or of the second, after
// a correction. It is nil if all of the text is for the client as it comes.
func (t *turn) reading(stream, again bool) *reading {
	d := t.demand
	if d == nil {
		return nil
	}
	r := &reading{demand: d, again: again}
	if d.tools != nil {
		r.parser = d.tools.Parser(d.wish)
	}
	if len(d.stops) > 0 {
		r.stop = stopseq.New(d.stops)
	}
	if d.shape != nil {
		r.filter = d.shape.Filter()
	}
	// What may have to be answered anew waits. But who has JSON streamed wants to
	// see it grow, and hears of a failure in the stream.
	r.hold = again || d.wish.Mode == tools.Required || d.shape != nil && !stream
	return r
}
