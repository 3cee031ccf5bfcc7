package caddyqwen

import (
	"fmt"
	"os"
	"strings"
)

// loadEnvironment sets the variables of an environment file that are not set yet, as
// `caddy run --envfile` does, which offers this to nobody else. No error repeats what
// is in the file.
func loadEnvironment(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the environment file: %w", err)
	}
	lines := strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return fmt.Errorf("the environment file %s: line %d is not of the form NAME=value", path, i+1)
		}
		value, _, _ = strings.Cut(value, "#")
		value = strings.TrimRight(value, " \t")
		if value != "" && (value[0] == '"' || value[0] == '\'') {
			value, i = quotedValue(lines, value, i)
		}
		if _, set := os.LookupEnv(name); !set {
			if err := os.Setenv(name, value); err != nil {
				return fmt.Errorf("the environment file %s: line %d cannot be set as a variable", path, i+1)
			}
		}
	}
	return nil
}

// quotedValue returns a value in quotes, which may go on in the following lines, and
// the line in which it ends.
func quotedValue(lines []string, value string, at int) (string, int) {
	quote := value[:1]
	value = value[1:]
	for {
		if text, closed := strings.CutSuffix(value, quote); closed && !strings.HasSuffix(text, `\`) {
			return strings.ReplaceAll(text, `\`+quote, quote), at
		}
		if at++; at >= len(lines) {
			return strings.ReplaceAll(value, `\`+quote, quote), at
		}
		value += "\n" + lines[at]
	}
}
