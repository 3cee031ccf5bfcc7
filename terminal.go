package caddyqwen

import (
	"errors"
	"io"
	"os"

	"golang.org/x/term"
)

// isTerminal reports whether somebody sits at f.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// terminalColumns is how wide the terminal of a stream is, or 0 if that is not known.
func terminalColumns(stream any) int {
	f, ok := stream.(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// The keys that end an input: of Unix, and of Windows.
const (
	ctrlC = 0x03
	ctrlD = 0x04
	ctrlZ = 0x1a
)

// readTerminal calls ready, and reads what is pasted into a terminal up to Ctrl+D,
// without showing it.
// Line by line, as terminals usually are read, they would cut lines that are longer
// than 4,096 bytes, or 1,024 on macOS, and cookies are. What is too much is read all the
// same: the shell would take it for commands.
func readTerminal(f *os.File, ready func()) (data []byte, err error) {
	before, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, term.Restore(int(f.Fd()), before)) }()
	ready()
	buf := make([]byte, 4096)
	for {
		n, err := f.Read(buf)
		for _, c := range buf[:n] {
			switch c {
			case ctrlC:
				return nil, errors.New("you have pressed Ctrl+C")
			case ctrlD, ctrlZ:
				return data, nil
			case '\r': // what the Enter key sends
				c = '\n'
			}
			if len(data) <= accountFileMaxSize {
				data = append(data, c)
			}
		}
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
