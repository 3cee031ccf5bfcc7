package emulator

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
)

// storageError is a refusal of the storage, which becomes an XML document.
type storageError struct {
	status  int
	code    string
	message string
	ec      string      // the number of the exact cause; may be empty
	extra   [][2]string // further elements
}

// Error returns the code.
func (e *storageError) Error() string { return "storage: " + e.code }

func storageFailure(status int, code, message, ec string) *storageError {
	return &storageError{status: status, code: code, message: message, ec: ec}
}

func invalidArgument(message, ec string) *storageError {
	return storageFailure(http.StatusBadRequest, "InvalidArgument", message, ec)
}

func accessDenied(message, ec string) *storageError {
	return storageFailure(http.StatusForbidden, "AccessDenied", message, ec)
}

// with returns the error with one more element in its document.
func (e *storageError) with(name, value string) *storageError {
	c := *e
	c.extra = append(c.extra[:len(c.extra):len(c.extra)], [2]string{name, value})
	return &c
}

// The refusals that have no details.
var (
	noSuchBucket      = storageFailure(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist.", "0015-00000101")
	noSuchKey         = storageFailure(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.", "0026-00000001")
	noSuchUpload      = storageFailure(http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.", "")
	secondLevelDomain = storageFailure(http.StatusForbidden, "SecondLevelDomainForbidden", "The bucket you are attempting to access must be addressed using OSS third level domain.", "")
	listingDenied     = accessDenied("You have no right to list.", "0003-00000001")
	methodNotAllowed  = storageFailure(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.", "")
	notImplemented    = storageFailure(http.StatusNotImplemented, "NotImplemented", "A header or a parameter implies functionality that is not implemented.", "")
	lengthRequired    = storageFailure(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.", "")
	invalidName       = storageFailure(http.StatusBadRequest, "InvalidObjectName", "The specified object is not valid.", "")
	invalidDigest     = storageFailure(http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified was invalid.", "")
	malformedXML      = storageFailure(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.", "")
	malformedForm     = storageFailure(http.StatusBadRequest, "MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data.", "0006-00000103")
	invalidPart       = storageFailure(http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found or the specified entity tag might not have matched the part's entity tag.", "")
	invalidPartOrder  = storageFailure(http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order. The parts list must be specified in order by part number.", "")
	unknownKey        = storageFailure(http.StatusForbidden, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.", "0002-00000902")
	tokenMismatch     = storageFailure(http.StatusForbidden, "AccessKeyIdAndSecurityTokenNotMatch", "The AccessKeyId and the SecurityToken do not match.", "")
	invalidToken      = storageFailure(http.StatusForbidden, "InvalidSecurityToken", "The security token you provided is invalid.", "")
	tokenExpired403   = storageFailure(http.StatusForbidden, "SecurityTokenExpired", "The security token you provided has expired.", "")
	wrongSignature    = storageFailure(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.", "0002-00000201")
	bothSignatures    = invalidArgument("A request must be signed in its headers or in its query, not in both.", "")
)

// document returns the XML form of the error.
func (e *storageError) document(requestID, host string) []byte {
	var b strings.Builder
	b.WriteString(xml.Header + "<Error>\n")
	element := func(name, value string) {
		b.WriteString("  <" + name + ">")
		_ = xml.EscapeText(&b, []byte(value)) // a Builder takes everything
		b.WriteString("</" + name + ">\n")
	}
	element("Code", e.code)
	element("Message", e.message)
	element("RequestId", requestID)
	element("HostId", host)
	for _, x := range e.extra {
		element(x[0], x[1])
	}
	if e.ec != "" {
		element("EC", e.ec)
		element("RecommendDoc", "https://api.aliyun.com/troubleshoot?q="+e.ec)
	}
	b.WriteString("</Error>\n")
	return []byte(b.String())
}

// answer returns what the client gets. The answer to HEAD has no body: its
// document is in a header.
func (e *storageError) answer(c *storageCall) storageAnswer {
	doc := e.document(c.id, c.r.Host)
	a := storageAnswer{status: e.status, header: http.Header{"Content-Type": {"application/xml"}}}
	if e.ec != "" {
		a.header.Set("X-Oss-Ec", e.ec)
	}
	if c.r.Method == http.MethodHead {
		a.header.Set("X-Oss-Err", base64.StdEncoding.EncodeToString(doc))
		return a
	}
	a.body = doc
	return a
}

// storageAnswer is what a request is answered with.
type storageAnswer struct {
	status int
	header http.Header
	body   []byte
	object *object // its data is the body; body is empty then
}

// send writes an answer. The error says that the client is gone.
func (c *storageCall) send(a storageAnswer) error {
	h := c.w.Header()
	for name, values := range a.header {
		h[name] = values
	}
	h.Set("Server", "AliyunOSS")
	h.Set("X-Oss-Request-Id", c.id)
	h.Set("Date", c.now.Format(http.TimeFormat))
	if _, typed := a.header["Content-Type"]; !typed {
		h["Content-Type"] = nil // no guessing
	}
	if a.object == nil && a.status != http.StatusNoContent && c.r.Method != http.MethodHead {
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	c.w.WriteHeader(statusOK(a.status))
	if a.object == nil || c.r.Method == http.MethodHead {
		return c.write(a.body)
	}
	return a.object.data.each(c.write)
}

// write sends a piece of a body.
func (c *storageCall) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := c.w.Write(b)
	if err != nil {
		return errGone
	}
	return nil
}

// requestID returns 24 digits as the storage numbers its requests.
func requestID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToUpper(hex.EncodeToString(b[:]))
}
