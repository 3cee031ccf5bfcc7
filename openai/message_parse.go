package openai

import (
	"fmt"
	"strings"
)

// messagesField reads the conversation.
func (p *parser) messagesField() error {
	if p.null() {
		return nil
	}
	return p.array(p.limits.MaxMessages, func(int) error {
		m, err := p.message()
		p.req.Messages = append(p.req.Messages, m)
		return err
	})
}

// draft is a message whose fields are still being read. They may come in any
// order, so what depends on the role is checked at the end.
type draft struct {
	Message
	hasContent bool

	// replyOnly is the path, below the message, of the type of a content part
	// that only an assistant's message can have.
	replyOnly string

	// attached is the path, below the message, of the first attachment.
	attached string
}

func (p *parser) message() (Message, error) {
	var d draft
	if err := p.object(func(name string) error { return p.messageField(&d, name) }); err != nil {
		return Message{}, err
	}
	return d.Message, p.checkMessage(&d)
}

func (p *parser) messageField(d *draft, name string) (err error) {
	switch name {
	case "role":
		d.Role, err = p.role()
	case "name":
		d.Name, err = p.identifier()
	case "content":
		err = p.content(d)
	case "tool_calls":
		err = p.toolCalls(d)
	case "function_call":
		err = p.functionCall(d)
	case "tool_call_id":
		d.ToolCallID, err = p.identifier()
	case "reasoning_content", "reasoning":
		err = p.reasoning(d, name)
	default:
		err = p.skip()
	}
	return err
}

// checkMessage checks what depends on the role. It runs right after the end of
// the message, whose path is therefore the current one.
func (p *parser) checkMessage(d *draft) error {
	switch d.Role {
	case "":
		param := p.path() + ".role"
		return fail(codeMissing, param, "%s is missing; send system, developer, user, assistant, tool or function.", param)
	case "assistant":
		return nil
	case "system", "developer":
		if d.attached != "" {
			param := p.path() + d.attached
			return fail(codeUnsupportedContent, param, "%s is an attachment, which a %s message cannot have; attach it to a user message.", param, d.Role)
		}
	case "user":
		if !d.hasContent {
			param := p.path() + ".content"
			return fail(codeMissing, param, "%s is missing or null; a user message needs a string or a list of parts.", param)
		}
	}
	if d.replyOnly != "" {
		param := p.path() + d.replyOnly
		return fail(codeInvalid, param, "%s is for messages of the assistant only; the role here is %s.", param, d.Role)
	}
	// Clients that serialise every field send empty ones; others mean nothing.
	d.ToolCalls, d.Reasoning = nil, ""
	return nil
}

func (p *parser) role() (string, error) {
	s, err := p.string()
	if err != nil {
		return "", err
	}
	switch s {
	case "", "system", "developer", "user", "assistant", "tool", "function":
		return s, nil
	}
	param := p.path()
	return "", fail(codeInvalid, param, "%s is %s; send system, developer, user, assistant, tool or function.", param, quoted(s))
}

// content reads a string or a list of parts, or null, which counts as absent.
func (p *parser) content(d *draft) error {
	switch p.dec.PeekKind() {
	case 'n':
		return p.skip()
	case '"', '[':
		d.hasContent = true
	default:
		return p.wrongType("a string or a list of parts")
	}
	var err error
	d.Content, err = p.contentText(d)
	return err
}

func (p *parser) contentText(d *draft) (string, error) {
	if p.dec.PeekKind() == '"' {
		return p.keptText()
	}
	p.texts = p.texts[:0]
	err := p.array(p.limits.MaxParts, func(i int) error {
		text, err := p.part(d, i)
		if text != "" {
			p.texts = append(p.texts, text)
		}
		return err
	})
	return strings.Join(p.texts, "\n"), err
}

// keptText reads a string that becomes part of the conversation, and counts it.
func (p *parser) keptText() (string, error) {
	s, err := p.string()
	if err != nil {
		return "", err
	}
	return s, p.count(len(s))
}

// count counts the bytes of a text that has just been read.
func (p *parser) count(n int) error {
	p.text += n
	if p.text > p.limits.MaxText {
		return fail(codeTooLarge, p.path(), "The texts of all messages together are larger than %d bytes; shorten the conversation.", p.limits.MaxText)
	}
	return nil
}

// part reads the content part with the given index and returns its text. A
// bare string is a text part, as in LangChain's messages.
func (p *parser) part(d *draft, index int) (string, error) {
	if p.dec.PeekKind() == '"' {
		return p.keptText()
	}
	var f partFields
	if err := p.object(func(name string) error { return p.partField(&f, name) }); err != nil {
		return "", err
	}
	return p.classify(d, &f, index)
}

// partFields is what is read of a content part.
type partFields struct {
	kind, text, refusal string
	hasText             bool
	attachmentFields
}

func (p *parser) partField(f *partFields, name string) (err error) {
	switch name {
	case "type":
		f.kind, err = p.string()
	case "text":
		f.hasText = p.dec.PeekKind() == '"'
		f.text, err = p.keptText()
	case "refusal":
		f.refusal, err = p.keptText()
	default:
		err = p.attachmentField(&f.attachmentFields, name)
	}
	return err
}

// classify returns the text of a part that has just been read, or says why it
// cannot be part of the message.
func (p *parser) classify(d *draft, f *partFields, index int) (string, error) {
	param := func(field string) string { return p.path() + field }
	switch f.kind {
	case "text", "input_text", "output_text":
		if !f.hasText {
			return "", fail(codeMissing, param(".text"), "%s is missing or null; a text part needs a string.", param(".text"))
		}
		return f.text, nil
	case "refusal":
		d.replyOnly = fmt.Sprintf(".content[%d].type", index)
		return f.refusal, nil
	case "thinking", "redacted_thinking", "reasoning":
		d.replyOnly = fmt.Sprintf(".content[%d].type", index)
		return "", nil
	case "image_url", "input_image", "video_url", "input_audio", "file", "input_file":
		a, err := f.attachment(f.kind, param(""))
		if err != nil {
			return "", err
		}
		if d.attached == "" {
			d.attached = fmt.Sprintf(".content[%d]", index)
		}
		d.Attachments = append(d.Attachments, a)
		return "", nil
	case "":
		return "", fail(codeMissing, param(".type"), "%s is missing; send text, image_url, video_url, input_audio or file.", param(".type"))
	}
	return "", fail(codeInvalid, param(".type"), "%s is %s, which is not a known type of content; send text, image_url, video_url, input_audio or file.", param(".type"), quoted(f.kind))
}

// reasoning reads what an assistant thought. Some clients use the same names
// for objects, which are of no use here.
func (p *parser) reasoning(d *draft, name string) error {
	if p.dec.PeekKind() != '"' {
		return p.skip()
	}
	s, err := p.keptText()
	if d.Reasoning == "" || name == "reasoning_content" {
		d.Reasoning = s
	}
	return err
}
