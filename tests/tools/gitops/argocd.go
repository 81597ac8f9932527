package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// scriptTime is how long Argo CD lets a script run.
	scriptTime = time.Second
	// hookFinalizer is what Argo CD puts on hooks while they run.
	hookFinalizer = "argocd.argoproj.io/hook-finalizer"
)

// healthStatuses are what Argo CD takes from a script.
var healthStatuses = []string{"Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown"}

// argoCDOf is what Argo CD shows: it does not ask the script about what is being deleted, unless that is a hook of its own.
func argoCDOf(object *unstructured.Unstructured, script string) (Verdict, error) {
	if object.GetDeletionTimestamp() != nil && !slices.Contains(object.GetFinalizers(), hookFinalizer) {
		return Verdict{Status: "Progressing", Message: "Pending deletion"}, nil
	}
	return runHealthScript(object, script)
}

// runHealthScript asks the script, as Argo CD does for a customization of argocd-cm: with the base functions, `table`, a part
// of `os`, and nothing else, so that a script that needs `string` or `math` fails here as it would there.
func runHealthScript(object *unstructured.Unstructured, script string) (Verdict, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	libraries := []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage},
		{lua.BaseLibName, lua.OpenBase},
		{lua.TabLibName, lua.OpenTable},
	}
	for _, library := range libraries {
		opening := lua.P{Fn: state.NewFunction(library.open), Protect: true}
		if err := state.CallByParam(opening, lua.LString(library.name)); err != nil {
			return Verdict{}, fmt.Errorf("opening the Lua library %q: %w", library.name, err)
		}
	}
	state.PreloadModule(lua.OsLibName, safeOS)

	ctx, cancel := context.WithTimeout(context.Background(), scriptTime)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", luaValue(state, object.Object))
	if err := state.DoString(script); err != nil {
		if ctx.Err() != nil {
			return Verdict{}, fmt.Errorf("the health script ran longer than %s", scriptTime)
		}
		return Verdict{}, fmt.Errorf("running the health script: %w", err)
	}
	return verdictOf(state.Get(-1))
}

func verdictOf(returned lua.LValue) (Verdict, error) {
	table, ok := returned.(*lua.LTable)
	if !ok {
		return Verdict{}, fmt.Errorf("the health script returned a %s, not a table", returned.Type())
	}
	status, ok := table.RawGetString("status").(lua.LString)
	if !ok {
		return Verdict{}, errors.New("the health script returned no status")
	}
	if !slices.Contains(healthStatuses, string(status)) {
		return Verdict{}, fmt.Errorf("Argo CD knows no health status %q", string(status))
	}
	message, ok := table.RawGetString("message").(lua.LString)
	if !ok {
		return Verdict{}, errors.New("the health script returned no message")
	}
	return Verdict{Status: string(status), Message: string(message)}, nil
}

// safeOS is what `require("os")` gives a script: the time, and nothing else of the machine. There is no global `os`.
func safeOS(state *lua.LState) int {
	whole := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer whole.Close()
	lua.OpenOs(whole)
	library := whole.CheckTable(-1)
	functions := map[string]lua.LGFunction{}
	for _, name := range []string{"time", "date"} {
		if function, ok := library.RawGetString(name).(*lua.LFunction); ok {
			functions[name] = function.GFunction
		}
	}
	state.Push(state.SetFuncs(state.NewTable(), functions))
	return 1
}

// luaValue is the value as Argo CD hands it to scripts: every number as a Lua number.
func luaValue(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		table := state.CreateTable(len(value), 0)
		for _, item := range value {
			table.Append(luaValue(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, luaValue(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
