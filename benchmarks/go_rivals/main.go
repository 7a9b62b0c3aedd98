// The same rules over the same candidates by cel-go and by OPA, natively: compare_policy.py builds and drives this.
//
//	rivals FILE      FILE: {"cel": [...], "rego": "module", "task": {...}, "actions": [...]}
//
// For each line "cel 2000" or "opa 2000" on stdin, the first 2,000 candidates are evaluated and one line is printed: the
// processor time in nanoseconds, then the hits of each rule. "compile 100" compiles and checks every expression 100 times.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

type given struct {
	Cel     []string         `json:"cel"`
	Rego    string           `json:"rego"`
	Task    map[string]any   `json:"task"`
	Actions []map[string]any `json:"actions"`
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

// exact turns JSON numbers into int64 where they are whole, else into float64.
func exact(value any) any {
	switch v := value.(type) {
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return must(v.Float64())
		}
		return must(v.Int64())
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = exact(v[key])
		}
	}
	return value
}

func processor() int64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func environment() *cel.Env {
	return must(cel.NewEnv(
		cel.Variable("task", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("action", cel.MapType(cel.StringType, cel.DynType))))
}

func programs(env *cel.Env, sources []string) []cel.Program {
	var out []cel.Program
	for _, source := range sources {
		checked, issues := env.Compile(source)
		if issues != nil && issues.Err() != nil {
			must(0, issues.Err())
		}
		out = append(out, must(env.Program(checked, cel.EvalOptions(cel.OptOptimize))))
	}
	return out
}

func main() {
	runtime.GOMAXPROCS(1)
	file := must(os.Open(os.Args[1]))
	decoder := json.NewDecoder(file)
	decoder.UseNumber()
	var input given
	if err := decoder.Decode(&input); err != nil {
		must(0, err)
	}
	exact(any(input.Task))
	for _, action := range input.Actions {
		exact(any(action))
	}
	env := environment()
	rules := programs(env, input.Cel)
	activations := make([]map[string]any, len(input.Actions))
	values := make([]ast.Value, len(input.Actions))
	for i, action := range input.Actions {
		activations[i] = map[string]any{"task": input.Task, "action": action}
		values[i] = must(ast.InterfaceToValue(activations[i]))
	}
	ctx := context.Background()
	prepared := must(rego.New(rego.Query("data.rules.hit"), rego.Module("rules.rego", input.Rego)).PrepareForEval(ctx))
	fmt.Println("ready")

	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		count := must(strconv.Atoi(words[1]))
		hits := make([]int, len(rules))
		began := processor()
		switch words[0] {
		case "cel":
			for i := 0; i < count; i++ {
				for r, rule := range rules {
					result, _, err := rule.Eval(activations[i])
					if err == nil && result == types.True {
						hits[r]++
					}
				}
			}
		case "opa":
			for i := 0; i < count; i++ {
				found := must(prepared.Eval(ctx, rego.EvalParsedInput(values[i])))
				if len(found) == 0 {
					continue
				}
				for _, r := range found[0].Expressions[0].Value.([]any) {
					hits[must(r.(json.Number).Int64())]++
				}
			}
		case "compile":
			for i := 0; i < count; i++ {
				programs(env, input.Cel)
			}
		}
		fmt.Println(processor()-began, strings.Trim(fmt.Sprint(hits), "[]"))
	}
}
