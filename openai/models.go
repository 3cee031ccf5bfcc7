package openai

import "strconv"

// Model is an entry of the model list.
type Model struct {
	// ID is the name that requests use.
	ID string

	// Created is when the model appeared, in seconds since 1970. 0 if unknown.
	Created int64

	// OwnedBy names the organisation behind the model.
	OwnedBy string

	// Meta describes the model further. Nil leaves the description out.
	Meta *ModelMeta
}

// ModelMeta describes a model beyond what OpenAI's API has fields for. It is
// in the field meta of an entry. Fields that are empty or zero are left out.
type ModelMeta struct {
	// Name is what people call the model (name).
	Name string

	// Description is a sentence about the model (description).
	Description string

	// ContextLength is the largest number of tokens of a whole conversation
	// (context_length).
	ContextLength int

	// MaxOutput is the largest number of tokens of an answer without
	// reasoning (max_output_tokens).
	MaxOutput int

	// MaxThinking is the largest number of tokens of reasoning
	// (max_thinking_tokens).
	MaxThinking int

	// Capabilities has the names of what the model can do, such as vision or
	// thinking (capabilities).
	Capabilities []string
}

// AppendJSON appends the model as a JSON object and returns the extended slice.
// The fields id, object, created and owned_by are always there and never null.
func (m *Model) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, m.ID)
	dst = append(dst, `,"object":"model","created":`...)
	dst = strconv.AppendInt(dst, m.Created, 10)
	dst = append(dst, `,"owned_by":`...)
	dst = appendString(dst, m.OwnedBy)
	if m.Meta != nil {
		dst = append(dst, `,"meta":`...)
		dst = m.Meta.appendJSON(dst)
	}
	return append(dst, '}')
}

func (m *ModelMeta) appendJSON(dst []byte) []byte {
	o := objectWriter{dst: append(dst, '{')}
	o.string("name", m.Name)
	o.string("description", m.Description)
	o.count("context_length", m.ContextLength)
	o.count("max_output_tokens", m.MaxOutput)
	o.count("max_thinking_tokens", m.MaxThinking)
	o.strings("capabilities", m.Capabilities)
	return append(o.dst, '}')
}

// AppendModelList appends the body of a model list and returns the extended
// slice. The order of the models is kept; without models, data is an empty
// list.
func AppendModelList(dst []byte, models []Model) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	for i := range models {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = models[i].AppendJSON(dst)
	}
	return append(dst, "]}"...)
}

// objectWriter appends the members of an object that are not empty.
type objectWriter struct {
	dst   []byte
	wrote bool
}

func (o *objectWriter) name(name string) {
	if o.wrote {
		o.dst = append(o.dst, ',')
	}
	o.wrote = true
	o.dst = append(appendString(o.dst, name), ':')
}

func (o *objectWriter) string(name, value string) {
	if value != "" {
		o.name(name)
		o.dst = appendString(o.dst, value)
	}
}

func (o *objectWriter) count(name string, value int) {
	if value > 0 {
		o.name(name)
		o.dst = strconv.AppendInt(o.dst, int64(value), 10)
	}
}

func (o *objectWriter) strings(name string, values []string) {
	if len(values) == 0 {
		return
	}
	o.name(name)
	for i, value := range values {
		separator := byte(',')
		if i == 0 {
			separator = '['
		}
		o.dst = appendString(append(o.dst, separator), value)
	}
	o.dst = append(o.dst, ']')
}
