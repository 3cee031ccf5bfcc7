package caddyqwen

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// isTerminal reports whether a person sees what is written there, or types what is
// read there.
func onTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isTerminal(f)
}

// palette colours text, if it is true.
type palette bool

// colours returns the palette for a stream: colours on a terminal that knows them,
// unless the user does not want any.
func colours(stream any) palette {
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" ||
		runtime.GOOS == "windows" && os.Getenv("WT_SESSION") == "" // the old console may show them as characters
	return palette(!plain && onTerminal(stream))
}

// The colours, as terminals know them.
const (
	colourDim    = "2"
	colourRed    = "31"
	colourGreen  = "32"
	colourYellow = "33"
)

func (p palette) paint(colour, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// displayWidth is how many columns of a terminal a text takes.
func displayWidth(s string) (columns int) {
	for _, c := range s {
		switch kind := width.LookupRune(c).Kind(); {
		case unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf):
		case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
			columns += 2
		default:
			columns++
		}
	}
	return columns
}

// writeTable prints rows below a head, in columns. The last column is not filled up.
func writeTable(out io.Writer, rows [][]string) error {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], displayWidth(cell))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", widths[i]-displayWidth(cell)+2))
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// progressBar draws on a terminal how far something is. The zero value, and nil, draw
// nothing.
type progressBar struct {
	out     io.Writer
	label   string
	columns int // of the terminal; 0 if they are not known
	drawn   int // columns
}

const (
	barCells = 30
	// barFrame is how many columns of a bar are neither label nor cells.
	barFrame = len(" [] 100%")
)

// draw draws the bar, from 0 to 100 percent, in place of the last one.
func (b *progressBar) draw(percent int) {
	if b == nil || b.out == nil {
		return
	}
	percent = min(max(percent, 0), 100)
	cells, label := barCells, b.label
	if b.columns > 0 { // what does not fit into a line cannot be drawn over
		room := max(b.columns-1-barFrame, 0)
		cells = min(cells, room/2)
		label = shortened(label, room-cells)
	}
	full := percent * cells / 100
	b.replace(fmt.Sprintf("%s [%s%s] %3d%%", label, strings.Repeat("#", full), strings.Repeat(".", cells-full), percent))
}

// shortened is a text that takes at most so many columns, with a mark where it was cut.
func shortened(s string, columns int) string {
	if displayWidth(s) <= columns {
		return s
	}
	for s != "" && displayWidth(s)+1 > columns {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s + strings.Repeat("…", min(columns, 1))
}

// clear removes the bar.
func (b *progressBar) clear() {
	if b != nil && b.drawn > 0 {
		b.replace("")
		fmt.Fprint(b.out, "\r")
	}
}

func (b *progressBar) replace(line string) {
	columns := displayWidth(line)
	fmt.Fprint(b.out, "\r"+line+strings.Repeat(" ", max(b.drawn-columns, 0)))
	b.drawn = columns
}
