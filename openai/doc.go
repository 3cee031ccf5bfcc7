// Package openai reads requests and writes answers in the format of OpenAI's
// API. It contains no HTTP server.
package openai
