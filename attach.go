package caddyqwen

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-qwen/caddy-qwen/internal/filetype"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

const (
	// maxParallel is how many files of a turn are on their way at once.
	maxParallel = 4
	// fetchedImages is how many images of the largest size may be fetched for one
	// turn.
	fetchedImages = 4
)

// attaching brings the attachments of one turn to the site.
type attaching struct {
	h       *Handler
	account *account
	host    string // by which the client has called this server
	model   qwen.Model
	known   *knownFiles
	tell    chan int // how far a large upload is, in percent

	images  atomic.Int64 // bytes of fetched images
	flights singleflight.Group
}

// attach brings the attachments of the turn to the site, and hands over how far
// it is. It returns the files in the order of the attachments.
func (u *upstream) attach(ctx context.Context) ([]qwen.File, error) {
	if u.turn.attached == nil {
		return nil, nil
	}
	defer u.turn.attached.release() // the content is not needed any more
	if len(u.turn.toSend) == 0 {
		return nil, nil
	}
	a := &attaching{h: u.h, account: u.account, host: u.turn.host, model: u.turn.info, known: u.h.knownFiles(caller{tenant: u.tenant}), tell: make(chan int, 1)}
	defer a.known.close()
	ctx, cancel := whileServing(ctx)
	defer cancel()
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = guard(u.h.logger, "files were uploaded", func() error { return a.bringAll(ctx, u.turn.toSend) })
	}()
	// Each stage has a limit of its own, and tells which it was that took too long.
	alive := time.NewTicker(max(time.Duration(u.h.IdleTimeout)/4, time.Millisecond))
	defer alive.Stop()
	for {
		select {
		case percent := <-a.tell:
			u.hand(ctx, read{uploading: percent})
			continue
		case <-alive.C:
			u.hand(ctx, read{})
			continue
		case <-done:
		}
		break
	}
	if err != nil {
		return nil, orExit(ctx, err)
	}
	files := make([]qwen.File, len(u.turn.toSend))
	for i, at := range u.turn.toSend {
		files[i] = *at.file
	}
	return files, nil
}

// bringAll brings attachments to the site, some of them at a time. The first
// failure ends the others.
func (a *attaching) bringAll(ctx context.Context, list []*attachment) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallel)
	for _, at := range list {
		group.Go(func() error { return a.bring(ctx, at) })
	}
	return group.Wait()
}

// bring brings one attachment to the site, unless it is there.
func (a *attaching) bring(ctx context.Context, at *attachment) (err error) {
	defer recovered(a.h.logger, "a file was uploaded", &err)
	if at.file == nil && at.content == nil {
		if err := a.fetch(ctx, at); err != nil {
			return &partError{at.Param, err}
		}
	}
	if kind := at.kind(); !takes(a.model, kind) {
		return errNotTaken(at.Param, a.model.ID, kind)
	}
	if at.file != nil {
		return a.read(ctx, at)
	}
	// The same content may be there twice.
	file, err, _ := a.flights.Do(flight(at.content), func() (any, error) { return a.upload(ctx, at) })
	if err != nil {
		return err
	}
	at.file = file.(*qwen.File)
	return nil
}

// flight tells which uploads are one: those of the same content, under the same
// name where somebody has given it one or the model sees it.
func flight(c *content) string {
	sum := c.SHA256()
	key := string(sum[:]) + c.MIME
	if c.named || c.Kind == filetype.Document {
		key += "\x00" + c.name
	}
	return key
}

func (a *attaching) upload(ctx context.Context, at *attachment) (_ *qwen.File, err error) {
	defer recovered(a.h.logger, "a file was uploaded", &err) // others may wait for it, too
	up := &upload{h: a.h, account: a.account, files: a.known, content: at.content, param: at.Param, report: a.report}
	f, signed, err := up.run(ctx)
	if err != nil {
		return nil, err
	}
	file := fileOf(f)
	file.URL = signed
	return file, nil
}

// read has the site read a document that may not have been read.
func (a *attaching) read(ctx context.Context, at *attachment) error {
	if !at.unread {
		return nil
	}
	up := &upload{h: a.h, account: a.account, param: at.Param}
	if err := up.ended(ctx, stageParse, up.parse(ctx, at.file.ID)); err != nil {
		return err
	}
	at.unread = false
	return nil
}

// report keeps the newest progress only, so that no upload waits for a client.
func (a *attaching) report(percent int) {
	select {
	case <-a.tell:
	default:
	}
	select {
	case a.tell <- percent:
	default:
	}
}

// fetch gets the content of an attachment that is elsewhere.
func (a *attaching) fetch(ctx context.Context, at *attachment) error {
	resp, err := a.h.fetcher(a.host).Get(ctx, at.URL)
	if err != nil {
		a.h.logFetch(ctx, err)
		return err
	}
	defer resp.Body.Close()
	name := at.Name
	if name == "" {
		name = resp.FileName
	}
	at.content, err = a.h.receive(incoming{
		from: resp.Body, name: name, declared: resp.ContentType, loose: true,
		otherwise: at.name, param: at.Param, kinds: kindsOf(at.Attachment),
	})
	if err != nil {
		return err
	}
	if at.content.Kind == filetype.Image && a.images.Add(at.content.Size()) > fetchedImages*a.h.MaxImage {
		return fileTooLarge(at.Param, fetchedImages*a.h.MaxImage, "max_image")
	}
	return nil
}
