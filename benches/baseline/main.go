// The simplest competent controller for SalesforceBackup, to measure the operator against: two small status writes (an
// intent, an outcome) and one CreateTask call for each object. It looks at nothing, remembers nothing, and promises nothing.
//
// Environment: KUBECONFIG, BASELINE_NAMESPACE, BASELINE_URL, BASELINE_TOKEN, BASELINE_CONCURRENCY.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

var kind = schema.GroupVersionKind{Group: "commandcenter.dev", Version: "v1alpha1", Kind: "SalesforceBackup"}

type reconciler struct {
	client.Client
	http       http.Client
	url, token string
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	if err := r.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if phase, _, _ := unstructured.NestedString(object.Object, "status", "phase"); phase != "" {
		return ctrl.Result{}, nil
	}
	if err := r.write(ctx, object, map[string]any{"phase": "Starting", "attempt": map[string]any{"number": int64(1)}}); err != nil {
		return ctrl.Result{}, err
	}
	task, jobs, err := r.createTask(ctx, object)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.write(ctx, object, map[string]any{"phase": "Running", "taskId": task, "jobIds": jobs})
}

func (r *reconciler) write(ctx context.Context, object *unstructured.Unstructured, fields map[string]any) error {
	status := map[string]any{"observedGeneration": object.GetGeneration()}
	for name, value := range fields {
		status[name] = value
	}
	object.Object["status"] = status
	return r.Status().Update(ctx, object)
}

func (r *reconciler) createTask(ctx context.Context, object *unstructured.Unstructured) (int64, []any, error) {
	associations, _, _ := unstructured.NestedSlice(object.Object, "spec", "associations")
	body, err := json.Marshal(map[string]any{"taskInfo": map[string]any{
		"associations": associations,
		"task":         map[string]any{"taskType": "IMMEDIATE"},
		"subTasks": []any{map[string]any{
			"subTask": map[string]any{"subTaskType": "BACKUP", "operationType": "BACKUP"},
			"options": map[string]any{"backupOpts": map[string]any{"backupLevel": 2}},
		}},
	}})
	if err != nil {
		return 0, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/CreateTask", bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authtoken", r.token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	response, err := r.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err
	}
	var accepted struct {
		TaskID int64    `json:"taskId"`
		JobIDs []string `json:"jobIds"`
	}
	if err := json.Unmarshal(answer, &accepted); err != nil || accepted.TaskID == 0 {
		return 0, nil, fmt.Errorf("status %d: %s", response.StatusCode, answer)
	}
	jobs := make([]any, len(accepted.JobIDs))
	for i, id := range accepted.JobIDs {
		jobs[i] = id
	}
	return accepted.TaskID, jobs, nil
}

func run() error {
	ctrl.SetLogger(logr.Discard())
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	// As the operator, which has no limit of its own on calls to the API server.
	config.QPS = -1
	concurrency, err := strconv.Atoi(os.Getenv("BASELINE_CONCURRENCY"))
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Metrics: server.Options{BindAddress: "0"},
		Cache:   cache.Options{DefaultNamespaces: map[string]cache.Config{os.Getenv("BASELINE_NAMESPACE"): {}}},
		Client:  client.Options{Cache: &client.CacheOptions{Unstructured: true}},
	})
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	transport := &http.Transport{MaxIdleConnsPerHost: concurrency}
	err = ctrl.NewControllerManagedBy(manager).
		For(object).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(&reconciler{
			Client: manager.GetClient(),
			http:   http.Client{Transport: transport},
			url:    os.Getenv("BASELINE_URL"),
			token:  os.Getenv("BASELINE_TOKEN"),
		})
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
