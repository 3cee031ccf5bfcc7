package caddyqwen

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-qwen/caddy-qwen/internal/fetch"
	"github.com/caddy-qwen/caddy-qwen/internal/form"
	"github.com/caddy-qwen/caddy-qwen/internal/spool"
	"github.com/caddy-qwen/caddy-qwen/oss"
	"github.com/caddy-qwen/caddy-qwen/qwen"
)

// documentedErrors returns the rows of the table of all codes by code.
func documentedErrors(t *testing.T, d document) map[string][]string {
	t.Helper()
	rows := make(map[string][]string)
	for _, row := range d.rows("status") {
		if len(row) != 4 || len(codes(row[1])) != 1 {
			t.Fatalf("row %q", row)
		}
		code := codes(row[1])[0]
		if rows[code] != nil {
			t.Errorf("%s is twice in the table", code)
		}
		rows[code] = row
	}
	return rows
}

func TestDocsErrorCodes(t *testing.T) {
	d := mustReadDocument(t, "docs/errors.md")
	rows := documentedErrors(t, d)
	want := make(map[string]bool)
	for _, dir := range []string{".", "openai"} {
		for _, code := range codesInSources(t, dir) {
			want[code] = true
		}
	}
	got, known := slices.Sorted(maps.Keys(rows)), slices.Sorted(maps.Keys(want))
	if !slices.Equal(got, known) {
		t.Errorf("documented are\n%q, and in the sources are\n%q", got, known)
	}
	for _, code := range known {
		_, section, found := strings.Cut(d.prose, "\n### "+code+"\n")
		section, _, _ = strings.Cut(section, "\n#")
		if !found || !strings.Contains(section, "**Cause.**") || !strings.Contains(section, "**Remedy.**") {
			t.Errorf("%s has no section with cause and remedy", code)
		}
	}
}

// TestDocsErrorTable compares the table with what is answered.
func TestDocsErrorTable(t *testing.T) {
	rows := documentedErrors(t, mustReadDocument(t, "docs/errors.md"))
	problems := slices.Collect(maps.Values(siteProblems))
	problems = slices.AppendSeq(problems, maps.Values(ownProblems))
	problems = append(problems, *requestTooLarge(0), *describe(errUnknownURL), *describe(errMethod("GET")),
		*describe(unauthorizedForTest()), *describe(modelNotFound("m", nil)), *describe(errUnsupportedMedia("")), *describe(errDamagedKey))
	problems = append(problems, fileProblems()...)
	for _, p := range problems {
		row := rows[p.Code]
		if row == nil {
			t.Errorf("%s is not documented", p.Code)
			continue
		}
		if !slices.Contains(strings.Split(row[0], ", "), strconv.Itoa(p.Status)) {
			t.Errorf("%s: documented is the status %s, and answered %d", p.Code, row[0], p.Status)
		}
		if !slices.Contains(strings.Fields(strings.ReplaceAll(row[2], ",", "")), string(p.class)) {
			t.Errorf("%s: documented is the class %q, and answered %q", p.Code, row[2], p.class)
		}
	}
}

// fileProblems are failures that concern files.
func fileProblems() (problems []problem) {
	mismatch := invalidFile(http.StatusUnsupportedMediaType, "media_type_unsupported", "file", "It is another.")
	failures := []error{
		missingFile("file"), formError(form.ErrNotForm), formError(&form.FieldTooLargeError{Name: "prompt", Limit: 1}),
		mismatch, inRequest(mismatch), fileTooLarge("file", 1, "max_image"), errNotTaken("messages[0]", "m", "image"), errFileNotFound,
		spool.ErrFull, &spool.StorageError{Err: os.ErrPermission},
	}
	for kind := fetch.KindInvalid; kind <= fetch.KindEncoded; kind++ {
		failures = append(failures, &fetch.Error{Kind: kind})
	}
	for _, cause := range []error{
		&errNotRead{"It is empty."}, errReadTooLong, context.DeadlineExceeded, &qwen.Error{Kind: qwen.KindRejected},
		&qwen.Error{Kind: qwen.KindUnavailable}, &qwen.Error{Kind: qwen.KindTimeout}, &qwen.Error{Kind: qwen.KindCredential},
		&qwen.Error{Kind: qwen.KindQuota}, &qwen.Error{Kind: qwen.KindVerification}, &qwen.Error{Kind: qwen.KindNetwork},
	} {
		failures = append(failures, &uploadError{stage: stageGrant, cause: cause})
	}
	for kind := oss.Kind(0); kind <= oss.KindBody; kind++ {
		failures = append(failures, &uploadError{stage: stageTransfer, cause: &oss.Error{Kind: kind}})
	}
	for _, err := range failures {
		problems = append(problems, *describe(err))
	}
	return problems
}

func unauthorizedForTest() error { return (&callers{}).unauthorized("") }

// codesInSources returns the codes of the errors that a package makes: those in
// literals of the type Error, in assignments to a field Code and in calls of
// invalidFile, and the constants whose names start with code.
func codesInSources(t *testing.T, dir string) (found []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			found = append(found, codesIn(n)...)
			return true
		})
	}
	if len(found) == 0 {
		t.Errorf("no codes in %s", dir)
	}
	return found
}

// codesIn returns the codes in a node itself.
func codesIn(n ast.Node) (found []string) {
	switch n := n.(type) {
	case *ast.ValueSpec:
		for i, name := range n.Names {
			if strings.HasPrefix(name.Name, "code") && i < len(n.Values) {
				found = append(found, literal(n.Values[i])...)
			}
		}
	case *ast.AssignStmt: // of a field of a problem, alone or among others
		for i, to := range n.Lhs {
			if field, ok := to.(*ast.SelectorExpr); ok && field.Sel.Name == "Code" && i < len(n.Rhs) {
				found = append(found, literal(n.Rhs[i])...)
			}
		}
	case *ast.CallExpr: // of what makes errors of files: invalidFile(status, code, …)
		if name, ok := n.Fun.(*ast.Ident); ok && name.Name == "invalidFile" && len(n.Args) > 1 {
			found = append(found, literal(n.Args[1])...)
		}
	case *ast.CompositeLit:
		if !isOpenAIError(n.Type) {
			return nil
		}
		for _, element := range n.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok && pair.Key.(*ast.Ident).Name == "Code" {
				found = append(found, literal(pair.Value)...)
			}
		}
	}
	return found
}

// isOpenAIError reports whether a type is openai.Error as seen from outside or
// inside of its package.
func isOpenAIError(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		x, ok := e.X.(*ast.Ident)
		return ok && x.Name == "openai" && e.Sel.Name == "Error"
	case *ast.Ident:
		return e.Name == "Error"
	}
	return false
}

// literal returns the value of a string literal, or nothing.
func literal(e ast.Expr) []string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return nil
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return nil
	}
	return []string{s}
}
