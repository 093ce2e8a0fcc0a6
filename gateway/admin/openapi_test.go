package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
)

type object = map[string]any

// document is the OpenAPI document of the routes and the types that they answer with.
func document(t *testing.T) object {
	t.Helper()
	d := &describer{words: words(t), schemas: object{}}
	paths := object{}
	routes := (&Server{}).routes()
	for i := range routes {
		r := &routes[i]
		var parameters []any
		if strings.Contains(r.path, "{id}") {
			parameters = append(parameters, object{
				"name": "id", "in": "path", "required": true, "schema": object{"type": "string"},
				"description": "What the request's client knows it by, or its ticket.",
			})
		}
		for _, name := range r.parameters {
			p := parameterSchemas()[name]
			parameters = append(parameters, object{"name": name, "in": "query", "description": p.what, "schema": p.schema})
		}
		schema := any(object{"type": "object"})
		if r.of != nil {
			schema = d.of(reflect.TypeOf(r.of))
		}
		failed := object{"description": "What is wrong.", "content": object{"application/json": object{"schema": d.of(reflect.TypeFor[api.Error]())}}}
		of := object{
			"summary": r.summary,
			"responses": object{
				"200": object{"description": "The answer.", "content": object{"application/json": object{"schema": schema}}}, "default": failed,
			},
		}
		if parameters != nil {
			of["parameters"] = parameters
		}
		if r.takes != nil {
			of["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": d.of(reflect.TypeOf(r.takes))}}}
		}
		if paths[r.path] == nil {
			paths[r.path] = object{}
		}
		paths[r.path].(object)[strings.ToLower(r.method())] = of
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Weir's admin API", "version": "1",
			"description": "Answers are of the whole fleet, at whichever replica they are asked for; scope=replica asks one alone. Live replicas that do not answer in time are named in fleet.missing. Lists come in pages. What changes something needs the admin token. Times are in RFC 3339, durations in milliseconds.",
		},
		"paths":      paths,
		"components": object{"schemas": d.schemas},
	}
}

type parameter struct {
	what   string
	schema object
}

func parameterSchemas() map[string]parameter {
	enum := func(values ...string) object { return object{"type": "string", "enum": values} }
	return map[string]parameter{
		"pool":     {"The pool that is meant, where the replica has several; /v1/pools has their names.", object{"type": "string"}},
		"scope":    {"Of the whole fleet, or of the replica that is asked alone.", enum("fleet", "replica")},
		"limit":    {"How many a page has at most.", object{"type": "integer", "minimum": 1, "maximum": maxPage, "default": defaultPage}},
		"offset":   {"How many to leave out at the begin.", object{"type": "integer", "minimum": 0, "default": 0}},
		"flow":     {"Of flows: those whose ids contain it, in whichever case. Of requests: those of the flow of that id.", object{"type": "string"}},
		"priority": {"Those of that priority.", object{"type": "integer"}},
		"state":    {"Those that wait, or are in flight, or are at a limit of their own.", enum("waiting", "in_flight", "at_limit")},
		"sort":     {"The order; turned round after a minus sign. Without it: the highest priority first.", enum(slices.Concat(flowOrders(), descending(flowOrders()))...)},
		"group":    {"Those in the group of that path, or in a group that is in it.", object{"type": "string"}},
		"by":       {"What is told apart: flows or their groups, hours, or both.", enum(usageBy...)},
		"from":     {"What was used since that time, in whole hours; the last day by default.", object{"type": "string", "format": "date-time"}},
		"to":       {"What was used before that time.", object{"type": "string", "format": "date-time"}},
		"endpoint": {"Of an endpoint: its name, address or URL.", object{"type": "string"}},
		"kind":     {"Those of that kind.", object{"type": "string"}},
		"since":    {"Those after that time.", object{"type": "string", "format": "date-time"}},
	}
}

// describer makes schemas of types.
type describer struct {
	words   map[string]string // by type, and by type and field: the comments
	schemas object
}

// of is the schema of a type.
func (d *describer) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		s := d.of(t.Elem())
		if typ, plain := s["type"].(string); plain {
			s["type"] = []any{typ, "null"}
		}
		return s
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": d.of(t.Elem())}
	case t.Kind() == reflect.Map:
		return object{"type": "object", "additionalProperties": d.of(t.Elem())}
	case t.Kind() == reflect.Struct:
		if d.schemas[t.Name()] == nil {
			s := object{"type": "object", "additionalProperties": false}
			d.schemas[t.Name()] = s // before its fields, which may be of it
			if text := d.words[t.Name()]; text != "" {
				s["description"] = text
			}
			properties, required := object{}, []string{}
			d.fields(t, properties, &required)
			s["properties"], s["required"] = properties, required
		}
		return object{"$ref": "#/components/schemas/" + t.Name()}
	case t.Kind() == reflect.String:
		return object{"type": "string"}
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case t.Kind() == reflect.Float64:
		return object{"type": "number"}
	default:
		return object{"type": "integer"}
	}
}

func (d *describer) fields(t reflect.Type, properties object, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			d.fields(f.Type, properties, required)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		s := d.of(f.Type)
		if text := d.words[t.Name()+"."+f.Name]; text != "" {
			s["description"] = text
		}
		properties[name] = s
		if options == "" {
			*required = append(*required, name)
		}
	}
	slices.Sort(*required)
}

// words are the comments of the types and their fields.
func words(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("api/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var decls []ast.Decl
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		decls = append(decls, file.Decls...)
	}
	all := make(map[string]string)
	text := func(g *ast.CommentGroup) string { return strings.Join(strings.Fields(g.Text()), " ") }
	for _, decl := range decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range g.Specs {
			s, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			all[s.Name.Name] = text(g.Doc)
			if fields, ok := s.Type.(*ast.StructType); ok {
				for _, f := range fields.Fields.List {
					for _, name := range f.Names {
						all[s.Name.Name+"."+name.Name] = text(f.Doc)
					}
				}
			}
		}
	}
	return all
}

// TestOpenAPIIsCurrent holds the document against the routes and the types;
// WEIR_REWRITE=1 writes it.
func TestOpenAPIIsCurrent(t *testing.T) {
	want, err := json.MarshalIndent(document(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if os.Getenv("WEIR_REWRITE") != "" {
		if err := os.WriteFile("openapi.json", want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(openAPI, want) {
		t.Error("openapi.json is not what the routes and their types say; make openapi writes it")
	}
}

// TestOpenAPIHolds holds what the handlers really answer against the document, and asks
// for every path of it.
func TestOpenAPIHolds(t *testing.T) {
	f := newFleet(t, 2, 1)
	f.begin("a", "t", "one", 0)
	f.begin("b", "t", "two", 0)
	m := f.replicas["a"]
	eventually(t, "one waits", func() bool {
		var p api.Pool
		m.get(t, "/v1/pool", 200, &p)
		return p.Queued == 1
	})
	m.Note(api.ConfigReloaded, api.Info, "a", "for the list")
	m.history.add(&api.Sample{At: time.Now(), QueuedByBand: map[string]int64{"0": 1}})
	var doc object
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	schemas := doc["components"].(object)["schemas"].(object)
	for path, item := range doc["paths"].(object) {
		schema := item.(object)["get"].(object)["responses"].(object)["200"].(object)["content"].(object)["application/json"].(object)["schema"].(object)
		for _, id := range []string{"one", "two"} {
			w := httptest.NewRecorder()
			m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(path, "{id}", id, 1), nil))
			var answer any
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
				t.Fatalf("%s: status %d, %v", path, w.Code, err)
			}
			for _, problem := range check(answer, schema, schemas, path) {
				t.Error(problem)
			}
		}
	}
	routes := m.routes()
	for i := range routes {
		r := &routes[i]
		if methods, _ := doc["paths"].(object)[r.path].(object); methods[strings.ToLower(r.method())] == nil {
			t.Errorf("%s %s is answered and not in the document", r.method(), r.path)
		}
	}
	if problems := check(object{"replica": 1.0}, object{"$ref": "#/components/schemas/Index"}, schemas, "x"); len(problems) != 3 {
		t.Errorf("the check finds %q in an answer with a wrong type and two fields missing", problems)
	}
}

// check returns what is wrong with a value by a schema.
func check(v any, schema, schemas object, at string) (problems []string) {
	if ref, ok := schema["$ref"].(string); ok {
		if v == nil {
			return nil // a pointer to it
		}
		schema = schemas[strings.TrimPrefix(ref, "#/components/schemas/")].(object)
	}
	types, several := schema["type"].([]any)
	if !several {
		types = []any{schema["type"]}
	}
	kind := map[string]string{"float64": "number", "string": "string", "bool": "boolean", "<nil>": "null"}[fmt.Sprintf("%T", v)]
	switch v := v.(type) {
	case object:
		kind = "object"
		properties, _ := schema["properties"].(object)
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, there := v[name.(string)]; !there {
				problems = append(problems, fmt.Sprintf("%s has no %s", at, name))
			}
		}
		for name, member := range v {
			s, known := properties[name].(object)
			if !known {
				s, known = schema["additionalProperties"].(object)
			}
			if !known && properties != nil {
				problems = append(problems, fmt.Sprintf("%s.%s is not in the document", at, name))
			} else if known {
				problems = append(problems, check(member, s, schemas, at+"."+name)...)
			}
		}
	case []any:
		kind = "array"
		for i, element := range v {
			problems = append(problems, check(element, schema["items"].(object), schemas, at+"["+strconv.Itoa(i)+"]")...)
		}
	case float64:
		if v == float64(int64(v)) && slices.Contains(types, any("integer")) {
			kind = "integer"
		}
	}
	if !slices.Contains(types, any(kind)) {
		problems = append(problems, fmt.Sprintf("%s is %s, and not %v", at, kind, types))
	}
	return problems
}
