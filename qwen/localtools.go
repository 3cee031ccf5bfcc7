package qwen

import (
	"bytes"
	"encoding/json"
)

// localServer is the name under which a client's tools are declared. The site
// may put it, with a hyphen, before a tool's name in a call.
const localServer = "client"

// LocalTool is a function that the client executes.
type LocalTool struct {
	// Name is the function's name. One that begins with `client-` comes back
	// without that.
	Name string
	// Description tells the model what the function does. May be empty.
	Description string
	// Schema is the JSON Schema of the arguments. Default: an object without
	// properties.
	Schema string
}

// localTools is the value of `local_mcp`, with the tools in their order:
//
//	{"client":{"get_weather":{"description":"…","input_schema":{"type":"object",…}}}}
type localTools []LocalTool

// MarshalJSON fails if a schema is not JSON.
func (list localTools) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(`{"` + localServer + `":{`)
	for i, tool := range list {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := encode(tool.Name)
		if err != nil {
			return nil, err
		}
		declaration, err := encode(tool.declaration())
		if err != nil {
			return nil, err
		}
		out.Write(bytes.TrimSpace(name))
		out.WriteByte(':')
		out.Write(declaration)
	}
	out.WriteString("}}")
	return out.Bytes(), nil
}

type localDeclaration struct {
	Description string          `json:"description"`
	InputSchema json.RawMessage `json:"input_schema"`
}

func (t LocalTool) declaration() localDeclaration {
	d := localDeclaration{Description: t.Description, InputSchema: json.RawMessage(t.Schema)}
	if t.Schema == "" {
		d.InputSchema = json.RawMessage(`{"type":"object","properties":{}}`)
	}
	return d
}
