package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// healthTestFile is a health_test.yaml, as Argo CD's own repository has it.
type healthTestFile struct {
	Tests []healthTest `json:"tests"`
}

type healthTest struct {
	InputPath    string  `json:"inputPath"`
	HealthStatus Verdict `json:"healthStatus"`
}

// healthTests runs what is below DIR/<group>/<Kind>, prints a line for each test, and fails if one does.
func healthTests(dir string, out io.Writer) error {
	scripts, err := filepath.Glob(filepath.Join(dir, "*", "*", "health.lua"))
	if err != nil {
		return fmt.Errorf("looking for health scripts: %w", err)
	}
	if len(scripts) == 0 {
		return fmt.Errorf("no <group>/<Kind>/health.lua in %s", dir)
	}
	failures := 0
	for _, script := range scripts {
		failed, err := kindTests(filepath.Dir(script), out)
		if err != nil {
			return err
		}
		failures += failed
	}
	if failures > 0 {
		return fmt.Errorf("%d failed", failures)
	}
	return nil
}

// kindTests runs the tests of one kind, and says how many failed.
func kindTests(dir string, out io.Writer) (int, error) {
	script, err := os.ReadFile(filepath.Join(dir, "health.lua"))
	if err != nil {
		return 0, fmt.Errorf("reading the health script: %w", err)
	}
	tests, err := readHealthTests(filepath.Join(dir, "health_test.yaml"))
	if err != nil {
		return 0, err
	}
	unused, err := testData(dir)
	if err != nil {
		return 0, err
	}
	failures := 0
	report := func(name string, err error) {
		if err != nil {
			failures++
			fmt.Fprintf(out, "FAIL  %s: %v\n", name, err)
		} else {
			fmt.Fprintf(out, "ok    %s\n", name)
		}
	}
	for _, test := range tests {
		input := filepath.Join(dir, filepath.FromSlash(test.InputPath))
		delete(unused, input)
		report(input, test.run(input, string(script)))
	}
	for input := range unused {
		report(input, errors.New("no test uses it"))
	}
	return failures, nil
}

func readHealthTests(path string) ([]healthTest, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the tests: %w", err)
	}
	var file healthTestFile
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(file.Tests) == 0 {
		return nil, fmt.Errorf("%s has no tests", path)
	}
	return file.Tests, nil
}

// testData is every file in testdata, of which each has to be used.
func testData(dir string) (map[string]bool, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "testdata"))
	if err != nil {
		return nil, fmt.Errorf("looking for test data: %w", err)
	}
	files := make(map[string]bool, len(entries))
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".yaml") {
			files[filepath.Join(dir, "testdata", entry.Name())] = true
		}
	}
	return files, nil
}

// run asks the script itself, also where Argo CD would not get to it: upstream's tests do so, too.
func (t healthTest) run(input, script string) error {
	text, err := os.ReadFile(input)
	if err != nil {
		return fmt.Errorf("reading the object: %w", err)
	}
	json, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return fmt.Errorf("reading the object: %w", err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(json); err != nil {
		return fmt.Errorf("reading the object: %w", err)
	}
	verdict, err := runHealthScript(object, script)
	if err != nil {
		return err
	}
	if verdict != t.HealthStatus {
		return fmt.Errorf("got %q, %q; the test expects %q, %q",
			verdict.Status, verdict.Message, t.HealthStatus.Status, t.HealthStatus.Message)
	}
	return nil
}
