package emulator

import (
	"bytes"
	"encoding/json"
)

// maxLocalTools is the size in bytes of the declaration of local tools above which
// the model says nothing.
const maxLocalTools = 127 << 10

// DeclaredTool is a function of the client that a completion has declared in
// `feature_config.local_mcp`.
type DeclaredTool struct {
	Server      string // the name under which the client has grouped it
	Name        string
	Description string
	Schema      string // the JSON text of `input_schema`
}

// localTools reads `local_mcp`, in the order in which the client has written it.
// An empty object stands for tools that the account has set up, of which the
// emulated one has none.
func localTools(raw json.RawMessage) (list []DeclaredTool, ok bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, true
	}
	ok = eachMember(raw, func(server string, tools json.RawMessage) bool {
		return eachMember(tools, func(name string, tool json.RawMessage) bool {
			var t struct {
				Description string          `json:"description"`
				Schema      json.RawMessage `json:"input_schema"`
			}
			if json.Unmarshal(tool, &t) != nil || !bytes.HasPrefix(t.Schema, []byte("{")) {
				return false
			}
			list = append(list, DeclaredTool{Server: server, Name: name, Description: t.Description, Schema: string(t.Schema)})
			return true
		})
	})
	return list, ok
}

// eachMember calls a function for each member of a JSON object until it returns
// false. It returns false then, and if the text is no object.
func eachMember(raw json.RawMessage, do func(name string, value json.RawMessage) bool) bool {
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return false
	}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil || !do(name.(string), value) {
			return false
		}
	}
	_, err := d.Token()
	return err == nil
}

// ServerError is the refusal with which the site has answered turns that declare
// local tools, see [Site.RefuseLocalTools].
func ServerError() Reply {
	return Refusal("Internal_Server_Error", "Internal Server Error")
}

// RefuseLocalTools makes the site give the same answer to every completion that
// declares local tools, or no longer if there is none. The real site does so for
// some, with [ServerError]. Scripted answers stay queued meanwhile.
func (s *Site) RefuseLocalTools(r ...Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noLocalTools = nil
	if len(r) > 0 {
		s.noLocalTools = &r[0]
	}
}

// inspectLocalTools finds what the site refuses in a declaration of local tools.
func (s *Site) inspectLocalTools(b *completionBody) ([]DeclaredTool, *Reply) {
	list, ok := localTools(b.Messages[0].Feature.LocalMCP)
	if !ok {
		r := invalid("local_mcp", "must be an object of objects of tools, each with an input_schema.")
		return nil, &r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(list) > 0 && s.noLocalTools != nil {
		return nil, s.noLocalTools
	}
	return list, nil
}
