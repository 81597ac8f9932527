package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling/engine"
	"github.com/fluxcd/cli-utils/pkg/kstatus/polling/statusreaders"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Flux reads statuses as kustomize-controller does: by healthCheckExprs where one is for the kind, else by Flux's kstatus.
type Flux struct {
	custom    engine.StatusReader
	otherwise engine.StatusReader
}

// kustomization is what is read of a Flux Kustomization.
type kustomization struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
	} `json:"spec"`
}

// readFlux takes the healthCheckExprs of the one Kustomization in the file that has some.
func readFlux(path string) (*Flux, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the Flux Kustomizations: %w", err)
	}
	defer file.Close()
	var found *kustomization
	documents := yaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		var next kustomization
		if err := documents.Decode(&next); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		if next.Kind != "Kustomization" || len(next.Spec.HealthCheckExprs) == 0 {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%s: Kustomizations %s and %s both have healthCheckExprs", path, found.Metadata.Name, next.Metadata.Name)
		}
		found = &next
	}
	if found == nil {
		return nil, fmt.Errorf("%s: no Kustomization has healthCheckExprs", path)
	}
	return newFlux(found.Spec.HealthCheckExprs)
}

func newFlux(checks []kustomize.CustomHealthCheck) (*Flux, error) {
	reader, err := cel.NewStatusReader(checks)
	if err != nil {
		return nil, fmt.Errorf("healthCheckExprs: %w", err)
	}
	// The readers use a mapper to ask a cluster for objects only, and here they are given the objects.
	return &Flux{
		custom:    reader(nil),
		otherwise: statusreaders.NewGenericStatusReader(nil, status.Compute),
	}, nil
}

func (f *Flux) statusOf(ctx context.Context, object *unstructured.Unstructured) (string, error) {
	reader := f.otherwise
	if f.custom.Supports(object.GroupVersionKind().GroupKind()) {
		reader = f.custom
	}
	result, err := reader.ReadStatusForObject(ctx, nil, object)
	if err != nil {
		return "", fmt.Errorf("flux: %w", err)
	}
	if result.Error != nil {
		fmt.Fprintf(os.Stderr, "gitops: flux: %s %s: %v\n", object.GetKind(), object.GetName(), result.Error)
	}
	return result.Status.String(), nil
}
