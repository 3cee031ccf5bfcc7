package openai

// formatDraft is a response_format whose fields are still being read. Name,
// description, schema and strict are in json_schema, or (flat) beside the type.
type formatDraft struct {
	kind         string
	empty        bool // no field at all
	flat, nested Format
	hasNested    bool
}

func (p *parser) responseFormat() error {
	f := formatDraft{empty: true}
	if err := p.optional(func(name string) error { return p.formatField(&f, name) }); err != nil {
		return err
	}
	return p.setFormat(&f)
}

func (p *parser) formatField(f *formatDraft, name string) (err error) {
	f.empty = false
	switch name {
	case "type":
		f.kind, err = p.string()
	case "json_schema":
		if p.null() {
			return nil
		}
		f.hasNested = true
		err = p.object(func(name string) error { return p.schemaField(&f.nested, name) })
	default:
		err = p.schemaField(&f.flat, name)
	}
	return err
}

func (p *parser) schemaField(f *Format, name string) (err error) {
	switch name {
	case "name":
		f.Name, err = p.identifier()
	case "description":
		f.Description, err = p.string()
	case "strict":
		err = p.setBool(&f.Strict)
	case "schema":
		f.Schema, err = p.jsonObject()
	default:
		err = p.skip()
	}
	return err
}

// setFormat takes over what has been read.
func (p *parser) setFormat(f *formatDraft) error {
	const param = "response_format"
	format, at := f.flat, param
	if f.hasNested {
		format, at = f.nested, param+".json_schema"
	}
	switch f.kind {
	case FormatObject:
	case FormatSchema:
		if format.Schema != "" {
			break
		}
		if !f.hasNested {
			return fail(codeMissing, at+".json_schema", "response_format.json_schema is missing; send the schema there, or the type json_object.")
		}
		return fail(codeMissing, at+".schema", "%s.schema is missing; send a JSON Schema, or the type json_object.", at)
	case "text":
		return nil
	case "":
		if f.empty {
			return nil
		}
		return fail(codeMissing, param+".type", "response_format.type is missing; send text, json_object or json_schema.")
	default:
		return fail(codeInvalid, param+".type", "response_format.type is %s; send text, json_object or json_schema.", quoted(f.kind))
	}
	format.Type, format.Param = f.kind, at
	p.req.Format = format
	return nil
}
