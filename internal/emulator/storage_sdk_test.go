package emulator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
)

// mustStorage starts a storage that ends with the test.
func mustStorage(t testing.TB, o StorageOptions) *StorageServer {
	t.Helper()
	srv, err := NewStorageServer(NewStorage(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return srv
}

// plainClient returns an HTTP client whose connections end with the test.
func plainClient(t testing.TB) *http.Client {
	t.Helper()
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// sdkClient is the vendor's own client with a grant of the storage.
func sdkClient(t testing.TB, srv *StorageServer, g Grant) *oss.Client {
	t.Helper()
	cfg := oss.LoadDefaultConfig().
		WithRegion(strings.TrimPrefix(srv.Region(), "oss-")).
		WithEndpoint(srv.URL()).
		WithHttpClient(plainClient(t)).
		WithRetryMaxAttempts(1).
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider(g.AccessKeyID, g.AccessKeySecret, g.SecurityToken))
	return oss.NewClient(cfg)
}

// noise of a given length that does not repeat.
func pattern(n int) []byte {
	b := make([]byte, n)
	state := uint32(2463534242)
	for i := range b {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		b[i] = byte(state)
	}
	return b
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// oddKeys are keys with everything that has to be encoded.
var oddKeys = []string{
	"u/f_photo.png", "u/f_a b+c%20d&e=f?g#h.png", "u/f_相片 (1).jpg", "u/f_~!*'();:@,$[]", "u//f_.././x", "u/f_\"<\\>\u202e", "u/f_\x7f\t",
}

func TestSDKPutAndRead(t *testing.T) {
	for _, key := range oddKeys {
		t.Run(key, func(t *testing.T) {
			srv := mustStorage(t, StorageOptions{})
			c := sdkClient(t, srv, srv.Grant(key))
			body := pattern(200_001)
			put, err := c.PutObject(t.Context(), &oss.PutObjectRequest{
				Bucket: oss.Ptr(srv.Bucket()), Key: oss.Ptr(key), Body: bytes.NewReader(body), ContentType: oss.Ptr("image/png"),
			})
			if err != nil {
				t.Fatal(err)
			}
			o, found := srv.Object(key)
			if !found || !bytes.Equal(o.Body, body) || o.SHA256 != sha(body) || o.Size != 200_001 || o.ContentType != "image/png" || o.Op != OpPut {
				t.Fatalf("stored %v", o)
			}
			if *put.ETag != o.ETag || *put.HashCRC64 != strconv.FormatUint(o.CRC64, 10) {
				t.Errorf("answered %s %s", *put.ETag, *put.HashCRC64)
			}
			head, err := c.HeadObject(t.Context(), &oss.HeadObjectRequest{Bucket: oss.Ptr(srv.Bucket()), Key: oss.Ptr(key)})
			if err != nil || head.ContentLength != 200_001 || *head.ContentType != "image/png" || *head.ETag != o.ETag {
				t.Errorf("HEAD %v %v", head, err)
			}
			got, err := c.GetObject(t.Context(), &oss.GetObjectRequest{Bucket: oss.Ptr(srv.Bucket()), Key: oss.Ptr(key)})
			if err != nil {
				t.Fatal(err)
			}
			defer got.Body.Close()
			if b, err := io.ReadAll(got.Body); err != nil || !bytes.Equal(b, body) {
				t.Errorf("GET: %d bytes, %v", len(b), err)
			}
		})
	}
}

func TestSDKMultipart(t *testing.T) {
	for _, size := range []int{1, 100 << 10, 300<<10 + 7, 3<<20 + 1} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			srv := mustStorage(t, StorageOptions{})
			const key = "u/f_相片 +.mp4"
			c := sdkClient(t, srv, srv.Grant(key))
			up := oss.NewUploader(c, func(o *oss.UploaderOptions) { o.PartSize, o.ParallelNum = 128<<10, 3 })
			body := pattern(size)
			// What cannot seek goes up in parts whatever its size.
			_, err := up.UploadFrom(t.Context(), &oss.PutObjectRequest{
				Bucket: oss.Ptr(srv.Bucket()), Key: oss.Ptr(key), ContentType: oss.Ptr("video/mp4"),
			}, io.MultiReader(bytes.NewReader(body)))
			if err != nil {
				t.Fatal(err)
			}
			o, _ := srv.Object(key)
			if o.SHA256 != sha(body) || o.ContentType != "video/mp4" || o.Op != OpComplete || o.Parts != (size+128<<10-1)/(128<<10) {
				t.Errorf("stored %v of %d parts", o, o.Parts)
			}
			if !strings.HasSuffix(o.ETag, "-"+strconv.Itoa(o.Parts)+`"`) {
				t.Errorf("ETag %s", o.ETag)
			}
			if n := srv.OpenUploads(); n != 0 {
				t.Errorf("%d uploads are open", n)
			}
		})
	}
}

func TestSDKListsParts(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	const key = "u/f_1+2.bin"
	c := sdkClient(t, srv, srv.Grant(key))
	bucket := oss.Ptr(srv.Bucket())
	begun, err := c.InitiateMultipartUpload(t.Context(), &oss.InitiateMultipartUploadRequest{Bucket: bucket, Key: oss.Ptr(key)})
	if err != nil || *begun.Key != key {
		t.Fatalf("%v %v", begun, err)
	}
	for _, n := range []int32{7, 2, 5} {
		_, err := c.UploadPart(t.Context(), &oss.UploadPartRequest{
			Bucket: bucket, Key: oss.Ptr(key), UploadId: begun.UploadId, PartNumber: n, Body: strings.NewReader(strings.Repeat("x", int(n))),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var numbers []int32
	pages := c.NewListPartsPaginator(&oss.ListPartsRequest{Bucket: bucket, Key: oss.Ptr(key), UploadId: begun.UploadId, MaxParts: 2})
	for pages.HasNext() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Parts {
			numbers = append(numbers, p.PartNumber)
			if int32(p.Size) != p.PartNumber || *p.ETag == "" || *p.HashCRC64 == "" {
				t.Errorf("part %+v", p)
			}
		}
	}
	if len(numbers) != 3 || numbers[0] != 2 || numbers[1] != 5 || numbers[2] != 7 {
		t.Errorf("parts %v", numbers)
	}
	if list := srv.Uploads(); len(list) != 1 || list[0].ID != *begun.UploadId || list[0].Key != key || list[0].Size != 14 || len(list[0].Parts) != 3 {
		t.Errorf("uploads %+v", list)
	}
	if _, err := c.AbortMultipartUpload(t.Context(), &oss.AbortMultipartUploadRequest{Bucket: bucket, Key: oss.Ptr(key), UploadId: begun.UploadId}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := srv.AwaitOpenUploads(ctx, 0); err != nil {
		t.Error(err)
	}
	_, err = c.ListParts(t.Context(), &oss.ListPartsRequest{Bucket: bucket, Key: oss.Ptr(key), UploadId: begun.UploadId})
	wantSDKError(t, err, 404, "NoSuchUpload", "")
}

// wantSDKError checks that the vendor's client understands a refusal.
func wantSDKError(t testing.TB, err error, status int, code, ec string) {
	t.Helper()
	var e *oss.ServiceError
	if !errors.As(err, &e) || e.StatusCode != status || e.Code != code || e.EC != ec || e.RequestID == "" {
		t.Errorf("error %v, want %d %s %s", err, status, code, ec)
	}
}

// Links are signed as the vendor's client signs them, and it can make links
// that the storage takes.
func TestSDKPresign(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	const key = "u/f_a b+c.txt"
	g := srv.Grant(key)
	c := sdkClient(t, srv, g)
	link, err := c.Presign(t.Context(), &oss.PutObjectRequest{Bucket: oss.Ptr(srv.Bucket()), Key: oss.Ptr(key), ContentType: oss.Ptr("text/plain")}, oss.PresignExpires(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequestWithContext(t.Context(), "PUT", link.URL, strings.NewReader("hello"))
	for name, value := range link.SignedHeaders {
		r.Header.Set(name, value)
	}
	http := plainClient(t)
	resp, err := http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if body := mustReadAll(t, resp); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	resp, err = http.Get(srv.Link(key, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if body := mustReadAll(t, resp); resp.StatusCode != 200 || body != "hello" || resp.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestSDKErrors(t *testing.T) {
	srv := mustStorage(t, StorageOptions{})
	const key = "u/f_x"
	c := sdkClient(t, srv, srv.Grant(key))
	head := func() error {
		_, err := c.HeadObject(t.Context(), &oss.HeadObjectRequest{Bucket: oss.Ptr(srv.Bucket()), Key: oss.Ptr(key)})
		return err
	}
	wantSDKError(t, head(), 404, "NoSuchKey", "0026-00000001")
	_, err := c.PutObject(t.Context(), &oss.PutObjectRequest{Bucket: oss.Ptr(srv.Bucket()), Key: oss.Ptr("u/other"), Body: strings.NewReader("x")})
	wantSDKError(t, err, 403, "AccessDenied", "0003-00000001")
	srv.SetSkew(16 * time.Minute)
	wantSDKError(t, head(), 403, "RequestTimeTooSkewed", "0002-00000504")
	srv.SetSkew(0)
	srv.ExpireGrants()
	wantSDKError(t, head(), 403, "SecurityTokenExpired", "")
}

// The vendor's client notices what is wrong with the data.
func TestSDKNoticesCorruption(t *testing.T) {
	for name, f := range map[string]Fault{"wrong CRC": {WrongCRC: true}, "flipped bit": {Flip: true}} {
		t.Run(name, func(t *testing.T) {
			srv := mustStorage(t, StorageOptions{})
			c := sdkClient(t, srv, srv.Grant("k"))
			srv.Fail(OpPut, 1, f)
			put := func() error {
				_, err := c.PutObject(t.Context(), &oss.PutObjectRequest{Bucket: oss.Ptr(srv.Bucket()), Key: oss.Ptr("k"), Body: strings.NewReader("hello")})
				return err
			}
			if err := put(); err == nil || !strings.Contains(err.Error(), "crc") {
				t.Errorf("error %v", err)
			}
			if o, _ := srv.Object("k"); (string(o.Body) == "hello") != f.WrongCRC {
				t.Errorf("stored %q", o.Body)
			}
			if err := put(); err != nil {
				t.Errorf("the second call: %v", err)
			}
		})
	}
}
