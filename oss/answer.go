package oss

import (
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxAnswer is the most that is read of an answer; real ones are below 4 KiB.
const maxAnswer = 256 << 10

// Codes the storage's errors are told apart by.
const (
	codeSkewed   = "RequestTimeTooSkewed"
	codeNoUpload = "NoSuchUpload"
)

// An answer is the storage's answer to one request.
type answer struct {
	status int
	header http.Header
	length int64 // of the object, in an answer to HEAD
	data   []byte
	crc    uint64 // of the section as sent
}

// readAnswer reads an answer to its end, or to the limit.
func readAnswer(res *http.Response) (*answer, error) {
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	a := &answer{status: res.StatusCode, header: res.Header, length: res.ContentLength, data: data}
	return a, err
}

func (a *answer) ok() bool { return a.status/100 == 2 }

// A problem is the storage's description of an error.
type problem struct {
	XMLName    xml.Name
	Code       string
	RequestID  string `xml:"RequestId"`
	EC         string
	ServerTime string
}

// problem returns the description in an answer, empty if there is none. Answers
// to HEAD have it in a header.
func (a *answer) problem() problem {
	data := a.data
	if len(data) == 0 {
		data, _ = base64.StdEncoding.DecodeString(a.header.Get("x-oss-err"))
	}
	p := parseProblem(data)
	if p.EC == "" {
		p.EC = printable(a.header.Get("x-oss-ec"), 64)
	}
	if p.RequestID == "" {
		p.RequestID = printable(a.header.Get("x-oss-request-id"), 64)
	}
	return p
}

// parseProblem reads the XML of an error, with or without a namespace. What is
// not such XML gives an empty problem. No text in it can be long or forge lines.
func parseProblem(data []byte) problem {
	var p problem
	if err := xml.Unmarshal(data, &p); err != nil || p.XMLName.Local != "Error" {
		return problem{}
	}
	return problem{
		Code:       printable(strings.TrimSpace(p.Code), 64),
		RequestID:  printable(strings.TrimSpace(p.RequestID), 64),
		EC:         printable(strings.TrimSpace(p.EC), 64),
		ServerTime: printable(strings.TrimSpace(p.ServerTime), 64),
	}
}

// checksum returns the CRC-64 of what the storage holds, if it tells.
func (a *answer) checksum() (uint64, bool) {
	crc, err := strconv.ParseUint(a.header.Get("x-oss-hash-crc64ecma"), 10, 64)
	return crc, err == nil
}

// refusal translates an answer that is no success by the retry table.
func (a *answer) refusal() *Error {
	p := a.problem()
	e := &Error{Status: a.status, Code: p.Code, EC: p.EC, RequestID: p.RequestID}
	e.Kind, e.next = judge(a.status, p.Code)
	return e
}

// judge is the retry table.
func judge(status int, code string) (Kind, step) {
	switch code {
	case "SecurityTokenExpired", "InvalidAccessKeyId", "InvalidSecurityToken",
		"AccessKeyIdAndSecurityTokenNotMatch":
		return KindExpired, stop
	case codeNoUpload:
		return KindRefused, restart
	case codeSkewed:
		return KindRefused, stop // unless the clock can be learnt, see Client.learn
	case "InvalidDigest", "BadDigest":
		return KindMismatch, repeat
	}
	switch {
	case status == http.StatusNotImplemented:
		return KindRefused, fallBack
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return KindUnavailable, repeat
	case status >= 400:
		return KindRefused, fallBack
	}
	return KindBadResponse, stop // a redirect, or a status that does not belong here
}
