package oss

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"
)

// maxSingle is the most that one request may carry.
const maxSingle = 5 << 30

// An upload is one call of Upload.
type upload struct {
	c      *Client
	g      Grant
	o      Object
	keys   credentials
	to     target
	method Method // the one being tried
	meter  meter
}

// Upload stores the object under the grant's key. It tries the methods in the
// given order and goes on to the next only if the storage refused the one before
// as such. It returns nil only if the storage confirmed size and CRC-64 of the
// object; every other error is an [*Error].
//
// progress, which may be nil, is told how many bytes have been handed to the
// network. It is called from several goroutines, but never by two at a time, and
// must return soon; with the next method its count starts over.
//
// When ctx ends, Upload returns after at most about three seconds, of which it
// uses what it needs to leave no open multipart upload behind.
func (c *Client) Upload(ctx context.Context, g Grant, o Object, methods []Method, progress func(sent int64)) error {
	u := &upload{c: c, g: g, o: o, meter: meter{tell: progress}}
	if err := u.prepare(); err != nil {
		return err
	}
	last := &Error{Kind: KindRefused, Err: errors.New("no method to upload it was chosen")}
	for i, m := range methods {
		u.method = m
		u.meter.begin()
		err := u.run(ctx)
		if err == nil {
			u.meter.finish(o.Size)
			return nil
		}
		if i > 0 {
			err.earlier = last
		}
		if last = err; err.next != fallBack || ctx.Err() != nil {
			break
		}
	}
	return last
}

// run uploads the object by the current method.
func (u *upload) run(ctx context.Context) *Error {
	switch u.method {
	case PostForm:
		return u.postForm(ctx)
	case MultipartUpload:
		return u.multipart(ctx)
	case PutObject:
		return u.putObject(ctx)
	}
	return u.refuse("there is no such method")
}

// refuse returns an error for what this method cannot do; another one may.
func (u *upload) refuse(why string) *Error {
	return u.fail("", &Error{Kind: KindRefused, next: fallBack, Err: errors.New(why)})
}

// prepare checks everything that can be checked before something is sent.
func (u *upload) prepare() error {
	if err := u.prepareTarget(); err != nil {
		return err
	}
	if err := u.prepareGrant(); err != nil {
		return err
	}
	return u.prepareObject()
}

func (u *upload) prepareTarget() error {
	untrusted := func(host, why string) error {
		return &Error{Kind: KindUntrusted, Op: "check the grant", Host: printable(host, 100), Err: errors.New(why)}
	}
	if !plainBucket(u.g.Bucket) {
		return untrusted("", "the name of the bucket is not valid")
	}
	var ok bool
	if u.c.Endpoint != nil {
		if u.to, ok = ownTarget(u.c.Endpoint, u.g.Bucket); !ok {
			return untrusted(u.c.Endpoint.Host, "the endpoint set by the owner must be scheme and host only")
		}
		return nil
	}
	if u.to, ok = grantTarget(u.g); !ok {
		return untrusted(bareHost(u.g.Endpoint), "only https to hosts under aliyuncs.com is allowed")
	}
	return nil
}

// bareHost returns of an endpoint what may be shown: no user, path or query.
func bareHost(endpoint string) string {
	if _, rest, found := strings.Cut(endpoint, "://"); found {
		endpoint = rest
	}
	if i := strings.IndexAny(endpoint, "/?#\\"); i >= 0 {
		endpoint = endpoint[:i]
	}
	return endpoint[strings.LastIndexByte(endpoint, '@')+1:]
}

func (u *upload) prepareGrant() error {
	bad := func(why string) error {
		return &Error{Kind: KindBadResponse, Op: "check the grant", Host: u.to.host, Err: errors.New(why)}
	}
	g := u.g
	region := strings.TrimPrefix(g.Region, "oss-")
	u.keys = credentials{g.AccessKeyID, g.AccessKeySecret, g.SecurityToken, region}
	switch {
	case g.AccessKeyID == "" || g.AccessKeySecret == "":
		return bad("the grant has no keys")
	case !plainText(g.AccessKeyID) || !plainText(g.AccessKeySecret) || !plainText(g.SecurityToken):
		return bad("the keys of the grant contain characters that keys do not have")
	case !plainLabel(region):
		return bad("the grant names no valid region")
	case g.Key == "" || len(g.Key) > 1023 || !utf8.ValidString(g.Key) || g.Key[0] == '/' || g.Key[0] == '\\':
		return bad("the grant names no valid key")
	}
	return nil
}

func (u *upload) prepareObject() error {
	refused := func(why string) error {
		return &Error{Kind: KindRefused, Op: "check the object", Host: u.to.host, Err: errors.New(why)}
	}
	if u.o.ContentType == "" {
		u.o.ContentType = "application/octet-stream"
	}
	switch {
	case u.o.Size < 0 || u.o.Size > 0 && u.o.Body == nil:
		return refused("the object has no body or no size")
	case !plainText(u.o.ContentType):
		return refused("the content type contains line breaks or characters outside ASCII")
	}
	return nil
}

// plainText tells whether s is printable ASCII, blanks only within it.
func plainText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return strings.TrimSpace(s) == s
}
