package sqlite

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/google/uuid"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// format is the first byte of the data of a turn, and fileFormat that of a file.
const (
	format     = 1
	fileFormat = 2
)

// Bits of the byte of flags.
const (
	flagLong = 1 << iota
	flagPartial
	flagsEnd
)

var checksums = crc32.MakeTable(crc32.Castagnoli)

// appendPlace appends what the data of the turn at a place begins with.
func appendPlace(data []byte, account session.Digest, chat, response string) []byte {
	data = append(append(data, format), account[:]...)
	return appendText(appendText(data, chat), response)
}

// encode returns the data of a turn: all of it but what has columns. Texts and
// lists have their length before them, and a checksum is at the end.
func encode(t *session.Turn) []byte {
	size := 128 + len(t.ChatID) + len(t.ResponseID) + len(t.ParentID) + len(t.Tenant) + len(t.Model) +
		len(session.Digest{})*(len(t.Aliases)+len(t.Messages)+len(t.Variants))
	data := appendPlace(make([]byte, 0, size), t.Account, t.ChatID, t.ResponseID)
	data = appendText(appendText(appendText(data, t.ParentID), t.Tenant), t.Model)
	var flags byte
	if t.Long {
		flags |= flagLong
	}
	if t.Partial {
		flags |= flagPartial
	}
	data = append(data, flags)
	for _, d := range []*session.Digest{&t.System, &t.Pair, &t.Loose, &t.Chain} {
		data = append(data, d[:]...)
	}
	for _, list := range [][]session.Digest{t.Aliases, t.Messages, t.Variants} {
		data = binary.AppendUvarint(data, uint64(len(list)))
		for i := range list {
			data = append(data, list[i][:]...)
		}
	}
	return seal(data)
}

// seal appends the checksum.
func seal(data []byte) []byte {
	return binary.BigEndian.AppendUint32(data, crc32.Checksum(data, checksums))
}

// unseal returns what is between the first byte, which must be the format, and the
// checksum.
func unseal(data []byte, format byte) (d decoder, ok bool) {
	end := len(data) - 4
	if end < 1 || data[0] != format || binary.BigEndian.Uint32(data[end:]) != crc32.Checksum(data[:end], checksums) {
		return d, false
	}
	return decoder{rest: string(data[1:end])}, true
}

// packed stands for the length of a UUID, which most ids are, in 16 bytes. Other
// lengths are even.
const packed = 1

func appendText(data []byte, text string) []byte {
	if len(text) == 36 {
		if id, err := uuid.Parse(text); err == nil && id.String() == text {
			return append(append(data, packed), id[:]...)
		}
	}
	return append(binary.AppendUvarint(data, 2*uint64(len(text))), text...)
}

// decode returns the turn that encode has got, without what has columns.
func decode(data []byte) (t session.Turn, err error) {
	d, ok := unseal(data, format)
	if !ok {
		return t, damaged("a turn has another checksum")
	}
	d.digest(&t.Account)
	for _, text := range []*string{&t.ChatID, &t.ResponseID, &t.ParentID, &t.Tenant, &t.Model} {
		*text = d.text()
	}
	flags := d.byte()
	t.Long, t.Partial = flags&flagLong != 0, flags&flagPartial != 0
	for _, key := range []*session.Digest{&t.System, &t.Pair, &t.Loose, &t.Chain} {
		d.digest(key)
	}
	for _, list := range []*[]session.Digest{&t.Aliases, &t.Messages, &t.Variants} {
		*list = d.digests()
	}
	if d.failed || d.rest != "" || flags >= flagsEnd {
		return session.Turn{}, damaged("a turn is malformed")
	}
	return t, nil
}

// encodeFile returns the data of a file: all of it but the times.
func encodeFile(f *session.File) []byte {
	texts := []string{f.Tenant, f.ID, f.Owner, f.URL, f.Name, f.MIME, f.Kind, f.Purpose}
	size := 128
	for _, text := range texts {
		size += len(text)
	}
	data := append(append(make([]byte, 0, size), fileFormat), f.Account[:]...)
	for _, text := range texts {
		data = appendText(data, text)
	}
	data = binary.BigEndian.AppendUint64(data, uint64(f.Size))
	return seal(append(data, f.Hash[:]...))
}

// decodeFile returns the file that encodeFile has got, without the times.
func decodeFile(data []byte) (f session.File, err error) {
	d, ok := unseal(data, fileFormat)
	if !ok {
		return f, damaged("a file has another checksum")
	}
	d.digest(&f.Account)
	for _, text := range []*string{&f.Tenant, &f.ID, &f.Owner, &f.URL, &f.Name, &f.MIME, &f.Kind, &f.Purpose} {
		*text = d.text()
	}
	var size [8]byte
	copy(size[:], d.take(uint64(len(size))))
	f.Size = int64(binary.BigEndian.Uint64(size[:]))
	copy(f.Hash[:], d.take(uint64(len(f.Hash))))
	if d.failed || d.rest != "" {
		return session.File{}, damaged("a file is malformed")
	}
	return f, nil
}

// decoder takes data apart. After it has failed, it returns nothing more.
type decoder struct {
	rest   string
	failed bool
}

// take returns the next bytes.
func (d *decoder) take(n uint64) (text string) {
	if n > uint64(len(d.rest)) {
		d.rest, d.failed = "", true
		return ""
	}
	text, d.rest = d.rest[:n], d.rest[n:]
	return text
}

func (d *decoder) text() string {
	switch n := d.number(); {
	case n%2 == 0:
		return d.take(n / 2)
	case n == packed:
		var id uuid.UUID
		copy(id[:], d.take(uint64(len(id))))
		return id.String()
	}
	d.failed = true
	return ""
}

func (d *decoder) byte() byte {
	if text := d.take(1); text != "" {
		return text[0]
	}
	return 0
}

func (d *decoder) number() (n uint64) {
	for shift := 0; shift < 64; shift += 7 {
		b := d.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	d.failed = true
	return 0
}

func (d *decoder) digest(to *session.Digest) { copy(to[:], d.take(uint64(len(to)))) }

func (d *decoder) digests() []session.Digest {
	const size = uint64(len(session.Digest{}))
	n := d.number()
	if n == 0 || n > uint64(len(d.rest))/size {
		d.failed = d.failed || n > 0
		return nil
	}
	list := make([]session.Digest, n)
	for i := range list {
		d.digest(&list[i])
	}
	return list
}
