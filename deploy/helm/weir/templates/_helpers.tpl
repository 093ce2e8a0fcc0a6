{{- define "weir.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "weir.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The namespace of the pools; * for all of them. */}}
{{- define "weir.poolNamespace" -}}
{{ ternary .Values.inferencePools.namespace .Values.inferencePool.namespace (ne .Values.inferencePools.selector "") | default .Release.Namespace }}
{{- end }}

{{/* A role of the whole cluster says of which release it is. */}}
{{- define "weir.roleName" -}}
{{ ternary (printf "%s-%s" .Release.Namespace (include "weir.name" .)) (include "weir.name" .) (eq (include "weir.poolNamespace" .) "*") }}
{{- end }}

{{- define "weir.gossipSecret" -}}
{{ .Values.gossip.existingSecret | default (printf "%s-gossip" (include "weir.name" .)) }}
{{- end }}

{{- define "weir.peerSecret" -}}
{{ .Values.gossip.tlsSecret | default (printf "%s-peer" (include "weir.name" .)) }}
{{- end }}

{{/* Nine tenths of the memory limit, in MiB: what Go's heap may grow to before it is collected
harder, the rest being for stacks and what is not Go's. Empty where there is no limit. */}}
{{- define "weir.memoryLimit" -}}
{{- with dig "limits" "memory" "" .Values.resources }}
{{- $limit := toString . }}
{{- $number := regexFind "^[0-9.]+(e[+]?[0-9]+)?" $limit }}
{{- $unit := trimPrefix $number $limit }}
{{- $bytes := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 }}
{{- if or (not $number) (not (hasKey $bytes $unit)) }}{{ fail (printf "resources.limits.memory %q: write it with one of the units k, M, G, T, Ki, Mi, Gi and Ti, such as 1Gi" $limit) }}{{ end }}
{{- printf "%dMiB" (divf (mulf (float64 $number) (get $bytes $unit) 0.9) 1048576.0 | int64) }}
{{- end }}
{{- end }}

{{- define "weir.redisSecret" -}}
{{ .Values.redis.existingSecret | default (ternary (printf "%s-redis" (include "weir.name" .)) "" .Values.redis.bundled) }}
{{- end }}

{{- define "weir.redisURL" -}}
{{ ternary (printf "redis://%s-redis.%s.svc:6379" (include "weir.name" .) .Release.Namespace) .Values.redis.url .Values.redis.bundled }}
{{- end }}

{{/* What the values leave open or contradict is said here and not by a pod that does not start. */}}
{{- define "weir.check" -}}
{{- $places := 0 }}
{{- if .Values.inferencePool.name }}{{ $places = add1 $places }}{{ end }}
{{- if .Values.inferencePools.selector }}{{ $places = add1 $places }}{{ end }}
{{- if .Values.endpoints }}{{ $places = add1 $places }}{{ end }}
{{- if .Values.endpointsDNS }}{{ $places = add1 $places }}{{ end }}
{{- if ne (int $places) 1 }}{{ fail "model servers come from one place: set one of inferencePool.name, inferencePools.selector, endpoints and endpointsDNS" }}{{ end }}
{{- if and .Values.redis.bundled .Values.redis.url }}{{ fail "redis.url names a Redis that is there: set redis.bundled to false with it" }}{{ end }}
{{- if not (or .Values.redis.bundled .Values.redis.url) }}{{ fail "replicas share a Redis: set redis.url, or redis.bundled to true" }}{{ end }}
{{- if not (or .Values.extProc.enabled .Values.http.enabled) }}{{ fail "requests come in by ext_proc or HTTP: enable one of extProc and http" }}{{ end }}
{{- if and .Values.extProc.picker.addresses (not .Values.extProc.enabled) }}{{ fail "a picker chooses for ext_proc: set extProc.enabled to true with extProc.picker.addresses" }}{{ end }}
{{- if and (or .Values.podMonitor.enabled .Values.serviceMonitor.enabled) .Values.networkPolicy.enabled (not .Values.networkPolicy.metricsFrom) }}{{ fail "Prometheus could not read the metrics: networkPolicy.metricsFrom names who may, such as [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]" }}{{ end }}
{{- end }}
