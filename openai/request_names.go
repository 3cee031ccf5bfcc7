package openai

import (
	"bytes"
	"hash/maphash"
	"math"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// nameChecker finds names that occur twice in one object. It keeps eight bytes
// for each name of the objects that are open, whereas a map would take several
// times as much as the body.
type nameChecker struct {
	body    []byte
	seed    maphash.Seed
	names   []nameMark
	objects []int // for each open object, where its names start
}

// nameMark is 32 bits of the hash of a name, then 32 bits of its offset in the
// body, so that names that may be equal are next to each other when sorted.
type nameMark uint64

func (m nameMark) hash() uint32 { return uint32(m >> 32) }
func (m nameMark) offset() int  { return int(uint32(m)) }

func newNameChecker(body []byte) nameChecker {
	return nameChecker{body: body, seed: maphash.MakeSeed()}
}

func (c *nameChecker) open() {
	c.objects = append(c.objects, len(c.names))
}

// add adds a name to the innermost object. The quoted name is the one at the
// offset.
func (c *nameChecker) add(quoted []byte, offset int) {
	hash := maphash.Bytes(c.seed, unquoted(quoted))
	c.names = append(c.names, nameMark(hash<<32|uint64(offset)&math.MaxUint32))
}

// close ends the innermost object and returns a name that it had twice.
func (c *nameChecker) close() (name string, found bool) {
	last := len(c.objects) - 1
	start := c.objects[last]
	c.objects = c.objects[:last]
	names := c.names[start:]
	c.names = c.names[:start]
	slices.Sort(names)
	for i := range names {
		for j := i + 1; j < len(names) && names[i].hash() == names[j].hash(); j++ {
			// Different names can have the same hash.
			if name := c.at(names[i]); bytes.Equal(name, c.at(names[j])) {
				return string(name), true
			}
		}
	}
	return "", false
}

// at returns the name at an offset. It has been read before, so it is valid.
func (c *nameChecker) at(m nameMark) []byte {
	dec := jsontext.NewDecoder(bytes.NewBuffer(c.body[m.offset():]), jsontext.AllowInvalidUTF8(true))
	quoted, _ := dec.ReadValue()
	return unquoted(quoted)
}

// unquoted returns what a JSON string stands for. Escaped halves of surrogate
// pairs become U+FFFD, which is what the error is about.
func unquoted(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	plain, _ := jsontext.AppendUnquote(nil, quoted)
	return plain
}
