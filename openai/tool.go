package openai

// Tool is a function that the model may call.
type Tool struct {
	// Name has 1 to 128 characters, none of which is a control character, a
	// quotation mark, a backslash or an angle bracket. No two tools have the
	// same one.
	Name string

	// Description tells the model what the function does. May be empty.
	Description string

	// Parameters is the JSON Schema of the arguments: the text of a JSON
	// object as the client has sent it, without white space. Empty if the
	// function has no parameters.
	Parameters string

	// Strict says that arguments must follow the schema.
	Strict bool

	// Param is the path in the request of the object that holds the fields
	// above, for errors: tools[3].function, tools[3] or functions[0].
	Param string
}

// The values of [ToolChoice.Mode].
const (
	ChoiceAuto     = "auto"
	ChoiceNone     = "none"
	ChoiceRequired = "required"
)

// ToolChoice says whether the model is to call a tool.
type ToolChoice struct {
	// Mode is ChoiceAuto, ChoiceNone or ChoiceRequired. Empty if the request
	// offers no tools.
	Mode string

	// Names are the tools that may be called, each once and all of them
	// offered. Empty if any may be.
	Names []string
}

// The values of [Format.Type].
const (
	FormatObject = "json_object"
	FormatSchema = "json_schema"
)

// Format is the form that the text of the answer must have.
type Format struct {
	// Type is FormatObject, FormatSchema, or empty for plain text.
	Type string

	// Name and Description tell the model what the JSON is. Usually empty.
	Name, Description string

	// Schema is the JSON Schema of the answer: the text of a JSON object as the
	// client has sent it, without white space. Never empty with FormatSchema;
	// with FormatObject only if the client sent one all the same.
	Schema string

	// Strict says that the answer must follow the schema.
	Strict bool

	// Param is the path in the request of the object that holds the schema, for
	// errors: response_format.json_schema or response_format. Empty for plain text.
	Param string
}
