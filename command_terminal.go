package caddyqwen

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"unicode"

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
	out   io.Writer
	label string
	drawn int // columns
}

// draw draws the bar, from 0 to 100 percent, in place of the last one.
func (b *progressBar) draw(percent int) {
	if b == nil || b.out == nil {
		return
	}
	const cells = 30
	percent = min(max(percent, 0), 100)
	full := percent * cells / 100
	line := fmt.Sprintf("%s [%s%s] %3d%%", b.label, strings.Repeat("#", full), strings.Repeat(".", cells-full), percent)
	b.replace(line)
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
