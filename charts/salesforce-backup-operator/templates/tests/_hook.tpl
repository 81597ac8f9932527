{{/*
Annotations of what exists for `helm test` only. In: the weight. What failed is left for a look at it, until the next test.
*/}}
{{- define "salesforce-backup-operator.hook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
