package emulator

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The storage as the site's answers name it, unless [StorageOptions] says
// otherwise.
const (
	defaultBucket   = "qwen-webui-prod"
	defaultRegion   = "oss-ap-southeast-1"
	defaultEndpoint = "oss-accelerate.aliyuncs.com"
	defaultLife     = time.Hour
)

// errStorageClosed ends waiting for something that will not happen any more.
var errStorageClosed = errors.New("emulator: the storage was closed")

// StorageOptions configures a [Storage]. The zero value is the storage of the
// real site.
type StorageOptions struct {
	// Bucket is the only bucket. Default: qwen-webui-prod.
	Bucket string

	// Region is the region as the site names it, with the prefix `oss-`, which
	// does not belong into signatures. Default: oss-ap-southeast-1.
	Region string

	// Endpoint is the host, without the bucket, that the site names. Default:
	// oss-accelerate.aliyuncs.com.
	Endpoint string

	// Life is how long grants are good. Default: 1 hour.
	Life time.Duration

	// Discard keeps of each object its size and its CRC-64 only, so that
	// benchmarks can store more than there is memory. Such objects cannot be
	// read, and their ETags are not MD5 sums.
	Discard bool

	// NoRecord switches off [Storage.Requests].
	NoRecord bool
}

// Storage emulates an object storage of Alibaba Cloud (OSS) with one bucket.
// It is an [http.Handler] that serves both path style addresses
// (`http://127.0.0.1:1234/bucket/key`) and virtual host style ones
// (`http://bucket.host/key`). It verifies every signature (version 4 only, in
// headers, in the query and in form policies) and knows the operations
// PutObject, PostObject, GetObject, HeadObject and those of multipart uploads.
// Its methods may be called by several goroutines at once, also while requests
// are being answered.
type Storage struct {
	options StorageOptions
	scoped  string // region as it stands in signatures
	done    chan struct{}
	close   sync.Once

	mu       sync.Mutex
	changed  chan struct{} // closed at the next change; nil while nobody waits
	clock    func() time.Time
	skew     time.Duration
	address  string // base URL, empty while unknown
	endpoint string
	grants   map[string]*grant // by access key id
	tokens   map[string]string // access key id by security token
	objects  map[string]*object
	uploads  map[string]*upload
	seq      int // of objects and uploads
	requests []*StorageRequest
	faults   []*plannedFault
}

// NewStorage returns a storage without objects.
func NewStorage(o StorageOptions) *Storage {
	setDefault(&o.Bucket, defaultBucket)
	setDefault(&o.Region, defaultRegion)
	setDefault(&o.Endpoint, defaultEndpoint)
	setDefault(&o.Life, defaultLife)
	return &Storage{
		options:  o,
		scoped:   strings.TrimPrefix(o.Region, "oss-"),
		done:     make(chan struct{}),
		clock:    time.Now,
		endpoint: o.Endpoint,
		grants:   make(map[string]*grant),
		tokens:   make(map[string]string),
		objects:  make(map[string]*object),
		uploads:  make(map[string]*upload),
	}
}

func setDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Close ends everything that a [Fault] holds open and everyone who waits. It
// may be called more than once; the storage keeps answering.
func (s *Storage) Close() {
	s.close.Do(func() { close(s.done) })
}

// Bucket returns the name of the bucket.
func (s *Storage) Bucket() string { return s.options.Bucket }

// Region returns the region as the site names it, with the prefix `oss-`.
func (s *Storage) Region() string { return s.options.Region }

// Endpoint returns the endpoint that the site names in its grants.
func (s *Storage) Endpoint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endpoint
}

// SetEndpoint makes the site name another endpoint in its grants, of any form.
// An empty one restores that of the options.
func (s *Storage) SetEndpoint(endpoint string) {
	setDefault(&endpoint, s.options.Endpoint)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoint = endpoint
}

// Address returns the URL of [Storage.SetAddress].
func (s *Storage) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// SetAddress tells the storage under which URL it is served, such as
// `http://127.0.0.1:40123`. Links to objects lead there then, in path style;
// without it they lead to the virtual host of the bucket at the endpoint of
// the options. A [StorageServer] and a [Server] call it. The URL must have no
// path.
func (s *Storage) SetAddress(base string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.address = strings.TrimSuffix(base, "/")
}

// SetClock replaces the clock of the storage; nil restores the real one.
func (s *Storage) SetClock(now func() time.Time) {
	if now == nil {
		now = time.Now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = now
}

// SetSkew makes the clock of the storage go ahead by that much, or behind if
// it is negative.
func (s *Storage) SetSkew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// now returns what the clock of the storage shows.
func (s *Storage) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock().Add(s.skew).UTC()
}

// notify wakes up everyone in Await. It is called with the lock held.
func (s *Storage) notify() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Await waits until the condition holds, or until the context ends or the
// storage is closed, and returns nil in the first case only. The condition is
// checked at first and after every change of an object, an upload or a record;
// it may call the methods of the storage.
func (s *Storage) Await(ctx context.Context, condition func() bool) error {
	return await(ctx, s.done, errStorageClosed, s.nextChange, condition)
}

// AwaitOpenUploads waits until exactly n multipart uploads are open.
func (s *Storage) AwaitOpenUploads(ctx context.Context, n int) error {
	return s.Await(ctx, func() bool { return s.OpenUploads() == n })
}

func (s *Storage) nextChange() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// place is what the address of a request means.
type place struct {
	bucket, key string
	virtual     bool // the bucket is in the host name
}

// locate reads the address of a request.
func (s *Storage) locate(r *http.Request) (place, error) {
	host := strings.ToLower((&url.URL{Host: r.Host}).Hostname())
	if rest, found := strings.CutPrefix(host, s.options.Bucket+"."); found && rest != "" {
		return place{bucket: s.options.Bucket, key: strings.TrimPrefix(r.URL.Path, "/"), virtual: true}, nil
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if domain, found := strings.CutSuffix(host, ".aliyuncs.com"); found {
		if strings.Contains(domain, ".") {
			return place{}, noSuchBucket
		}
		return place{bucket: bucket, key: key}, secondLevelDomain
	}
	p := place{bucket: bucket, key: key}
	switch bucket {
	case s.options.Bucket:
		return p, nil
	case "":
		return p, listingDenied
	}
	return p, noSuchBucket
}

// Interface guard
var _ http.Handler = (*Storage)(nil)
