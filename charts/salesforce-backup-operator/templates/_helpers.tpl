{{/* Name of the application, for the selector. With room for -test, which is another application. */}}
{{- define "salesforce-backup-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" }}
{{- end }}

{{/* Name of the objects. 53 characters, as many as a release has, leave room for -metrics and -test in the 63 of a Service. */}}
{{- define "salesforce-backup-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- $name := include "salesforce-backup-operator.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* What selects the pods. It never changes, so it holds no version, and nothing that a value adds. */}}
{{- define "salesforce-backup-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "salesforce-backup-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* What selects the pod of `helm test`, which the operator's selector must not find. */}}
{{- define "salesforce-backup-operator.testSelectorLabels" -}}
app.kubernetes.io/name: {{ include "salesforce-backup-operator.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The chart's labels, as an object. */}}
{{- define "salesforce-backup-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "salesforce-backup-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
{{- end }}

{{/*
Metadata of an object. In: root, name, and if there are any namespace, labels, annotations; test for what belongs to
`helm test`. Labels are merged, the chart's own first, because a key that is there twice is refused.
*/}}
{{- define "salesforce-backup-operator.metadata" -}}
{{- $own := include "salesforce-backup-operator.labels" .root | fromYaml -}}
{{- if .test }}
{{- $own = merge (include "salesforce-backup-operator.testSelectorLabels" .root | fromYaml) $own -}}
{{- end -}}
name: {{ .name | quote }}
{{- with .namespace }}
namespace: {{ . | quote }}
{{- end }}
labels:
  {{- merge (dict) $own (default dict .labels) (default dict .root.Values.commonLabels) | toYaml | nindent 2 }}
{{- with merge (dict) (default dict .annotations) (default dict .root.Values.commonAnnotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "salesforce-backup-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "salesforce-backup-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: name one when serviceAccount.create is false, because the rights must not go to the namespace's default ServiceAccount" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "salesforce-backup-operator.image" -}}
{{- $image := .Values.image }}
{{- $registry := default $image.registry (default dict .Values.global).imageRegistry }}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default .Chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{/* Parents of this chart name pull secrets as text or as objects. */}}
{{- define "salesforce-backup-operator.imagePullSecrets" -}}
{{- $names := list }}
{{- range concat (default list (default dict .Values.global).imagePullSecrets) (default list .Values.imagePullSecrets) }}
{{- if kindIs "map" . }}
{{- $names = append $names .name }}
{{- else }}
{{- $names = append $names . }}
{{- end }}
{{- end }}
{{- range uniq $names }}
- name: {{ . | quote }}
{{- end }}
{{- end }}

{{/* A duration in milliseconds, such as 30s, 250ms or 1h30m; the schema has seen to its form. */}}
{{- define "salesforce-backup-operator.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 }}
{{- $sum := 0 }}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" . -1 }}
{{- $sum = add $sum (mul (regexFind "^[0-9]+" . | atoi) (get $units (regexFind "[a-z]+$" .))) }}
{{- end }}
{{- $sum }}
{{- end }}

{{/* The program elects a leader unless it is told not to. */}}
{{- define "salesforce-backup-operator.elects" -}}
{{- if ne (toString .Values.leaderElect) "false" }}true{{ end }}
{{- end }}

{{- define "salesforce-backup-operator.leaseName" -}}
{{- default (include "salesforce-backup-operator.fullname" .) .Values.leaseName }}
{{- end }}

{{- define "salesforce-backup-operator.leaseNamespace" -}}
{{- default .Release.Namespace .Values.leaseNamespace }}
{{- end }}

{{/* The port of --listen. */}}
{{- define "salesforce-backup-operator.port" -}}
{{- default "0.0.0.0:8080" .Values.listen | regexFind "[0-9]+$" }}
{{- end }}

{{/* The port of --probe-listen. */}}
{{- define "salesforce-backup-operator.probePort" -}}
{{- default "0.0.0.0:8081" .Values.probeListen | regexFind "[0-9]+$" }}
{{- end }}

{{- define "salesforce-backup-operator.terminationGracePeriodSeconds" -}}
{{- $period := default "60s" .Values.shutdownGracePeriod }}
{{- $grace := include "salesforce-backup-operator.milliseconds" $period | int64 }}
{{- $given := .Values.terminationGracePeriodSeconds }}
{{- if kindIs "invalid" $given }}
{{- /* 15 s more to give the lease back, and for the process to end. */ -}}
{{- add (div (add $grace 999) 1000) 15 }}
{{- else if lt (mul (int64 $given) 1000) $grace }}
{{- fail (printf "terminationGracePeriodSeconds: %d s are shorter than shutdownGracePeriod (%s): calls under way would not be recorded" (int64 $given) $period) }}
{{- else }}
{{- int64 $given }}
{{- end }}
{{- end }}

{{/* The variable with the proxy for https, if there is one. */}}
{{- define "salesforce-backup-operator.httpsProxy" -}}
{{- with .Values.proxy }}
{{- if .https -}}
- name: HTTPS_PROXY
  value: {{ .https | quote }}
{{- else if .httpsSecret.name -}}
- name: HTTPS_PROXY
  valueFrom:
    secretKeyRef:
      name: {{ .httpsSecret.name | quote }}
      key: {{ .httpsSecret.key | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "salesforce-backup-operator.testName" -}}
{{ include "salesforce-backup-operator.fullname" . }}-test
{{- end }}

{{/*
Name by which the operator reaches the simulator of `helm test`. Without a restriction that is the address of its pod; a list
of endpoints, and the exceptions of a proxy, can only hold a name that is known before.
*/}}
{{- define "salesforce-backup-operator.testHost" -}}
{{- if or .Values.allowedEndpoints (include "salesforce-backup-operator.httpsProxy" .) }}
{{- include "salesforce-backup-operator.testName" . }}.{{ .Release.Namespace }}.svc
{{- end }}
{{- end }}

{{/* Networks that hold all link-local addresses, by their own address and length. */}}
{{- define "salesforce-backup-operator.aroundLinkLocal" -}}
0.0.0.0/0 128.0.0.0/1 128.0.0.0/2 160.0.0.0/3 160.0.0.0/4 168.0.0.0/5 168.0.0.0/6 168.0.0.0/7 169.0.0.0/8 169.128.0.0/9 169.192.0.0/10 169.224.0.0/11 169.240.0.0/12 169.248.0.0/13 169.252.0.0/14 169.254.0.0/15
{{- end }}
{{- define "salesforce-backup-operator.aroundLinkLocal6" -}}
::/0 8000::/1 c000::/2 e000::/3 f000::/4 f800::/5 fc00::/6 fe00::/7 fe00::/8 fe80::/9
{{- end }}

{{/* A rule of egress of a NetworkPolicy. In: cidrs, ports. */}}
{{- define "salesforce-backup-operator.egress" -}}
- ports:
    {{- range .ports }}
    - protocol: TCP
      port: {{ int64 . }}
    {{- end }}
  to:
    {{- range .cidrs }}
    - ipBlock:
        cidr: {{ . | quote }}
        {{- if has . (include "salesforce-backup-operator.aroundLinkLocal" $ | splitList " ") }}
        except: [169.254.0.0/16]
        {{- else if has . (include "salesforce-backup-operator.aroundLinkLocal6" $ | splitList " ") }}
        except: ["fe80::/10"]
        {{- end }}
    {{- end }}
{{- end }}

{{/* What the schema cannot compare. Each refusal is of what could not work. */}}
{{- define "salesforce-backup-operator.validate" -}}
{{- if include "salesforce-backup-operator.elects" . }}
{{- $lease := default "15s" .Values.leaseDuration }}
{{- $deadline := default "10s" .Values.renewDeadline }}
{{- $retry := default "2s" .Values.retryPeriod }}
{{- if ge (include "salesforce-backup-operator.milliseconds" $deadline | int64) (include "salesforce-backup-operator.milliseconds" $lease | int64) }}
{{- fail (printf "renewDeadline (%s) must be shorter than leaseDuration (%s)" $deadline $lease) }}
{{- end }}
{{- if ge (include "salesforce-backup-operator.milliseconds" $retry | int64) (include "salesforce-backup-operator.milliseconds" $deadline | int64) }}
{{- fail (printf "retryPeriod (%s) must be shorter than renewDeadline (%s)" $retry $deadline) }}
{{- end }}
{{- end }}
{{- if not .Values.allowInsecureHttp }}
{{- range .Values.allowedEndpoints }}
{{- if hasPrefix "http:" . }}
{{- fail (printf "allowedEndpoints: %s is never called without allowInsecureHttp" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.tests.enabled .Values.watchNamespaces (not (has .Release.Namespace .Values.watchNamespaces)) }}
{{- fail (printf "tests.enabled: the test makes its backup in namespace %s, which watchNamespaces does not list" .Release.Namespace) }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled (not .Values.service.enabled) }}
{{- fail "serviceMonitor.enabled needs service.enabled; a PodMonitor needs no Service" }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "serviceMonitor.enabled and podMonitor.enabled: everything would be counted twice" }}
{{- end }}
{{- $stay := .Values.podDisruptionBudget.minAvailable }}
{{- if and .Values.podDisruptionBudget.enabled (gt (int64 .Values.replicas) 1) (or (kindIs "float64" $stay) (kindIs "int64" $stay)) (ge (int64 $stay) (int64 .Values.replicas)) }}
{{- fail (printf "podDisruptionBudget.minAvailable (%d) must be below replicas (%d): no node could be drained" (int64 $stay) (int64 .Values.replicas)) }}
{{- end }}
{{- if eq (include "salesforce-backup-operator.port" .) (include "salesforce-backup-operator.probePort" .) }}
{{- fail (printf "listen and probeListen: both are port %s" (include "salesforce-backup-operator.port" .)) }}
{{- end }}
{{- if and .Values.renewTokens .Values.rbac.create (not .Values.watchNamespaces) (not .Values.renewTokensInAllNamespaces) }}
{{- fail "renewTokens without watchNamespaces lets the operator create and update Secrets in every namespace, which amounts to being administrator of the cluster: name the namespaces in watchNamespaces, or set renewTokensInAllNamespaces to true" }}
{{- end }}
{{- if .Values.networkPolicy.enabled }}
{{- range $name, $hint := dict "apiServer" "the endpoints of Service kubernetes in namespace default (kubectl get endpointslices -n default)" "commandCenters" "the Command Centers, or the proxy that they are reached by" }}
{{- $cidrs := (get $.Values.networkPolicy $name).cidrs }}
{{- if not $cidrs }}
{{- fail (printf "networkPolicy.%s.cidrs is empty: name the addresses of %s; any address is 0.0.0.0/0" $name $hint) }}
{{- end }}
{{- range $cidrs }}
{{- if regexMatch "^(169\\.254\\.|[fF][eE][89abAB][0-9a-fA-F]:)" . }}
{{- if not (has . (include "salesforce-backup-operator.aroundLinkLocal" $ | splitList " ")) }}
{{- fail (printf "networkPolicy.%s.cidrs: %s is link-local, where cloud metadata services are" $name .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if not (or .Values.allowedEndpoints .Values.allowAnyEndpoint .Values.allowInsecureHttp) }}
{{- fail "allowedEndpoints is empty: list the addresses of your Command Centers (as in --set 'allowedEndpoints={https://commandcenter.example.com/commandcenter/api}'), or set allowAnyEndpoint to true, and whoever may write a Secret decides what is called" }}
{{- end }}
{{- end }}

{{/* What a monitor reads, of a Service or of a pod. In: the values of the monitor. */}}
{{- define "salesforce-backup-operator.endpoint" -}}
port: metrics
path: /metrics
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
