package openai

import (
	"fmt"
	"net/http"
)

// The codes of errors in requests; [ParseChat] says what they mean.
const (
	codeJSON               = "invalid_json"
	codeInvalid            = "invalid_value"
	codeMissing            = "missing_required_parameter"
	codeUnsupported        = "unsupported_parameter"
	codeUnsupportedContent = "unsupported_content"
	codeTooLarge           = "request_too_large"
)

// fail returns the error for a request that cannot be served as it is.
func fail(code, param, format string, args ...any) error {
	status := http.StatusBadRequest
	if code == codeTooLarge {
		status = http.StatusRequestEntityTooLarge
	}
	return &Error{
		Status:  status,
		Message: fmt.Sprintf(format, args...),
		Type:    TypeInvalidRequest,
		Param:   param,
		Code:    code,
	}
}
