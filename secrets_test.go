package caddyqwen

// testHeader is the value of a header that the owner has pasted.
const testHeader = "canary-pasted-header"

// canaries are the texts that may be neither in a log nor in an error.
func canaries() []string {
	return []string{testKey, testToken, testCookie, testHeader, secretPrompt}
}
