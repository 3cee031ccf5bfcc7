package caddyqwen

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// described is the description of the API as a client reads it.
type described struct {
	*v3.Document
	validator.Validator
}

// mustDescribe reads the description. It is built once for all tests, which do not
// change it.
func mustDescribe(t testing.TB) described {
	t.Helper()
	d, err := readDescription()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// freeForms are the places in requests where the client's own JSON is.
var freeForms = []string{"$.body.**.parameters.**", "$.body.**.input_schema.**", "$.body.**.schema.**", "$.body.**.arguments.**"}

var readDescription = sync.OnceValues(func() (described, error) { return describeFrom([]byte(openAPI)) })

func describeFrom(text []byte) (d described, err error) {
	doc, err := libopenapi.NewDocument(text)
	if err != nil {
		return d, err
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		return d, err
	}
	check, errs := validator.NewValidator(doc, config.WithStrictMode(), config.WithStrictIgnorePaths(freeForms...), config.WithStrictIgnoredHeadersExtra(plainHeaders...))
	if len(errs) > 0 {
		return d, errs[0]
	}
	return described{&model.Model, check}, nil
}

func TestOpenAPIIsValid(t *testing.T) {
	d := mustDescribe(t)
	if d.Version != "3.1.0" {
		t.Errorf("the version is %s", d.Version)
	}
	if ok, errs := d.ValidateDocument(); !ok {
		for _, err := range errs {
			t.Errorf("%v: %v", err, err.SchemaValidationErrors)
		}
	}
}

// operations returns the operations of the description by method and path, with the
// values of those path parameters that have few.
func (d described) operations() map[string]*v3.Operation {
	found := make(map[string]*v3.Operation)
	for path, item := range d.Paths.PathItems.FromOldest() {
		for method, op := range item.GetOperations().FromOldest() {
			for _, path := range pathsOf(path, op) {
				found[strings.ToUpper(method)+" "+path] = op
			}
		}
	}
	return found
}

func pathsOf(path string, op *v3.Operation) (paths []string) {
	for _, p := range op.Parameters {
		if p.In == "path" && len(p.Schema.Schema().Enum) > 0 {
			for _, value := range p.Schema.Schema().Enum {
				paths = append(paths, strings.Replace(path, "{"+p.Name+"}", value.Value, 1))
			}
			return paths
		}
	}
	return []string{path}
}

// TestOpenAPIRoutes compares the description with the table of routes: addresses,
// methods, and whether a key is needed.
func TestOpenAPIRoutes(t *testing.T) {
	d := mustDescribe(t)
	documented := d.operations()
	var want []string
	for path, rt := range routes {
		if path == docsPrefix { // the page at /docs in another spelling
			continue
		}
		for method := range strings.SplitSeq(rt.methods, ", ") {
			want = append(want, method+" "+path)
			op := documented[method+" "+path]
			if op == nil {
				continue
			}
			open, closed := rt.public(&Handler{}), !rt.public(&Handler{PublicModels: new(bool)})
			closed = closed || op.Responses.Codes.GetOrZero("401") != nil // for some requests
			if without, with := d.access(op); without != open || with != closed {
				t.Errorf("%s %s: documented is without a key: %v, with one: %v; it is %v and %v", method, path, without, with, open, closed)
			}
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(documented)); !slices.Equal(got, want) {
		t.Errorf("documented are\n%q, and there are\n%q", got, want)
	}
}

// access tells whether an operation is documented to go without a key, and whether
// with one of either kind.
func (d described) access(op *v3.Operation) (without, with bool) {
	security := op.Security
	if security == nil {
		security = d.Security
	}
	var kinds []string
	for _, requirement := range security {
		without = without || requirement.ContainsEmptyRequirement
		for name := range requirement.Requirements.FromOldest() {
			kinds = append(kinds, name)
		}
	}
	return without || len(security) == 0, slices.Equal(kinds, []string{"bearer", "apiKey"})
}

// TestOpenAPIErrorCodes compares the codes with those in docs/errors.md, which
// another test compares with the sources, and the statuses of all operations.
func TestOpenAPIErrorCodes(t *testing.T) {
	d := mustDescribe(t)
	rows := documentedErrors(t, mustReadDocument(t, "docs/errors.md"))
	var got []string
	for _, value := range d.Components.Schemas.GetOrZero("ErrorCode").Schema().Enum {
		got = append(got, value.Value)
	}
	slices.Sort(got)
	if want := slices.Sorted(maps.Keys(rows)); !slices.Equal(got, want) {
		t.Errorf("the codes are\n%q, and documented in docs/errors.md are\n%q", got, want)
	}
	statuses := make(map[string]bool)
	for _, row := range rows {
		for status := range strings.SplitSeq(row[0], ", ") {
			statuses[status] = true
		}
	}
	delete(statuses, "405") // of methods that have no operation
	for _, op := range d.operations() {
		for status := range op.Responses.Codes.FromOldest() {
			delete(statuses, status)
		}
	}
	if len(statuses) > 0 {
		t.Errorf("no operation has the statuses %q", slices.Sorted(maps.Keys(statuses)))
	}
}

// TestOpenAPIOperations checks what every operation must have.
func TestOpenAPIOperations(t *testing.T) {
	ids := make(map[string]bool)
	var tags []string
	for _, tag := range mustDescribe(t).Tags {
		tags = append(tags, tag.Name)
	}
	for name, op := range mustDescribe(t).operations() {
		if file := op.OperationId == "loadDocsFile"; op.OperationId == "" || ids[op.OperationId] && !file {
			t.Errorf("%s has the id %q", name, op.OperationId)
		}
		ids[op.OperationId] = true
		if op.Summary == "" || len(op.Tags) != 1 || !slices.Contains(tags, op.Tags[0]) {
			t.Errorf("%s has the summary %q and the tags %q", name, op.Summary, op.Tags)
		}
		if !slices.ContainsFunc(op.Parameters, func(p *v3.Parameter) bool { return p.Name == "X-Request-Id" }) {
			t.Errorf("%s does not take X-Request-Id", name)
		}
		for status, answer := range op.Responses.Codes.FromOldest() {
			for _, header := range []string{"X-Request-Id", "Server-Timing"} {
				if answer.Headers.GetOrZero(header) == nil {
					t.Errorf("%s: the answer %s has no %s", name, status, header)
				}
			}
		}
	}
}

// TestOpenAPIServer checks that the document names the address that was called.
func TestOpenAPIServer(t *testing.T) {
	if n := strings.Count(openAPI, openAPIServer); n != 1 {
		t.Fatalf("the place for the address is %d times in the document", n)
	}
	for _, prefix := range []string{"", "/ai/qwen", "/a'b"} {
		t.Run(cmp.Or(prefix, "root"), func(t *testing.T) {
			g := mustGateway(t, setup{prefix: prefix})
			got := g.do(http.MethodGet, "/openapi.yaml", "", "Authorization", "")
			if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/yaml" {
				t.Fatalf("%d %s: %s", got.status, got.header, tail(got.body))
			}
			d, err := describeFrom([]byte(got.body))
			if err != nil {
				t.Fatal(err)
			}
			want := g.url
			if strings.Contains(prefix, "'") {
				want = strings.TrimSuffix(g.url, prefix) + "/a%27b"
			}
			if len(d.Servers) != 1 || d.Servers[0].URL != want {
				t.Errorf("the servers are %v, want %s", d.Servers, want)
			}
		})
	}
}
