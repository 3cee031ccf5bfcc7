package caddyqwen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// chatTime is how long the tiny answer may take.
const chatTime = time.Minute

// refusal is a failure of a call to the site.
func refusal(what string, err error) finding {
	switch {
	case errors.Is(err, errNoCredential):
		return wrong(what+": there is no credential", remedyCredential)
	case isKind(err, qwen.KindCredential):
		return wrong(what+": the site does not accept the credential any more", remedyCredential)
	case isKind(err, qwen.KindVerification):
		return wrong(what+": the site asks for human verification", remedyVerification)
	case isKind(err, qwen.KindQuota):
		return wrong(what+": a limit of the account is used up", remedyQuota)
	}
	p := describe(err)
	message, remedy, _ := strings.Cut(p.Message, ". ")
	return wrong(what+": "+sentence(message), sentence(remedy))
}

// credential asks the site whether it accepts an account, and renews the access token
// first if that is due.
func (d *doctor) credential(a *account) finding {
	if a.missing(a.logger) {
		return wrong("there is none", remedyCredential)
	}
	if !d.reachable {
		return skipped("the site cannot be reached")
	}
	k := a.keeper
	k.mu.Lock()
	due := k.renewal(time.Now())
	k.mu.Unlock()
	if due != renewalNone {
		select {
		case <-k.startRenewal(d.ctx, a):
		case <-d.ctx.Done():
		}
	}
	err := a.probe(d.ctx)
	k.flush(a.logger)
	r := a.report(time.Now())
	switch {
	case errors.Is(err, errUnclear):
		return doubtful("the site's answer does not tell whether it accepts the account", "try `caddy qwen doctor --chat`; if that fails, update this program")
	case err != nil:
		return refusal("the account cannot be used", err)
	}
	if d.usable == nil {
		d.usable = a
	}
	return accepted(r, due != renewalNone)
}

// accepted tells about an account that the site accepts.
func accepted(r accountReport, renewed bool) finding {
	text := "the site accepts it"
	switch {
	case r.Expires.IsZero():
		text += "; the access token does not say when it ends"
	default:
		text += "; the access token ends at " + localTime(r.Expires)
	}
	if r.Renewable {
		text += " and can be renewed"
	} else {
		text += " and cannot be renewed"
	}
	if renewed {
		text += "; a renewal was due"
	}
	if remedy := r.remedy(); remedy != "" {
		return doubtful(fmt.Sprintf("%s; its state is %s", text, r.State), remedy)
	}
	return fine("%s", text)
}

// models fetches the list of models, and looks for those that the configuration
// names.
func (d *doctor) models() finding {
	if !d.reachable {
		return skipped("the site cannot be reached")
	}
	ctx, cancel := context.WithTimeout(d.ctx, toolTime)
	defer cancel()
	models, err := d.h.models(ctx)
	if err != nil {
		return refusal("the list cannot be had", err)
	}
	for _, m := range models {
		if textChat(m) {
			d.named = append(d.named, m.ID)
		}
	}
	var gone []string
	for _, name := range slices.Sorted(maps.Keys(d.h.ModelAliases)) {
		if _, ok := resolve(models, d.h.ModelAliases, name); !ok {
			gone = append(gone, fmt.Sprintf("model_alias %s stands for %s", name, d.h.ModelAliases[name]))
		}
	}
	for option, name := range map[string]string{"default_model": d.h.DefaultModel, "vision_model": d.h.VisionModel} {
		if _, ok := resolve(models, d.h.ModelAliases, name); name != "" && !ok {
			gone = append(gone, option+" is "+name)
		}
	}
	text := fmt.Sprintf("the site has %s", counted(len(models), "model"))
	if len(gone) > 0 {
		slices.Sort(gone)
		return doubtful(text+"; some that the configuration names are not there: "+strings.Join(gone, ", "), "choose others; `caddy qwen models` lists them")
	}
	return fine("%s", text)
}

// upload gets an upload grant, without using it, and tries the way to the storage.
func (d *doctor) upload() finding {
	if d.usable == nil {
		return skipped("no account can be used")
	}
	ctx, cancel := context.WithTimeout(d.ctx, grantTime)
	defer cancel()
	grant, err := d.usable.grant(ctx, "doctor.txt", 1, qwen.FileDocument)
	if err == nil {
		err = d.h.checkGrant(grant)
	}
	if err != nil {
		return refusal("the site gives no upload grant", err)
	}
	at := d.h.storage.Endpoint
	if at == nil {
		host := strings.TrimSuffix(strings.TrimPrefix(grant.Endpoint, "https://"), "/")
		if !strings.HasPrefix(host, grant.Bucket+".") {
			host = grant.Bucket + "." + host
		}
		at = &url.URL{Scheme: "https", Host: host}
	}
	way := d.connect(d.h.storage.Transport, at, false)
	if way.Status == stepFailed {
		way.Detail = "the site gives upload grants, but its storage cannot be used: " + way.Detail
		return way
	}
	way.Detail = "the site gives upload grants; its storage: " + way.Detail
	return way
}

// ask asks a model for a tiny answer.
func (d *doctor) ask() finding {
	if d.usable == nil {
		return skipped("no account can be used")
	}
	if len(d.named) == 0 {
		return skipped("no model is known")
	}
	model := d.named[0]
	if found, ok := resolve(nil, d.h.ModelAliases, d.h.DefaultModel); ok && slices.Contains(d.named, found.Model.ID) {
		model = found.Model.ID
	}
	ctx, cancel := context.WithTimeout(d.ctx, chatTime)
	defer cancel()
	begun := time.Now()
	if err := d.tinyChat(ctx, model); err != nil {
		return refusal(model+" does not answer", err)
	}
	return fine("%s has answered after %s", model, time.Since(begun).Round(time.Millisecond))
}

// tinyChat opens a chat, asks something that has a short answer, reads that to its
// end, and deletes the chat.
func (d *doctor) tinyChat(ctx context.Context, model string) (err error) {
	a := d.usable
	var chat string
	err = a.call(ctx, model, func(c *qwen.Client, cred qwen.Credential) (err error) {
		chat, err = c.NewChat(ctx, cred, model)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { // also when the user has interrupted the command
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		if err != nil {
			_ = a.client.Stop(ctx, a.credential(), chat, "") // the site may still be writing
		}
		_ = a.client.DeleteChat(ctx, a.credential(), chat) // as far as that goes
	}()
	return a.call(ctx, model, func(c *qwen.Client, cred qwen.Credential) error {
		stream, err := c.Complete(ctx, cred, qwen.Completion{ChatID: chat, Model: model, Prompt: "Answer with the word OK, and nothing else."})
		if err != nil {
			return err
		}
		defer stream.Close()
		return readToEnd(stream, d.h.MaxFrame)
	})
}

// readToEnd reads an answer, and returns why it is none.
func readToEnd(stream io.Reader, maxFrame int64) error {
	decoder := qwen.Decoder{MaxFrame: int(maxFrame)}
	for {
		piece := make([]byte, largeRead) // which the decoder keeps
		n, err := stream.Read(piece)
		decoder.Feed(piece[:n])
		if over, failed := ended(&decoder); over {
			return failed
		}
		if err == io.EOF {
			decoder.End()
			_, failed := ended(&decoder) // or it has told so before
			return failed
		}
		if err != nil {
			return err
		}
	}
}

// ended takes the events that a decoder has, and reports whether the turn is over.
func ended(decoder *qwen.Decoder) (over bool, failed error) {
	for ev, ok := decoder.Next(); ok; ev, ok = decoder.Next() {
		switch ev.Kind {
		case qwen.Failed:
			return true, ev.Err
		case qwen.Finished:
			return true, nil
		}
	}
	return false, nil
}
