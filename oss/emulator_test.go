package oss

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	sdkcredentials "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"

	"github.com/caddy-qwen/caddy-qwen/internal/emulator"
)

// mustStorage starts an emulated storage and returns it with a client of it.
func mustStorage(t testing.TB, o emulator.StorageOptions) (*emulator.Storage, string, *Client) {
	t.Helper()
	s := emulator.NewStorage(o)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return s, server.URL, &Client{
		Transport: transport, Endpoint: u, PartSize: minPart, backoff: func(int) time.Duration { return 0 },
	}
}

// granted returns a grant of the emulated storage.
func granted(s *emulator.Storage, key string) Grant {
	g := s.Grant(key)
	return Grant{
		AccessKeyID: g.AccessKeyID, AccessKeySecret: g.AccessKeySecret, SecurityToken: g.SecurityToken,
		Endpoint: s.Endpoint(), Region: s.Region(), Bucket: s.Bucket(), Key: key,
	}
}

// mustBeStored compares what the emulated storage holds with the data.
func mustBeStored(t testing.TB, s *emulator.Storage, key string, data []byte) {
	t.Helper()
	sum := sha256.Sum256(data)
	o, ok := s.Object(key)
	if !ok || o.SHA256 != hex.EncodeToString(sum[:]) || o.ContentType != "image/png" {
		t.Errorf("stored: %v, %v", ok, o)
	}
	if n := s.OpenUploads(); n != 0 {
		t.Errorf("%d uploads are open", n)
	}
}

var hardKeys = []string{
	"user/plain.png", "a b+c%41/ü 图🖼.png", "q?a=b&c#d;e,f", `quo"te'<&>`, "line\r\nbreak", "a//b/../c", "$&+:=@!*()",
}

func TestEmulatorTakesOurUploads(t *testing.T) {
	for _, method := range []Method{PostForm, MultipartUpload, PutObject} {
		for _, key := range hardKeys {
			t.Run(fmt.Sprintf("%v/%q", method, key), func(t *testing.T) {
				s, _, c := mustStorage(t, emulator.StorageOptions{})
				data := testData(3*minPart + 11)
				if err := c.Upload(t.Context(), granted(s, key), testObject(data), []Method{method}, nil); err != nil {
					t.Fatal(err)
				}
				mustBeStored(t, s, key, data)
				for _, r := range s.Requests() {
					if r.Code != "" || r.Virtual {
						t.Errorf("%v", r)
					}
				}
			})
		}
	}
}

func TestEmulatorFaults(t *testing.T) {
	cases := map[string]struct {
		op     string
		method Method
		fault  emulator.Fault
	}{
		"U19 part 5xx":        {emulator.OpPart, MultipartUpload, emulator.Fault{Status: 503}},
		"U19 part reset":      {emulator.OpPart, MultipartUpload, emulator.Fault{Reset: true}},
		"part cut":            {emulator.OpPart, MultipartUpload, emulator.Fault{Cut: 50_000}},
		"U20 part flipped":    {emulator.OpPart, MultipartUpload, emulator.Fault{Flip: true}},
		"U20 part wrong CRC":  {emulator.OpPart, MultipartUpload, emulator.Fault{WrongCRC: true}},
		"U21 complete lost":   {emulator.OpComplete, MultipartUpload, emulator.Fault{Drop: true, Late: true}},
		"U21 complete failed": {emulator.OpComplete, MultipartUpload, emulator.Fault{Drop: true}},
		"complete flipped":    {emulator.OpComplete, MultipartUpload, emulator.Fault{Flip: true}},
		"form reset":          {emulator.OpPost, PostForm, emulator.Fault{Reset: true}},
		"U20 form flipped":    {emulator.OpPost, PostForm, emulator.Fault{Flip: true}},
		"U20 object flipped":  {emulator.OpPut, PutObject, emulator.Fault{Flip: true}},
		"object lost":         {emulator.OpPut, PutObject, emulator.Fault{Drop: true, Late: true}},
		"abort after refusal": {emulator.OpComplete, MultipartUpload, emulator.Fault{Status: 403, Code: "AccessDenied"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, _, client := mustStorage(t, emulator.StorageOptions{})
			s.Fail(c.op, 1, c.fault)
			data := testData(3 * minPart)
			err := client.Upload(t.Context(), granted(s, "k"), testObject(data), []Method{c.method, PutObject}, nil)
			if err != nil {
				t.Fatal(err)
			}
			mustBeStored(t, s, "k", data)
		})
	}
}

func TestEmulatorClock(t *testing.T) {
	for _, skew := range []time.Duration{time.Hour * 3, -3 * time.Hour} {
		for _, method := range []Method{PostForm, MultipartUpload, PutObject} {
			s, _, c := mustStorage(t, emulator.StorageOptions{})
			s.SetSkew(skew)
			data := testData(2 * minPart)
			if err := c.Upload(t.Context(), granted(s, "k"), testObject(data), []Method{method}, nil); err != nil {
				t.Errorf("U17 %v by %v: %v", skew, method, err)
				continue
			}
			mustBeStored(t, s, "k", data)
		}
	}
}

func TestEmulatorExpiry(t *testing.T) {
	for _, method := range []Method{PostForm, MultipartUpload, PutObject} {
		s, _, c := mustStorage(t, emulator.StorageOptions{})
		g := granted(s, "k")
		s.ExpireGrants()
		mustFail(t, c.Upload(t.Context(), g, testObject(testData(9)), []Method{method, PutObject}, nil), KindExpired)
	}
}

func TestEmulatorCancelled(t *testing.T) {
	s, _, c := mustStorage(t, emulator.StorageOptions{})
	s.Fail(emulator.OpPart, 3, emulator.Fault{Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- c.Upload(ctx, granted(s, "k"), testObject(testData(5*minPart)), []Method{MultipartUpload}, nil)
	}()
	hanging := func() bool {
		for _, r := range s.Requests() {
			if r.Op == emulator.OpPart && r.Faulty {
				return true
			}
		}
		return false
	}
	if err := s.Await(t.Context(), hanging); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := s.OpenUploads(); n != 0 {
		t.Errorf("%d uploads are open", n)
	}
}

// sdkClient returns a client of the official SDK with the grant's keys.
func sdkClient(t testing.TB, address string, g Grant) *sdk.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	return sdk.NewClient(sdk.LoadDefaultConfig().
		WithCredentialsProvider(sdkcredentials.NewStaticCredentialsProvider(g.AccessKeyID, g.AccessKeySecret, g.SecurityToken)).
		WithRegion(strings.TrimPrefix(g.Region, "oss-")).WithEndpoint(address).
		WithHttpClient(&http.Client{Transport: transport}))
}

func TestEmulatorTakesTheSDK(t *testing.T) {
	data := testData(3*minPart + 5)
	for _, key := range hardKeys {
		t.Run(fmt.Sprintf("%q", key), func(t *testing.T) {
			s, address, _ := mustStorage(t, emulator.StorageOptions{})
			g := granted(s, key)
			client := sdkClient(t, address, g)
			put := &sdk.PutObjectRequest{
				Bucket: &g.Bucket, Key: &g.Key, ContentType: sdk.Ptr("image/png"), Body: bytes.NewReader(data),
			}
			if _, err := client.PutObject(t.Context(), put); err != nil {
				t.Fatal(err)
			}
			mustBeStored(t, s, key, data)
			s.Remove(key)
			uploader := sdk.NewUploader(client, func(o *sdk.UploaderOptions) { o.PartSize = minPart })
			put.Body = nil
			if _, err := uploader.UploadFrom(t.Context(), put, bytes.NewReader(data)); err != nil {
				t.Fatal(err)
			}
			mustBeStored(t, s, key, data)
			if o, _ := s.Object(key); o.Parts != 4 {
				t.Errorf("%d parts", o.Parts)
			}
		})
	}
}

// TestSDKReadsWhatWeStore lets the SDK compare object and checksum.
func TestSDKReadsWhatWeStore(t *testing.T) {
	s, address, c := mustStorage(t, emulator.StorageOptions{})
	g := granted(s, "a b+c%/ü.png")
	data := testData(2 * minPart)
	if err := c.Upload(t.Context(), g, testObject(data), []Method{MultipartUpload}, nil); err != nil {
		t.Fatal(err)
	}
	head, err := sdkClient(t, address, g).HeadObject(t.Context(), &sdk.HeadObjectRequest{Bucket: &g.Bucket, Key: &g.Key})
	if err != nil {
		t.Fatal(err)
	}
	if head.ContentLength != int64(len(data)) || sdk.ToString(head.HashCRC64) != fmt.Sprint(testObject(data).CRC64) {
		t.Errorf("%d bytes, checksum %s", head.ContentLength, sdk.ToString(head.HashCRC64))
	}
}
