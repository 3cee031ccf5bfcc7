package oss

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// A Grant is what a token service hands out for one object. Its keys are secret;
// printing a Grant shows none of them.
type Grant struct {
	// AccessKeyID, AccessKeySecret and SecurityToken are the temporary keys. The
	// token is empty for permanent keys.
	AccessKeyID, AccessKeySecret, SecurityToken string

	// Endpoint is the storage's host, such as "oss-accelerate.aliyuncs.com". It may
	// come as an https URL, with port 443 and with the bucket in front.
	Endpoint string

	// Region is the bucket's region, such as "oss-ap-southeast-1", with or without
	// the prefix "oss-".
	Region string

	// Bucket is the bucket's name.
	Bucket string

	// Key is the object's name within the bucket, decoded: 1 to 1023 bytes of UTF-8
	// that do not begin with a slash or a backslash.
	Key string
}

// String names the object without the keys.
func (g Grant) String() string { return "grant for an object in " + printable(g.Bucket, 63) }

// GoString is String, so that no verb of fmt shows the keys.
func (g Grant) GoString() string { return g.String() }

// An Object is what is to be stored.
type Object struct {
	// Body holds the object. Several goroutines read it at the same time. It may be
	// nil if Size is 0.
	Body io.ReaderAt

	// Size is the number of bytes in Body.
	Size int64

	// CRC64 is the checksum of all bytes, with the polynomial crc64.ECMA.
	CRC64 uint64

	// ContentType is the MIME type the object is stored with, printable ASCII.
	// Empty means application/octet-stream.
	ContentType string
}

// A Method is a way to upload an object.
type Method uint8

// The methods.
const (
	// PostForm sends the object as the file of an HTML form, in one request whose
	// policy permits this object and size only. At most 5 GiB.
	PostForm Method = iota + 1
	// MultipartUpload sends parts in parallel and has them joined. Not for empty
	// objects.
	MultipartUpload
	// PutObject sends the object in one plain request. At most 5 GiB.
	PutObject
)

// String names the method in plain words; it is empty for the zero value.
func (m Method) String() string {
	switch m {
	case 0:
		return ""
	case PostForm:
		return "POST form"
	case MultipartUpload:
		return "multipart upload"
	case PutObject:
		return "PUT"
	}
	return "unknown method"
}

// A Client uploads objects. The zero value is ready for use. A Client may be used
// by several goroutines; its fields must not change after the first use, and it
// must not be copied.
type Client struct {
	// Transport carries the requests. Redirects are not followed, whatever it
	// does. nil means a transport of the Client's own: HTTP/1.1, the proxy of the
	// environment, compression off, idle connections closed after 90 s.
	Transport http.RoundTripper

	// Endpoint, if set, is used instead of the host of the grant: scheme and host,
	// nothing else. http is allowed here, and only here. If the host is an IP
	// address, the bucket goes into the path instead of the host name.
	Endpoint *url.URL

	// PartSize is the size in bytes of the parts of a multipart upload, at least
	// 100 KiB. It grows where 10,000 parts would not suffice. 0 means a sixteenth of
	// the object, between 1 MiB and 6 MiB.
	PartSize int64

	// Parallel is how many parts of one upload are sent at a time. 0 means 3.
	Parallel int

	// StallTimeout is how long a request may stand still while it is sent: until
	// the connection is there, and between two pieces of the body that the network
	// takes. There is no limit to the whole. 0 means 30 s.
	StallTimeout time.Duration

	// AnswerTimeout is how long the storage may take to answer after the last byte
	// of a request was handed to the network. 0 means 60 s.
	AnswerTimeout time.Duration

	once  sync.Once
	own   *http.Transport
	clock clock

	// What tests replace; zero values mean the real thing.
	now     func() time.Time
	backoff func(attempt int) time.Duration
}

// ClockOffset returns how far the storage's clock was ahead of ours when it last
// refused a request because of that; 0 if it never did. Requests are signed with
// the storage's time.
func (c *Client) ClockOffset() time.Duration { return c.clock.offset() }

// CloseIdleConnections closes the connections that the Client's own transport
// keeps for later. A Transport given by the owner is left alone.
func (c *Client) CloseIdleConnections() {
	c.ownTransport().CloseIdleConnections()
}

// transport returns what carries the requests.
func (c *Client) transport() http.RoundTripper {
	if c.Transport != nil {
		return c.Transport
	}
	return c.ownTransport()
}

func (c *Client) ownTransport() *http.Transport {
	c.once.Do(func() {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		c.own = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			Protocols:           protocols,
			DisableCompression:  true,
			MaxIdleConnsPerHost: 2 * c.parallel(),
			IdleConnTimeout:     90 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second,
		}
	})
	return c.own
}

func (c *Client) parallel() int {
	if c.Parallel > 0 {
		return c.Parallel
	}
	return 3
}

func (c *Client) stallTimeout() time.Duration {
	if c.StallTimeout > 0 {
		return c.StallTimeout
	}
	return 30 * time.Second
}

func (c *Client) answerTimeout() time.Duration {
	if c.AnswerTimeout > 0 {
		return c.AnswerTimeout
	}
	return time.Minute
}

// localTime returns our own clock's time.
func (c *Client) localTime() time.Time {
	if c.now != nil {
		return c.now()
	}
	return time.Now()
}

// pause waits before the attempt that follows the given one, 0.2 to 2 s chosen by
// chance so that the parts of an upload do not come back all at once.
func (c *Client) pause(ctx context.Context, attempt int) {
	d := jitter(attempt)
	if c.backoff != nil {
		d = c.backoff(attempt)
	}
	sleep(ctx, d)
}

// jitter returns a random pause between 0.2 s and a limit that doubles with every
// attempt up to 2 s.
func jitter(attempt int) time.Duration {
	const low, high = 200 * time.Millisecond, 2 * time.Second
	limit := min(high, low<<min(attempt+1, 10))
	return low + rand.N(limit-low+1)
}

// sleep waits for d or the end of the context.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
