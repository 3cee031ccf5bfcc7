package caddyqwen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/caddy-qwen/caddy-qwen/session"
	"github.com/caddy-qwen/caddy-qwen/session/sqlite"
)

// chatList is what `list --json` prints.
type chatList struct {
	Chats []chatLine `json:"chats"`
	Total int        `json:"total"` // chats that were asked for, listed or not
}

// chatLine is a chat in JSON.
type chatLine struct {
	ID        string `json:"chat_id"`
	Account   string `json:"account"`
	Caller    string `json:"caller"`
	Model     string `json:"model"`
	Turns     int    `json:"turns"`
	Created   string `json:"created"`
	Used      string `json:"last_used"`
	Deletable bool   `json:"deletable"`
}

func chatLineOf(c sqlite.ChatInfo) chatLine {
	return chatLine{
		ID: c.ID, Account: c.Account.String(), Caller: c.Tenant, Model: c.Model, Turns: c.Turns,
		Created: exactTime(c.Created), Used: exactTime(c.Used), Deletable: c.Disposable,
	}
}

func chatLines(chats []sqlite.ChatInfo) []chatLine {
	lines := make([]chatLine, len(chats))
	for i, c := range chats {
		lines[i] = chatLineOf(c)
	}
	return lines
}

// shownChats is what `show --json` prints.
type shownChats struct {
	Chats []shownChat `json:"chats"`
}

type shownChat struct {
	chatLine
	Tree []shownTurn `json:"tree"`
}

// shownTurn is a turn in the order of the tree.
type shownTurn struct {
	ResponseID string `json:"response_id"`
	ParentID   string `json:"parent_id"`
	Level      int    `json:"level"`
	Time       string `json:"time"`
	Messages   int    `json:"messages"`
	Partial    bool   `json:"partial"` // the turn added more messages than that
	Chain      string `json:"chain"`
}

func detailList(details []chatDetail) shownChats {
	list := make([]shownChat, len(details))
	for i, d := range details {
		list[i] = shownChat{chatLineOf(d.ChatInfo), make([]shownTurn, len(d.tree))}
		for j, t := range d.tree {
			list[i].Tree[j] = shownTurn{
				ResponseID: t.ResponseID, ParentID: t.ParentID, Level: t.level, Time: exactTime(t.Time),
				Messages: len(t.Messages), Partial: t.Partial, Chain: t.Chain.String(),
			}
		}
	}
	return shownChats{list}
}

// exportedChat is a chat in a line of `export`.
type exportedChat struct {
	Type string `json:"type"`
	chatLine
}

// exportedTurn is a turn in a line of `export`.
type exportedTurn struct {
	Type       string   `json:"type"`
	ChatID     string   `json:"chat_id"`
	Account    string   `json:"account"`
	Caller     string   `json:"caller"`
	Model      string   `json:"model"`
	ResponseID string   `json:"response_id"`
	ParentID   string   `json:"parent_id"`
	Time       string   `json:"time"`
	Continued  bool     `json:"continued"`
	Long       bool     `json:"long"`
	Partial    bool     `json:"partial"`
	Pair       string   `json:"pair"`
	Loose      string   `json:"loose"`
	Chain      string   `json:"chain"`
	System     string   `json:"system"`
	Aliases    []string `json:"aliases"`
	Messages   []string `json:"messages"`
	Variants   []string `json:"variants"`
}

func exportedTurnOf(t session.Turn) exportedTurn {
	return exportedTurn{
		Type: "turn", ChatID: t.ChatID, Account: t.Account.String(), Caller: t.Tenant, Model: t.Model,
		ResponseID: t.ResponseID, ParentID: t.ParentID, Time: exactTime(t.Time),
		Continued: t.Continued, Long: t.Long, Partial: t.Partial,
		Pair: t.Pair.String(), Loose: t.Loose.String(), Chain: t.Chain.String(), System: t.System.String(),
		Aliases: digestTexts(t.Aliases), Messages: digestTexts(t.Messages), Variants: digestTexts(t.Variants),
	}
}

func digestTexts(digests []session.Digest) []string {
	texts := make([]string, len(digests))
	for i, d := range digests {
		texts[i] = d.String()
	}
	return texts
}

// Times that RFC 3339 can tell. A damaged file may have others.
var (
	firstTime = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)
)

// exactTime is a time in JSON, as in RFC 3339.
func exactTime(t time.Time) string {
	if t.Before(firstTime) {
		t = firstTime
	} else if t.After(lastTime) {
		t = lastTime
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// localTime is a time for people.
func localTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// counted is a number of things, of which noun is the name of one.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// shown is text from the file as a terminal may get it: without characters that
// control it, or that change the order of others.
func shown(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsGraphic(c) {
			return '\uFFFD'
		}
		return c
	}, s)
}

// printJSON prints a document for programs, and for people who look at it.
func printJSON(out io.Writer, v any) error { return encodeJSON(out, v, "  ") }

// printLine prints a document in one line.
func printLine(out io.Writer, v any) error { return encodeJSON(out, v, "") }

func encodeJSON(out io.Writer, v any, indent string) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	_, err := out.Write(escapeControls(text.Bytes()))
	return err
}

// escapeControls escapes what json.Marshal leaves as it is, but a terminal may
// take for a command. In JSON, such characters are in strings only.
func escapeControls(text []byte) []byte {
	harmless := func(c rune) bool { return c < 0x7f || unicode.IsGraphic(c) }
	if bytes.IndexFunc(text, func(c rune) bool { return !harmless(c) }) < 0 {
		return text
	}
	var escaped []byte
	for _, c := range string(text) {
		switch high, low := utf16.EncodeRune(c); {
		case harmless(c):
			escaped = append(escaped, string(c)...)
		case high != unicode.ReplacementChar:
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, c)
		}
	}
	return escaped
}
