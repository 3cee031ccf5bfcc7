package filetype

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	gifimage "image/gif"
	jpegimage "image/jpeg"
	pngimage "image/png"
	"io"
	"strings"
	"testing"
)

// Beginnings of files whose contents do not matter.
var (
	ole          = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 600)
	windowsMedia = "\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9\x00\xAA\x00\x62\xCE\x6C\x00\x00"
)

// box is a box of the ISO base media format.
func box(name, content string) string {
	size := binary.BigEndian.AppendUint32(nil, uint32(8+len(content)))
	return string(size) + name + content
}

// track is a track that the given handler plays.
func track(handler string) string {
	return box("trak", box("mdia", box("hdlr", "\x00\x00\x00\x00\x00\x00\x00\x00"+handler+strings.Repeat("\x00", 13))))
}

func matroska(kind string) string {
	return "\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82" + string(rune(0x80 | len(kind)))[1:] + kind + "\x42\x87\x81\x04"
}

// oggPage is the first page of a stream, with one packet.
func oggPage(packet string) string {
	return "OggS\x00\x02" + strings.Repeat("\x00", 20) + "\x01" + string(rune(len(packet))) + packet + strings.Repeat("\x00", 10)
}

// mustZip packs files of the given names, with contents behind an equals sign.
func mustZip(t testing.TB, names ...string) string {
	t.Helper()
	return mustEncode(t, func(b *bytes.Buffer) error {
		w := zip.NewWriter(b)
		for _, name := range names {
			name, content, _ := strings.Cut(name, "=")
			file, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
			if err != nil {
				return err
			}
			if _, err := io.WriteString(file, content); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

func mustEncode(t testing.TB, encode func(*bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func mustDetect(t testing.TB, content, name, declared string, want Type) {
	t.Helper()
	got, err := Detect([]byte(content), int64(len(content)), name, declared)
	if err != nil || got != want {
		t.Errorf("%q, declared %q: %+v, %v; want %+v", name, declared, got, err, want)
	}
}

func mustBeUnknown(t testing.TB, err error) {
	t.Helper()
	if _, ok := errors.AsType[*UnknownError](err); !ok {
		t.Errorf("want an UnknownError, got %v", err)
	}
}

const svgFile = `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`

// samples are beginnings of files of the accepted types, by the usual names.
func samples(t testing.TB) map[string]sample {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, 2, 2))
	return map[string]sample{
		"photo.jpg":    {mustEncode(t, func(b *bytes.Buffer) error { return jpegimage.Encode(b, picture, nil) }), Image, "image/jpeg"},
		"photo.png":    {mustEncode(t, func(b *bytes.Buffer) error { return pngimage.Encode(b, picture) }), Image, "image/png"},
		"photo.gif":    {mustEncode(t, func(b *bytes.Buffer) error { return gifimage.Encode(b, picture, nil) }), Image, "image/gif"},
		"photo.webp":   {"RIFF\x24\x00\x00\x00WEBPVP8 \x18\x00\x00\x00\x30\x01\x00\x9d\x01\x2a", Image, "image/webp"},
		"photo.bmp":    {"BM\x3a\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00", Image, "image/bmp"},
		"photo.tiff":   {"II*\x00\x08\x00\x00\x00\x0e\x00", Image, "image/tiff"},
		"big-end.tiff": {"MM\x00*\x00\x00\x00\x08\x00\x0e", Image, "image/tiff"},
		"drawing.svg":  {svgFile, Image, "image/svg+xml"},

		"film.mp4":  {box("ftyp", "isom\x00\x00\x02\x00isomiso2avc1mp41") + box("free", ""), Video, "video/mp4"},
		"film.avi":  {"RIFF\x00\x10\x00\x00AVI LIST\x00\x00\x00\x00hdrlavih", Video, "video/x-msvideo"},
		"film.mov":  {box("ftyp", "qt  \x00\x00\x02\x00qt  ") + box("wide", ""), Video, "video/quicktime"},
		"film.webm": {matroska("webm"), Video, "video/webm"},
		"film.mkv":  {matroska("matroska"), Video, "video/x-matroska"},
		"film.wmv":  {windowsMedia, Video, "video/x-ms-wmv"},
		"film.flv":  {"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00", Video, "video/x-flv"},
		"film.m4v":  {box("ftyp", "M4V \x00\x00\x00\x01M4V mp42isom"), Video, "video/x-m4v"},
		"film.3gp":  {box("ftyp", "3gp5\x00\x00\x01\x003gp53gp4"), Video, "video/3gpp"},
		"film.m2ts": {strings.Repeat("\x00\x00\x00\x00G"+strings.Repeat("\x01", 187), 5), Video, "video/mp2t"},

		"song.mp3":  {"ID3\x04\x00\x00\x00\x00\x00\x23TSSE\x00\x00\x00\x0f\x00\x00\x03", Audio, "audio/mpeg"},
		"song.wav":  {"RIFF\x24\x08\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x02\x00", Audio, "audio/wav"},
		"song.m4a":  {box("ftyp", "M4A \x00\x00\x02\x00M4A isomiso2"), Audio, "audio/mp4"},
		"song.aac":  {"\xff\xf1\x50\x80\x02\x1f\xfc\x00\x00", Audio, "audio/aac"},
		"song.flac": {"fLaC\x00\x00\x00\x22\x10\x00\x10\x00", Audio, "audio/flac"},
		"song.ogg":  {oggPage("\x01vorbis\x00\x00\x00\x00\x02"), Audio, "audio/ogg"},
		"song.opus": {oggPage("OpusHead\x01\x02"), Audio, "audio/ogg"},
		"song.amr":  {"#!AMR\n\x3c\x55\x00\x04", Audio, "audio/amr"},

		"text.pdf":  {"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", Document, "application/pdf"},
		"text.doc":  {ole, Document, "application/msword"},
		"text.xls":  {ole, Document, "application/vnd.ms-excel"},
		"text.ppt":  {ole, Document, "application/vnd.ms-powerpoint"},
		"text.docx": {mustZip(t, "[Content_Types].xml", "_rels/.rels", "word/document.xml"), Document, documents["docx"].MIME},
		"text.xlsx": {mustZip(t, "[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"), Document, documents["xlsx"].MIME},
		"text.pptx": {mustZip(t, "[Content_Types].xml", "_rels/.rels", "ppt/presentation.xml"), Document, documents["pptx"].MIME},
		"text.epub": {mustZip(t, "mimetype=application/epub+zip", "META-INF/container.xml"), Document, "application/epub+zip"},
		"text.ofd":  {mustZip(t, "OFD.xml", "Doc_0/Document.xml"), Document, "application/ofd"},
		"text.txt":  {"Some words, 一些字。\n", Document, "text/plain"},
		"text.log":  {"12:00 \x1b[31merror\x1b[0m\n", Document, "text/plain"},
		"text.md":   {"# Title\n", Document, "text/markdown"},
		"text.csv":  {"a,b\n1,2\n", Document, "text/csv"},
		"text.json": {`{"a": 1}`, Document, "application/json"},
		"text.html": {"<!DOCTYPE html><html></html>", Document, "text/html"},
		"text.xml":  {`<?xml version="1.0"?><a/>`, Document, "text/xml"},
		"text.yaml": {"a: 1\n", Document, "application/yaml"},
		"text.py":   {"print(1)\n", Document, "text/x-python"},
		"text.go":   {"package main\n", Document, "text/x-go"},
		"text.ts":   {"const a: number = 1\n", Document, "text/plain"},
	}
}

type sample struct {
	content string
	kind    Kind
	mime    string
}
