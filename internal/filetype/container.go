package filetype

import (
	"bytes"
	"slices"
)

// isoMedia tells the types of the ISO base media format (MP4 and its kin) by
// their brands, and sound without pictures by its tracks.
func isoMedia(head []byte, c claim) (finding, bool) {
	if len(head) < 16 || head[0] != 0 || string(head[4:8]) != "ftyp" {
		return finding{}, false
	}
	major := string(head[8:12])
	if other, ok := pictureBrands[major]; ok {
		return finding{Type: Type{MIME: other}}, true
	}
	pictures := bytes.Contains(head, []byte("vmhd")) || hasHandler(head, "vide")
	sound := slices.Contains([]string{"M4A ", "M4B ", "M4P ", "F4A ", "F4B "}, major)
	if !pictures && (sound || claimsSound(c) || soundOnly(head)) {
		return finding{Type: m4a, also: Video}, true
	}
	return finding{Type: movie(major, c), also: Audio}, true
}

// pictureBrands are major brands of what is no video and not accepted.
var pictureBrands = map[string]string{
	"avif": "image/avif", "avis": "image/avif",
	"heic": "image/heic", "heix": "image/heic", "hevc": "image/heic", "hevx": "image/heic",
	"mif1": "image/heif", "msf1": "image/heif", "jxl ": "image/jxl", "jp2 ": "image/jp2", "crx ": "image/x-canon-cr3",
}

func movie(major string, c claim) Type {
	switch {
	case major == "qt  ":
		return mov
	case major[:3] == "M4V":
		return m4v
	case major[:2] == "3g":
		return v3gp
	case c.extension == "m4v":
		return m4v // what cameras and converters call so has the brands of MP4
	}
	return mp4
}

func claimsSound(c claim) bool {
	return kindOfExtension(c.extension) == Audio ||
		kindOfExtension(c.extension) == 0 && kindOfMIME(c.declared) == Audio
}

// soundOnly tells whether the whole index is at hand and has no other track than
// sound.
func soundOnly(head []byte) bool {
	at := 0
	for at+8 <= len(head) {
		size := int(uint32(head[at])<<24 | uint32(head[at+1])<<16 | uint32(head[at+2])<<8 | uint32(head[at+3]))
		if size < 8 || size > len(head)-at {
			return false
		}
		if box := head[at : at+size]; string(box[4:8]) == "moov" {
			return hasHandler(box, "soun")
		}
		at += size
	}
	return false
}

// hasHandler tells whether a track with this handler is described in b.
func hasHandler(b []byte, handler string) bool {
	const typeAt = 12 // behind the name of the box: version, flags, and four bytes of zeros
	for {
		at := bytes.Index(b, []byte("hdlr"))
		if at < 0 || len(b) < at+typeAt+4 {
			return false
		}
		if b = b[at+typeAt:]; string(b[:4]) == handler {
			return true
		}
	}
}

// asf tells Windows Media. Sound and video look the same from outside, so the
// name decides; sound is not accepted.
func asf(head []byte, c claim) (finding, bool) {
	if !bytes.HasPrefix(head, []byte("\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9\x00\xAA\x00\x62\xCE\x6C")) {
		return finding{}, false
	}
	if claimsSound(c) {
		return finding{Type: Type{MIME: "audio/x-ms-wma"}}, true
	}
	return finding{Type: wmv, also: Audio}, true
}

// oggMedia tells Ogg with sound, which is accepted, from that with video, by the
// first packets of its streams.
func oggMedia(head []byte, c claim) (finding, bool) {
	if !bytes.HasPrefix(head, []byte("OggS\x00")) {
		return finding{}, false
	}
	for _, video := range []string{"\x80theora", "\x01video\x00", "BBCD\x00"} {
		if bytes.Contains(head, []byte(video)) {
			return finding{Type: Type{MIME: "video/ogg"}}, true
		}
	}
	if bytes.Contains(head, []byte("OpusHead")) && c.extension != "ogg" && c.extension != "oga" {
		return finding{Type: opus, also: Video}, true
	}
	for _, sound := range []string{"OpusHead", "\x01vorbis", "\x7fFLAC", "Speex   "} {
		if bytes.Contains(head, []byte(sound)) {
			return finding{Type: ogg, also: Video}, true
		}
	}
	return finding{Type: Type{MIME: "application/ogg"}}, true
}

// transportStream tells MPEG transport streams: packets of 188 bytes that each
// begin with the same byte, in M2TS with four bytes before it. The library does
// not know them.
func transportStream(head []byte, _ claim) (finding, bool) {
	for _, shape := range []struct{ at, packet int }{{4, 192}, {0, 188}} {
		if len(head) > shape.at+2*shape.packet && inStep(head[shape.at:], shape.packet) {
			return finding{Type: m2ts}, true
		}
	}
	return finding{}, false
}

func inStep(b []byte, packet int) bool {
	for at := 0; at < len(b); at += packet {
		if b[at] != 'G' {
			return false
		}
	}
	return true
}
