package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	examples = "../../../examples/gitops"
	kindDir  = examples + "/argocd/resource_customizations/commandcenter.dev/SalesforceBackup"
)

func TestAScriptHasNoMoreThanArgoCDGivesIt(t *testing.T) {
	object := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"generation": int64(7)}}}
	cases := []struct{ script, want string }{
		{`return {status = "Healthy", message = "generation " .. obj.metadata.generation}`, "Healthy: generation 7"},
		{`return {status = "Healthy", message = table.concat({"a", "b"})}`, "Healthy: ab"},
		{`return {status = "Healthy", message = type(require("os").time())}`, "Healthy: number"},
		{`return {status = "Healthy", message = type(require("os").getenv)}`, "Healthy: nil"},
		{`return {status = "Healthy", message = type(os)}`, "Healthy: nil"},
		{`return {status = "Healthy", message = type(io)}`, "Healthy: nil"},
		{`return {status = "Healthy", message = string.format("%d", 1)}`, "attempt to index a non-table object(nil) with key 'format'"},
		{`return {status = "Fine", message = ""}`, `no health status "Fine"`},
		{`return {status = "Healthy"}`, "no message"},
		{`return "Healthy"`, "a string, not a table"},
		{`while true do end`, "longer than 1s"},
	}
	for _, c := range cases {
		verdict, err := runHealthScript(object, c.script)
		got := verdict.Status + ": " + verdict.Message
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.script, got, c.want)
		}
	}
}

// What the three say of the same object must not contradict each other.
func TestTheToolsAgreeOnAllTestData(t *testing.T) {
	script, err := os.ReadFile(kindDir + "/health.lua")
	if err != nil {
		t.Fatal(err)
	}
	flux, err := readFlux(examples + "/flux/kustomizations.yaml")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string][]string{
		"Current":    {"Current Healthy"},
		"InProgress": {"InProgress Progressing", "InProgress Suspended"},
		"Failed":     {"Failed Degraded"},
		// Argo CD goes on to judge a hook of its own.
		"Terminating": {"InProgress Progressing", "InProgress Healthy", "InProgress Degraded"},
	}
	files, err := filepath.Glob(kindDir + "/testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		// An API server with the CRD never gives such an object, because of the default of status.
		if filepath.Base(file) == "new_without_status.yaml" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		json, err := yaml.YAMLToJSONStrict(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(json); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		verdicts, err := verdictsOn(object, string(script), flux)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		others := verdicts.Flux + " " + verdicts.ArgoCD.Status
		found := false
		for _, one := range allowed[verdicts.Kstatus.Status] {
			found = found || one == others
		}
		if !found {
			t.Errorf("%s: kstatus says %s, Flux and Argo CD say %s", file, verdicts.Kstatus.Status, others)
		}
	}
}
