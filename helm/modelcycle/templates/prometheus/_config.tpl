{{/* Namespaces whose pods are read, as JSON; empty: all. The operator's own is always among them. */}}
{{- define "modelcycle.scraped" -}}
{{- with .Values.operator.namespaces }}{{ append . $.Release.Namespace | uniq | toJson }}{{ else }}[]{{ end }}
{{- end }}

{{- define "modelcycle.prometheusConfig" -}}
global:
  scrape_interval: {{ .Values.prometheus.scrapeIntervalSeconds }}s
  scrape_timeout: {{ min 10 (int .Values.prometheus.scrapeIntervalSeconds) }}s
  evaluation_interval: 30s
rule_files: [/etc/prometheus/alerts.yaml]
scrape_configs:
  # Serving pods of all namespaces. A pod is scraped from its start to its very end, ready or not: one that is being
  # drained still answers requests, and its last counts belong to the version's evidence.
  - job_name: modelcycle-serving
    kubernetes_sd_configs:
      - role: pod
        {{- with include "modelcycle.scraped" . | fromJsonArray }}
        namespaces: {names: {{ toJson . }}}
        {{- end }}
        selectors:
          - role: pod
            label: app.kubernetes.io/managed-by=modelcycle,app.kubernetes.io/component=serving
    relabel_configs:
      - {source_labels: [__meta_kubernetes_pod_container_port_name], action: keep, regex: metrics}
      - {source_labels: [__meta_kubernetes_pod_phase], action: drop, regex: Succeeded|Failed}
      - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
      - {source_labels: [__meta_kubernetes_pod_label_modelcycle_dev_deployment], target_label: deployment}
      - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
  {{- range list "operator" "model-cache" }}
  - job_name: modelcycle-{{ . }}
    kubernetes_sd_configs:
      - role: pod
        namespaces: {names: [{{ $.Release.Namespace }}]}
        selectors:
          - role: pod
            label: app.kubernetes.io/name=modelcycle,app.kubernetes.io/instance={{ $.Release.Name }},app.kubernetes.io/component={{ . }}
    relabel_configs:
      - {source_labels: [__meta_kubernetes_pod_container_port_name], action: keep, regex: metrics}
      - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
      - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
  {{- end }}
{{- end }}
