package sqlite

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/session"
)

// formatTurns are turns with all that data may hold, without what has columns.
func formatTurns() []session.Turn {
	full := testTurn("chat ☃\x00", "response", "parent", 5)
	full.Variants = []session.Digest{testKey(1), {}, testKey(1)}
	full.Partial = true
	large := testTurn(strings.Repeat("c", 300), strings.Repeat("r", 20_000), "", 6)
	large.Messages = make([]session.Digest, session.MaxMessages)
	short := testTurn("c", "r", "", 7)
	short.Long, short.Aliases, short.Messages = false, nil, nil
	ids := testTurn("7d5c9a34-12ab-4e0f-8a77-0123456789ab", "ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000", 8)
	ids.Tenant, ids.Model = "7D5C9A34-12AB-4E0F-8A77-0123456789AB", "7d5c9a34-12ab-4e0f-8a77-0123456789a-"
	turns := []session.Turn{full, large, short, ids, {}}
	for i := range turns {
		turns[i].Time, turns[i].Continued = session.Turn{}.Time, false
	}
	return turns
}

func TestFormat(t *testing.T) {
	for _, want := range formatTurns() {
		data := encode(&want)
		got, err := decode(data)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v\n%v", got, want, err)
		}
		if !bytes.HasPrefix(data, appendPlace(nil, want.Account, want.ChatID, want.ResponseID)) {
			t.Errorf("%.20q does not begin with its place", want.ChatID)
		}
	}
	t.Run("every field is in it", func(t *testing.T) {
		columns := []string{"Time", "Continued"}
		full := formatTurns()[0]
		fields := reflect.ValueOf(&full).Elem()
		for _, f := range reflect.VisibleFields(fields.Type()) {
			if f.Anonymous || f.Name == columns[0] || f.Name == columns[1] {
				continue
			}
			if fields.FieldByIndex(f.Index).IsZero() {
				t.Errorf("the test leaves out %s", f.Name)
			}
			changed := full
			reflect.ValueOf(&changed).Elem().FieldByIndex(f.Index).SetZero()
			if bytes.Equal(encode(&changed), encode(&full)) {
				t.Errorf("%s is not in the data", f.Name)
			}
		}
	})
	t.Run("ids of the site take 16 bytes", func(t *testing.T) {
		for text, want := range map[string]int{
			"7d5c9a34-12ab-4e0f-8a77-0123456789ab": 17,
			"7D5C9A34-12AB-4E0F-8A77-0123456789AB": 37,
			"7d5c9a34-12ab-4e0f-8a77-0123456789ag": 37,
			"7d5c9a34-12ab-4e0f-8a77+0123456789ab": 37,
			"7d5c9a34-12ab-4e0f-8a770-123456789ab": 37,
			"7d5c9a34-12ab-4e0f-8a77-0123456789-a": 37,
			"7d5c9a3412ab4e0f8a770123456789ab":     33,
			"":                                     1,
		} {
			if got := len(appendText(nil, text)); got != want {
				t.Errorf("%q takes %d bytes", text, got)
			}
		}
	})
	t.Run("one place is no beginning of another", func(t *testing.T) {
		places := [][2]string{{"a", "b"}, {"ab", ""}, {"", "ab"}, {"a", ""}, {"a", "bc"}, {"", ""},
			{"7d5c9a34-12ab-4e0f-8a77-0123456789ab", "a"}, {"7d5c9a34-12ab-4e0f-8a77-0123456789ac", "a"}}
		for i, one := range places {
			for j, other := range places {
				a := appendPlace(nil, testAccount, one[0], one[1])
				b := appendPlace(nil, testAccount, other[0], other[1])
				if bytes.HasPrefix(a, b) != (i == j) {
					t.Errorf("%q and %q", one, other)
				}
			}
		}
	})
}

// Any damage is noticed, by the checksum or, if that was made anew, by the length
// of the parts.
func TestFormatDamage(t *testing.T) {
	turn := formatTurns()[0]
	good := encode(&turn)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if _, err := decode(bad); KindOf(err) != KindCorrupt {
			t.Errorf("byte %d has changed: %v", i, err)
		}
		if _, err := decode(good[:i]); KindOf(err) != KindCorrupt {
			t.Errorf("cut after %d bytes: %v", i, err)
		}
		if _, err := decode(sealed(good[:i])); KindOf(err) != KindCorrupt && i != len(good)-4 {
			t.Errorf("cut after %d bytes, with a checksum: %v", i, err)
		}
	}
	body := good[:len(good)-4]
	for name, bad := range map[string][]byte{
		"too long":                 sealed(append(bytes.Clone(body), 0)),
		"another version":          sealed(append([]byte{format + 1}, body[1:]...)),
		"a length without an end":  sealed(append(bytes.Clone(body[:17]), bytes.Repeat([]byte{0xff}, 12)...)),
		"a length beyond the end":  sealed(append(bytes.Clone(body[:17]), 0xff, 0xff, 0xff, 0xff, 0x0f)),
		"more digests than memory": sealed(append(bytes.Clone(body[:len(body)-3*16-1]), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)),
		"an odd length":            sealed(append(append(bytes.Clone(body[:17]), 3), body[18:]...)),
		"unknown flags":            sealed(bytes.Replace(body, append([]byte("m"), flagLong|flagPartial), []byte("m\xf3"), 1)),
	} {
		if got, err := decode(bad); KindOf(err) != KindCorrupt || !reflect.DeepEqual(got, session.Turn{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// formatFiles are files with all that data may hold, without the times.
func formatFiles() []session.File {
	full := testFile("7d5c9a34-12ab-4e0f-8a77-0123456789ab", -5)
	full.Name = "图 \x00\xff"
	large := testFile("l", 1<<40)
	large.URL = "https://oss.example/" + strings.Repeat("x", 20_000)
	files := []session.File{full, large, {}}
	for i := range files {
		files[i].Created = session.File{}.Created
	}
	return files
}

func TestFileFormat(t *testing.T) {
	for _, want := range formatFiles() {
		got, err := decodeFile(encodeFile(&want))
		if err != nil || got != want {
			t.Errorf("got  %+v\nwant %+v\n%v", got, want, err)
		}
	}
	full := formatFiles()[0]
	for _, f := range reflect.VisibleFields(reflect.TypeFor[session.File]()) {
		changed := full
		field := reflect.ValueOf(&changed).Elem().FieldByIndex(f.Index)
		if f.Name == "Created" || f.Name == "Expires" {
			continue
		}
		if field.IsZero() {
			t.Errorf("the test leaves out %s", f.Name)
		}
		field.SetZero()
		if bytes.Equal(encodeFile(&changed), encodeFile(&full)) {
			t.Errorf("%s is not in the data", f.Name)
		}
	}
	good := encodeFile(&full)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if _, err := decodeFile(bad); KindOf(err) != KindCorrupt {
			t.Errorf("byte %d has changed: %v", i, err)
		}
		if got, err := decodeFile(sealed(good[:i])); KindOf(err) != KindCorrupt && i != len(good)-4 || err != nil && got != (session.File{}) {
			t.Errorf("cut after %d bytes, with a checksum: %v", i, err)
		}
	}
	body := good[:len(good)-4]
	turn := formatTurns()[0]
	for name, bad := range map[string][]byte{
		"too long": sealed(append(bytes.Clone(body), 0)), "a turn": encode(&turn), "nothing": nil,
		"a length beyond the end": sealed(append(bytes.Clone(body[:17]), 0xff, 0xff, 0xff, 0xff, 0x0e)),
	} {
		if got, err := decodeFile(bad); KindOf(err) != KindCorrupt || got != (session.File{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := decode(good); KindOf(err) != KindCorrupt {
		t.Errorf("a file as a turn: %v", err)
	}
}

// Whatever is in the row of a file, reading it ends with a file, the data of which
// is the same, or with an error.
func FuzzDecodeFile(f *testing.F) {
	for _, one := range formatFiles() {
		if data := encodeFile(&one); len(data) < 1000 {
			f.Add(data[:len(data)-4])
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decodeFile(sealed(body))
		if err != nil {
			if KindOf(err) != KindCorrupt {
				t.Errorf("error: %v", err)
			}
			return
		}
		if again, err := decodeFile(encodeFile(&got)); err != nil || again != got {
			t.Errorf("%+v becomes %+v, %v", got, again, err)
		}
	})
}

// sealed returns data with a right checksum.
func sealed(body []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, checksums))
}

// Whatever is in the file, reading it ends with a turn, the data of which is the
// same, or with an error.
func FuzzDecode(f *testing.F) {
	for _, turn := range formatTurns() {
		if data := encode(&turn); len(data) < 1000 {
			f.Add(data[:len(data)-4])
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decode(sealed(body))
		if err != nil {
			if KindOf(err) != KindCorrupt {
				t.Errorf("error: %v", err)
			}
			return
		}
		again, err := decode(encode(&got))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%+v becomes %+v, %v", got, again, err)
		}
	})
}
