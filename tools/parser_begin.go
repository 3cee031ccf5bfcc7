package tools

import (
	"slices"
	"strings"

	"github.com/caddy-qwen/caddy-qwen/internal/loosejson"
)

// isCall reports whether JSON without a tag is a call: an offered name, arguments, and
// nothing else.
func (s *Set) isCall(text []byte) bool {
	repaired, ok := loosejson.Repair(text)
	if !ok {
		return false
	}
	object, ok := readObject(repaired)
	_, offered := s.byName[object.name]
	return ok && offered && object.arguments != nil && len(object.others) == 0
}

// beginsCall tells whether text is the start of an object with an offered name and
// arguments. Arguments that come first are taken for those of a call.
func (s *Set) beginsCall(text string) answer {
	lex := lexer{text: strings.TrimPrefix(text, "{")}
	key, found := lex.word(callKeys[:])
	if found != yes || key != "name" {
		return found
	}
	if found = lex.symbol(':'); found != yes {
		return found
	}
	if _, found = lex.wordOf(s.isNameStart, s.isName); found != yes {
		return found
	}
	if found = lex.symbol(','); found != yes {
		return found
	}
	_, found = lex.word(callKeys[1:])
	return found
}

var callKeys = [...]string{"name", "arguments", "parameters"}

func (s *Set) isName(word string) bool { _, known := s.byName[word]; return known }

func (s *Set) isNameStart(word string) bool {
	for i := range s.tools {
		if strings.HasPrefix(s.tools[i].Name, word) {
			return true
		}
	}
	return false
}

// nameIn returns the name in the start of a call in JSON, if it comes first.
func nameIn(text []byte) string {
	lex := lexer{text: strings.TrimPrefix(string(text), "{")}
	if _, found := lex.word(callKeys[:1]); found != yes || lex.symbol(':') != yes {
		return ""
	}
	if lex.space(); lex.text == "" || lex.text[0] != '"' && lex.text[0] != '\'' {
		return ""
	}
	any := func(string) bool { return true }
	name, _ := lex.wordOf(any, any)
	return name
}

// lexer reads the first words of an object, as far as they are there.
type lexer struct{ text string }

func (l *lexer) space() { l.text = strings.TrimLeft(l.text, " \t\r\n") }

func (l *lexer) symbol(c byte) answer {
	l.space()
	switch {
	case l.text == "":
		return unclear
	case l.text[0] != c:
		return no
	}
	l.text = l.text[1:]
	return yes
}

// word reads one of some words.
func (l *lexer) word(words []string) (string, answer) {
	starts := func(start string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, start) })
	}
	return l.wordOf(starts, func(word string) bool { return slices.Contains(words, word) })
}

// wordOf reads a word, with or without quotes.
func (l *lexer) wordOf(begins, is func(string) bool) (string, answer) {
	l.space()
	if l.text == "" {
		return "", unclear
	}
	word, end := l.text, strings.IndexAny(l.text, " \t\r\n:,}")
	if quote := l.text[0]; quote == '"' || quote == '\'' {
		word = l.text[1:]
		if end = strings.IndexByte(word, quote); end >= 0 {
			l.text = word[end+1:]
		}
	} else if end >= 0 {
		l.text = word[end:]
	}
	switch {
	case end < 0 && begins(word):
		return "", unclear
	case end < 0 || !is(word[:end]):
		return "", no
	}
	return word[:end], yes
}
