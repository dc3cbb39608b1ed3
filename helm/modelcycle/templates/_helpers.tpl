{{- define "modelcycle.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Labels that select the pods of one component: (list $ "operator"). */}}
{{- define "modelcycle.selector" -}}
app.kubernetes.io/name: modelcycle
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "modelcycle.labels" -}}
{{ include "modelcycle.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
{{- end }}

{{/* An image: (list $ "operator"). What names no registry would silently be looked for on a public one. */}}
{{- define "modelcycle.image" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $repository := $root.Values.image.repository | trimSuffix "/" -}}
{{- if not (regexMatch "^(localhost/|[^/]+[.:][^/]*/)" (printf "%s/" $repository)) -}}
{{- fail (printf "image.repository %q names no registry: give its host too, for example registry.example.com/%s, or leave it at localhost/modelcycle for images that were built here" $repository $repository) -}}
{{- end -}}
{{- printf "%s/%s:%s" $repository $name (index $root.Values.image.tags $name | default $root.Chart.AppVersion) -}}
{{- end }}

{{- define "modelcycle.mlflowEmbedded" -}}
{{- if not .Values.endpoints.mlflow }}true{{ end }}
{{- end }}

{{- define "modelcycle.prometheusEmbedded" -}}
{{- if not .Values.endpoints.prometheus }}true{{ end }}
{{- end }}

{{/* Pod Security Standard "restricted": the pod's part. */}}
{{- define "modelcycle.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "modelcycle.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "modelcycle.pullSecrets" -}}
{{- with .Values.image.pullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Where pods find the cache of their node. */}}
{{- define "modelcycle.modelCache" -}}
{{- if .Values.modelCache.enabled }}http://{{ include "modelcycle.name" . }}-model-cache.{{ .Release.Namespace }}.svc:8080{{ end }}
{{- end }}

{{/* The endpoints file of the operator: what the administrator named, and the embedded servers. */}}
{{- define "modelcycle.endpoints" -}}
{{- $name := include "modelcycle.name" . -}}
{{- $cache := include "modelcycle.modelCache" . -}}
{{- if include "modelcycle.mlflowEmbedded" . }}
mlflow:
  - name: default
    url: http://{{ $name }}-mlflow.{{ .Release.Namespace }}.svc:5000
    namespaces: ["*"]
    model_prefixes: ["{namespace}."]
    {{- with $cache }}
    pod_cache: {{ . }}
    {{- end }}
{{- else }}
{{- $named := list }}
{{- range .Values.endpoints.mlflow }}
{{- $named = append $named (ternary (merge (dict) . (dict "pod_cache" $cache)) . (ne $cache "")) }}
{{- end }}
mlflow:
  {{- toYaml $named | nindent 2 }}
{{- end }}
{{- if include "modelcycle.prometheusEmbedded" . }}
prometheus:
  - name: default
    url: http://{{ $name }}-prometheus.{{ .Release.Namespace }}.svc:9090
    namespaces: ["*"]
    scrape_seconds: {{ .Values.prometheus.scrapeIntervalSeconds }}
{{- else }}
prometheus:
  {{- toYaml .Values.endpoints.prometheus | nindent 2 }}
{{- end }}
{{- end }}

{{/*
Gives the ServiceAccount of a name the ClusterRole of that name, in these namespaces or, without any, everywhere:
(dict "root" $ "component" "operator" "name" $name "namespaces" list).
*/}}
{{- define "modelcycle.bindings" -}}
{{- $given := . -}}
{{- range $i, $namespace := .namespaces | default (list "") }}
{{- if $i }}
---
{{ end -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ if $namespace }}RoleBinding{{ else }}ClusterRoleBinding{{ end }}
metadata:
  name: {{ $given.name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "modelcycle.labels" (list $given.root $given.component) | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $given.name }}}
subjects:
  - {kind: ServiceAccount, name: {{ $given.name }}, namespace: {{ $given.root.Release.Namespace }}}
{{- end }}
{{- end }}

{{/* A volume of an embedded server: (dict "root" $ "component" "mlflow" "settings" .Values.mlflow.persistence). */}}
{{- define "modelcycle.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "modelcycle.name" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "modelcycle.labels" (list .root .component) | nindent 4 }}
  {{- if .settings.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .settings.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ .settings.size }}
{{- end }}

{{- define "modelcycle.dataVolume" -}}
- name: data
  {{- if .settings.enabled }}
  persistentVolumeClaim:
    claimName: {{ include "modelcycle.name" .root }}-{{ .component }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
