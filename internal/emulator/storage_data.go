package emulator

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"hash/crc64"
	"io"
	"slices"
	"strings"
)

// chunkSize is how much of a body is read at once.
const chunkSize = 1 << 20

var crcTable = crc64.MakeTable(crc64.ECMA)

// data is what a body had in it. Chunks is nil if it was discarded.
type data struct {
	chunks [][]byte
	kept   bool
	size   int64
	crc    uint64
	md5    [md5.Size]byte // with discarded data a sum of size and CRC
}

// intake reads a body to its end without ever holding it twice. A size that
// is not known is negative. Flip inverts a bit of the first byte.
func intake(body io.Reader, size int64, discard, flip bool) (*data, error) {
	d := &data{kept: !discard}
	var sum hash.Hash
	var scratch []byte
	if discard {
		scratch = make([]byte, chunkSize>>2)
	} else {
		sum = md5.New()
	}
	for {
		chunk := scratch
		if !discard {
			chunk = make([]byte, nextChunk(size, d.size))
		}
		n, err := fill(body, chunk)
		chunk = chunk[:n]
		if flip && n > 0 {
			chunk[0], flip = chunk[0]^1, false
		}
		d.size += int64(n)
		d.crc = crc64.Update(d.crc, crcTable, chunk)
		if !discard && n > 0 {
			sum.Write(chunk)
			d.chunks = append(d.chunks, chunk)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	d.finish(sum)
	return d, nil
}

// fill reads until the chunk is full. Unlike io.ReadFull it leaves the errors
// as they are: io.EOF is the end of the body, io.ErrUnexpectedEOF a client that
// left in the middle.
func fill(body io.Reader, chunk []byte) (n int, err error) {
	for n < len(chunk) && err == nil {
		var more int
		more, err = body.Read(chunk[n:])
		n += more
	}
	return n, err
}

// nextChunk is how much space the next read of a body needs.
func nextChunk(size, read int64) int64 {
	if rest := size - read; size >= 0 && rest < chunkSize {
		return max(rest, 1) // one byte finds the end
	}
	return chunkSize
}

// finish sets the sum that ETags are made of.
func (d *data) finish(sum hash.Hash) {
	if sum != nil {
		sum.Sum(d.md5[:0])
		return
	}
	binary.BigEndian.PutUint64(d.md5[:8], uint64(d.size))
	binary.BigEndian.PutUint64(d.md5[8:], d.crc)
}

// etag returns the sum in the form of the header.
func (d *data) etag() string {
	return `"` + strings.ToUpper(hex.EncodeToString(d.md5[:])) + `"`
}

// each calls a function with every chunk.
func (d *data) each(f func([]byte) error) error {
	for _, c := range d.chunks {
		if err := f(c); err != nil {
			return err
		}
	}
	return nil
}

// bytes returns a copy of the data, or nil if it was discarded.
func (d *data) bytes() []byte {
	if !d.kept {
		return nil
	}
	return bytes.Join(d.chunks, nil)
}

// join puts the parts of an upload together without copying them.
func join(parts []*data) *data {
	all := &data{kept: true}
	sum := md5.New()
	for _, p := range parts {
		all.chunks = append(all.chunks, p.chunks...)
		all.kept = all.kept && p.kept
		all.crc = combineCRC(all.crc, p.crc, p.size)
		all.size += p.size
		sum.Write(p.md5[:])
	}
	all.chunks = slices.Clip(all.chunks)
	sum.Sum(all.md5[:0])
	return all
}

// combineCRC returns the CRC-64 of two texts in a row, given that of each and
// the length of the second. In the field of polynomials over two elements,
// modulo that of the CRC, it is first·x^(8·length) + second.
func combineCRC(first, second uint64, length int64) uint64 {
	return multiplyCRC(first, powerCRC(8*uint64(length))) ^ second
}

// powerCRC returns x^n. The highest bit stands for x^0.
func powerCRC(n uint64) uint64 {
	result, square := uint64(1)<<63, uint64(1)<<62
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			result = multiplyCRC(result, square)
		}
		square = multiplyCRC(square, square)
	}
	return result
}

func multiplyCRC(a, b uint64) uint64 {
	var product uint64
	for ; a != 0; a <<= 1 {
		if a>>63 == 1 {
			product ^= b
		}
		low := b & 1
		b >>= 1
		if low == 1 {
			b ^= crc64.ECMA
		}
	}
	return product
}
