package caddyqwen

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-qwen/caddy-qwen/oss"
	"github.com/caddy-qwen/caddy-qwen/qwen"
	"github.com/caddy-qwen/caddy-qwen/session"
)

const (
	// partsFrom is the size from which on files go up in parts. Videos always do.
	partsFrom = 5 << 20
	// tellFrom is the size from which on the progress of an upload is told.
	tellFrom = 8 << 20
	// grantTime is how long the site may take to grant an upload.
	grantTime = 30 * time.Second
	// parsePause is the pause between two questions whether a document has been
	// read, which grows up to parseMaxPause.
	parsePause    = 500 * time.Millisecond
	parseMaxPause = 2 * time.Second
)

// The stages of an upload, as errors name them.
const (
	stageGrant    = "upload grant"
	stageTransfer = "transfer to the storage"
	stageParse    = "reading of the document"
)

// uploadError says at which stage an upload has failed. It hides the cause from
// those who ask for failures of a chat.
type uploadError struct {
	stage string
	param string // names the file
	cause error
}

func (e *uploadError) Error() string { return e.stage + ": " + e.cause.Error() }

// errNotRead says that the site cannot read a document. The text is the site's.
type errNotRead struct{ reason string }

func (e *errNotRead) Error() string { return "the site cannot read the document" }

// errReadTooLong says that the site does not come to an end with a document.
var errReadTooLong = errors.New("the site takes too long to read the document")

// upload is one upload.
type upload struct {
	h       *Handler
	account *account
	files   *knownFiles
	*content
	param   string // names the file in errors
	purpose string // empty: it is not listed
	expires time.Duration
	// report is called with how much of a large file is there, in percent, unless it is
	// nil.
	report func(percent int)
}

// run has the site store the content, unless it has it already, and returns the
// file as it is known from then on. The URL of a new one is signed.
func (u *upload) run(ctx context.Context) (*session.File, string, error) {
	if u.purpose == "" { // a file of its own may be expected otherwise
		if same := u.files.same(ctx, u.account, u.content); same != nil {
			return same, same.URL, nil
		}
	}
	grant, err := u.transfer(ctx)
	if isExpired(err) {
		// A new grant is for another place: everything has to be sent again.
		infoOf(ctx).retried(retryUpload)
		grant, err = u.transfer(ctx)
	}
	if err != nil {
		return nil, "", err
	}
	if u.Kind.String() == qwen.FileDocument {
		if err := u.ended(ctx, stageParse, u.parse(ctx, grant.FileID)); err != nil {
			return nil, "", err
		}
	}
	f := u.record(grant)
	if err := u.files.add(ctx, u.account, *f); err != nil && u.purpose != "" {
		return nil, "", errNoSessions
	}
	return f, grant.URL, nil
}

// until returns when the file expires, or zero.
func (u *upload) until(now time.Time) time.Time {
	if u.expires <= 0 {
		return time.Time{}
	}
	return now.Add(u.expires)
}

// ended counts a stage that has ended, and names it in the error if it has failed.
func (u *upload) ended(ctx context.Context, stage string, err error) error {
	metrics.countUpload(ctx, stage, err)
	if err == nil {
		return nil
	}
	return &uploadError{stage: stage, param: u.param, cause: err}
}

func isExpired(err error) bool {
	var failed *uploadError
	var e *oss.Error
	return errors.As(err, &failed) && errors.As(failed.cause, &e) && e.Kind == oss.KindExpired
}

// transfer gets a grant and sends the content to the storage.
func (u *upload) transfer(ctx context.Context) (qwen.Grant, error) {
	grant, err := u.grant(ctx)
	if err != nil && passing(err) && sleep(ctx, reopenDelay+rand.N(reopenDelay)) == nil {
		infoOf(ctx).retried(retryGrant)
		grant, err = u.grant(ctx) // which does no harm
	}
	if err = u.ended(ctx, stageGrant, err); err != nil {
		return grant, err
	}
	defer u.h.logClock()
	err = u.h.storage.Upload(ctx, storageGrant(grant),
		oss.Object{Body: u.File, Size: u.Size(), CRC64: u.CRC64(), ContentType: u.MIME}, u.methods(), u.progress())
	if err = u.ended(ctx, stageTransfer, err); err != nil {
		return grant, err
	}
	metrics.uploadBytes.Add(float64(u.Size()))
	return grant, nil
}

func (u *upload) grant(ctx context.Context) (qwen.Grant, error) {
	return u.account.grant(ctx, u.name, u.Size(), u.Kind.String())
}

// grant gets an upload grant.
func (a *account) grant(ctx context.Context, name string, size int64, kind string) (g qwen.Grant, err error) {
	ctx, cancel := context.WithTimeout(ctx, grantTime)
	defer cancel()
	err = a.call(ctx, "", func(c *qwen.Client, cred qwen.Credential) error {
		g, err = c.GrantUpload(ctx, cred, name, size, kind)
		return err
	})
	return g, err
}

func storageGrant(g qwen.Grant) oss.Grant {
	return oss.Grant{
		AccessKeyID: g.AccessKeyID, AccessKeySecret: g.AccessKeySecret, SecurityToken: g.SecurityToken,
		Endpoint: g.Endpoint, Region: g.Region, Bucket: g.Bucket, Key: g.Path,
	}
}

// methods are the ways to send the content, the first of which that the storage
// accepts is taken.
func (u *upload) methods() []oss.Method {
	if u.Size() >= partsFrom || u.Kind.String() == qwen.FileVideo {
		return []oss.Method{oss.MultipartUpload, oss.PostForm, oss.PutObject}
	}
	return []oss.Method{oss.PostForm, oss.PutObject}
}

// progress returns what is called while the content is sent: each further tenth of
// a large file is logged and told.
func (u *upload) progress() func(sent int64) {
	if u.Size() <= tellFrom {
		return nil
	}
	const step = 10
	next := int64(step)
	return func(sent int64) {
		percent := sent * 100 / u.Size()
		if percent < next-step {
			next = step // another way begins
		}
		if percent < next {
			return
		}
		percent -= percent % step
		next = percent + step
		u.h.logger.Debug("uploading", zap.Int64("percent", percent), zap.Int64("bytes", u.Size()))
		if u.report != nil {
			u.report(int(percent))
		}
	}
}

// parse has the site read a document, and waits until it has.
func (u *upload) parse(ctx context.Context, fileID string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(u.h.IdleTimeout), errReadTooLong)
	defer cancel()
	err := u.account.call(ctx, "", func(c *qwen.Client, cred qwen.Credential) error {
		return c.Parse(ctx, cred, fileID)
	})
	for pause := parsePause; err == nil; pause = min(2*pause, parseMaxPause) {
		var state qwen.ParseState
		var reason string
		err = u.account.call(ctx, "", func(c *qwen.Client, cred qwen.Credential) error {
			state, reason, err = c.ParseStatus(ctx, cred, fileID)
			return err
		})
		switch {
		case err != nil && passing(err):
			err = sleep(ctx, pause) // it may be over when the next question is asked
		case err != nil:
		case state == qwen.ParseDone:
			return nil
		case state == qwen.ParseFailed:
			return &errNotRead{reason}
		default:
			err = sleep(ctx, pause)
		}
	}
	if cause := context.Cause(ctx); ctx.Err() != nil && errors.Is(cause, errReadTooLong) {
		return cause
	}
	return err
}

// sleep waits, unless the context ends before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// record is what is to be known of the file.
func (u *upload) record(g qwen.Grant) *session.File {
	now := time.Now()
	return &session.File{
		ID: g.FileID, Owner: g.UserID(), URL: qwen.WithoutSignature(g.URL), Name: u.name, MIME: u.MIME,
		Kind: u.Kind.String(), Purpose: u.purpose, Size: u.Size(), Hash: u.SHA256(),
		Created: now, Expires: u.until(now),
	}
}
