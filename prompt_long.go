package caddyqwen

import (
	"fmt"
	"strings"
)

// What a long prompt says of the file in which most of it is.
const (
	beforeInFile    = "What comes before this message is in the attached file %s. Read the whole of it first, then answer the message below."
	messageInFile   = "My message is in the attached file %s, with all that belongs to it. Read the whole of it, and answer it as if it stood here."
	functionsInFile = "The functions that you can call, and how you call them, are described there as well."
)

// split makes two texts of a prompt that is longer than limit: what is to be said,
// and what goes along as a file of a name. Said is as much as fits of the note, the
// instructions and the newest message, in this order.
func (p *prompt) split(limit int, name string) (inline, document string) {
	parts := p.parts()
	for _, inFile := range []inFile{{}, {newest: true}, {instructions: true}, {newest: true, instructions: true}} {
		inline, document = parts.split(inFile, name)
		if len(inline) <= limit {
			return inline, document
		}
	}
	return fmt.Sprintf(messageInFile, name), parts.write() // the note alone is too long
}

// inFile says what of a prompt goes into a file besides the client's own system text
// and the history.
type inFile struct{ newest, instructions bool }

func (p *promptParts) split(in inFile, name string) (inline, document string) {
	said, told, file := *p, "", *p
	lead := fmt.Sprintf(beforeInFile, name)
	if in.newest {
		lead = fmt.Sprintf(messageInFile, name)
		said.newest = ""
	} else {
		file.newest = ""
	}
	switch {
	case p.instructions == "":
	case in.instructions:
		lead += " " + functionsInFile
	case strings.TrimSpace(p.system) == "":
		told = systemSection(p.instructions, p.systemChanged)
		file.system, file.instructions, file.systemChanged = "", "", false
	default:
		told = systemSection(p.instructions, false)
		file.instructions = ""
	}
	file.note = ""
	return joined(lead, told, said.newest, said.note), file.write()
}
