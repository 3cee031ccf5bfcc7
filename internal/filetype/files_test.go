package filetype

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
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
