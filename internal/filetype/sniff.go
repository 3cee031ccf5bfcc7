package filetype

import (
	"bytes"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// sniff tells the type from the first bytes. cut says that there are more.
func sniff(head []byte, cut bool, c claim) (finding, error) {
	if bytes.HasPrefix(head, []byte("%PDF-")) {
		return finding{Type: documents["pdf"]}, nil // some have no byte that text has not
	}
	if text, ok := plainText(head, cut); ok {
		return sniffText(text, c)
	}
	for _, look := range []func([]byte, claim) (finding, bool){isoMedia, asf, oggMedia, transportStream} {
		if found, ok := look(head, c); ok {
			return accepted(found)
		}
	}
	return byMagic(head, c)
}

// accepted refuses a finding that has a name only.
func accepted(found finding) (finding, error) {
	if found.Kind == 0 {
		return finding{}, &UnknownError{Found: found.MIME}
	}
	return found, nil
}

// byMagic asks the library. Some of its types need another look.
func byMagic(head []byte, c claim) (finding, error) {
	m := mimetype.Detect(head)
	name, _, _ := strings.Cut(m.String(), ";")
	if t, ok := media[name]; ok {
		return refine(t, c), nil
	}
	for _, t := range documents {
		if t.MIME == name {
			return finding{Type: t}, nil
		}
	}
	switch {
	case name == "application/zip":
		return zipDocument(head, c)
	case name == "application/x-ole-storage":
		return oleDocument(c)
	case name == "application/octet-stream":
		name = ""
	case strings.HasPrefix(name, "text/"):
		name = "text in another encoding than UTF-8"
	}
	return finding{}, &UnknownError{Found: name}
}

// refine settles what the bytes leave open.
func refine(t Type, c claim) finding {
	switch {
	case t == mp3 && c.extension == "aac":
		return finding{Type: aac} // ID3 tags come before either
	case t == webm || t == mkv || t == mov:
		return finding{Type: t, also: Audio}
	}
	return finding{Type: t}
}

// oleDocument decides by the extension: what tells the old formats of Office
// apart may be anywhere in the file.
func oleDocument(c claim) (finding, error) {
	switch c.extension {
	case "doc", "xls", "ppt":
		return finding{Type: documents[c.extension]}, nil
	}
	for _, extension := range []string{"doc", "xls", "ppt"} {
		if documents[extension].MIME == c.declared {
			return finding{Type: documents[extension]}, nil
		}
	}
	return finding{}, &UnknownError{Found: "application/x-ole-storage"}
}

// zipDocument tells the documents whose entries the library did not find: OFD,
// which it does not know, and those of Office whose telling entries come late.
func zipDocument(head []byte, c claim) (finding, error) {
	office := false
	for _, name := range zipNames(head) {
		if name == "OFD.xml" || strings.HasPrefix(name, "Doc_0/") {
			return finding{Type: documents["ofd"]}, nil
		}
		office = office || name == "[Content_Types].xml" ||
			strings.HasPrefix(name, "_rels/") || strings.HasPrefix(name, "docProps/")
	}
	switch c.extension {
	case "docx", "xlsx", "pptx":
		if office {
			return finding{Type: documents[c.extension]}, nil
		}
	}
	return finding{}, &UnknownError{Found: "application/zip"}
}

// zipNames gives the names of the entries whose headers are in head.
func zipNames(head []byte) (names []string) {
	const headerSize, lengthAt = 30, 26
	for {
		at := bytes.Index(head, []byte("PK\x03\x04"))
		if at < 0 || len(head) < at+headerSize {
			return names
		}
		length := int(head[at+lengthAt]) | int(head[at+lengthAt+1])<<8
		head = head[at+headerSize:]
		names = append(names, string(head[:min(length, len(head))]))
	}
}
