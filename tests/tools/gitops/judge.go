package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Verdict is a status in the words of a tool, and what the tool says to it.
type Verdict struct {
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

// Verdicts are what the tools make of one object.
type Verdicts struct {
	Kstatus Verdict `json:"kstatus"`
	ArgoCD  Verdict `json:"argocd"`
	// Flux is Current, InProgress or Failed; Unknown where an expression could not be evaluated, which Flux waits out.
	Flux string `json:"flux"`
}

func judge(scriptPath, kustomizationsPath string, in io.Reader, out io.Writer) error {
	script, err := os.ReadFile(scriptPath)
	if err != nil {
		return fmt.Errorf("reading the health script: %w", err)
	}
	flux, err := readFlux(kustomizationsPath)
	if err != nil {
		return err
	}
	objects, err := readObjects(in)
	if err != nil {
		return err
	}
	all := make([]Verdicts, 0, len(objects))
	for i, object := range objects {
		verdicts, err := verdictsOn(object, string(script), flux)
		if err != nil {
			return fmt.Errorf("object %d (%s %s): %w", i, object.GetKind(), object.GetName(), err)
		}
		all = append(all, verdicts)
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(all); err != nil {
		return fmt.Errorf("writing the verdicts: %w", err)
	}
	return nil
}

func verdictsOn(object *unstructured.Unstructured, script string, flux *Flux) (Verdicts, error) {
	// Each tool gets a copy of its own: none of them can change what the next one sees.
	kstatus, err := kstatusOf(object.DeepCopy())
	if err != nil {
		return Verdicts{}, err
	}
	argocd, err := argoCDOf(object.DeepCopy(), script)
	if err != nil {
		return Verdicts{}, err
	}
	fluxStatus, err := flux.statusOf(context.Background(), object.DeepCopy())
	if err != nil {
		return Verdicts{}, err
	}
	return Verdicts{Kstatus: kstatus, ArgoCD: argocd, Flux: fluxStatus}, nil
}

// readObjects reads numbers as the tools' own clients do: whole ones as int64, which all of them rely on.
func readObjects(in io.Reader) ([]*unstructured.Unstructured, error) {
	var raw []json.RawMessage
	if err := json.NewDecoder(in).Decode(&raw); err != nil {
		return nil, fmt.Errorf("reading a JSON array of objects: %w", err)
	}
	objects := make([]*unstructured.Unstructured, 0, len(raw))
	for i, text := range raw {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			return nil, fmt.Errorf("reading object %d: %w", i, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}
