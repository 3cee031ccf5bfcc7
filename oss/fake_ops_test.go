package oss

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash/crc64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// locate finds out bucket, key and operation.
func (f *fake) locate(c *fakeCall) bool {
	path := c.req.URL.Path
	if rest, virtual := strings.CutPrefix(c.req.Host, f.grant.Bucket+"."); !virtual || rest == "" {
		var ok bool
		if path, ok = strings.CutPrefix(path, "/"+f.grant.Bucket); !ok {
			return false
		}
	}
	c.key = strings.TrimPrefix(path, "/")
	c.part, _ = strconv.Atoi(c.query.Get("partNumber"))
	c.op = map[string]string{
		"POST uploads": "initiate", "PUT partNumber": "part", "POST uploadId": "complete",
		"DELETE uploadId": "abort", "HEAD ": "head", "PUT ": "put", "POST ": "post",
	}[c.req.Method+" "+f.kind(c.query)]
	return c.op != "" && (c.key == "") == (c.op == "post")
}

func (f *fake) kind(q url.Values) string {
	for _, name := range []string{"uploads", "partNumber", "uploadId"} {
		if q.Has(name) {
			return name
		}
	}
	return ""
}

// execute does what the request asks for.
func (f *fake) execute(h http.Header, c *fakeCall) (status int, code string) {
	switch c.op {
	case "put":
		f.store(h, c.key, fakeObject{c.body, c.req.Header.Get("Content-Type")})
	case "post":
		return f.post(h, c)
	case "head":
		o, ok := f.objects[c.key]
		if !ok {
			return 404, "NoSuchKey"
		}
		f.describe(h, o.data)
		h.Set("Content-Length", strconv.Itoa(len(o.data)))
	case "initiate":
		f.opened++
		id := fmt.Sprintf("UP%d", f.opened)
		f.uploads[id] = &fakeUpload{c.key, c.req.Header.Get("Content-Type"), map[int][]byte{}}
		h.Set("X-Id", id)
	default:
		return f.executeUpload(h, c)
	}
	return 200, ""
}

func (f *fake) executeUpload(h http.Header, c *fakeCall) (status int, code string) {
	id := c.query.Get("uploadId")
	up := f.uploads[id]
	if up == nil || up.key != c.key {
		return 404, "NoSuchUpload"
	}
	switch c.op {
	case "part":
		if c.part < 1 || c.part > 10000 {
			return 400, "InvalidArgument"
		}
		up.parts[c.part] = c.body
		f.describe(h, c.body)
	case "abort":
		delete(f.uploads, id)
		return 204, ""
	case "complete":
		return f.complete(h, c, id, up)
	}
	return 200, ""
}

func (f *fake) complete(h http.Header, c *fakeCall, id string, up *fakeUpload) (status int, code string) {
	var list struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if xml.Unmarshal(c.body, &list) != nil || len(list.Part) == 0 {
		return 400, "MalformedXML"
	}
	var data []byte
	for i, p := range list.Part {
		part, ok := up.parts[p.PartNumber]
		if !ok || p.ETag != etag(part) || p.PartNumber != i+1 {
			return 400, "InvalidPart"
		}
		if len(part) < minPart && i < len(list.Part)-1 && !f.drop {
			return 400, "EntityTooSmall"
		}
		data = append(data, part...)
	}
	delete(f.uploads, id)
	f.store(h, c.key, fakeObject{data, up.ctype})
	return 200, ""
}

func (f *fake) store(h http.Header, key string, o fakeObject) {
	f.objects[key] = o
	f.describe(h, o.data)
}

// describe sets the headers that tell what was received. Of a discarded body only
// the checksum is left.
func (f *fake) describe(h http.Header, data []byte) {
	h.Set("ETag", etag(data))
	crc := strconv.FormatUint(crc64.Checksum(data, crcTable), 10)
	if f.drop {
		crc = string(data)
	}
	h.Set("x-oss-hash-crc64ecma", crc)
}

func etag(data []byte) string {
	sum := md5.Sum(data)
	return `"` + strings.ToUpper(hex.EncodeToString(sum[:])) + `"`
}
