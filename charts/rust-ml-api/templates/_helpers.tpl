{{/* The chart's name, or nameOverride. */}}
{{- define "rust-ml-api.name" -}}
{{- include "rust-ml-api.shorten" (default .Chart.Name .Values.nameOverride) }}
{{- end }}

{{/*
The release's name if it contains the chart's name, else release-chart. At most 50 characters: names of Services
and Jobs may have 63, and "-service" or "-train-1a2b3c" is appended.
*/}}
{{- define "rust-ml-api.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- include "rust-ml-api.shorten" .Values.fullnameOverride }}
{{- else }}
{{- $name := include "rust-ml-api.name" . }}
{{- if contains $name .Release.Name }}
{{- include "rust-ml-api.shorten" .Release.Name }}
{{- else }}
{{- include "rust-ml-api.shorten" (printf "%s-%s" .Release.Name $name) }}
{{- end }}
{{- end }}
{{- end }}

{{/* A name as it is, or, if it is longer than 50 characters, its beginning and a hash of all of it. */}}
{{- define "rust-ml-api.shorten" -}}
{{- if gt (len .) 50 }}
{{- printf "%s-%s" (trunc 41 . | trimSuffix "-") (sha256sum . | trunc 8) }}
{{- else }}
{{- . }}
{{- end }}
{{- end }}

{{/* One map of several, as YAML in which no key is twice. Later maps win. */}}
{{- define "rust-ml-api.mergedMaps" -}}
{{- $all := dict -}}
{{- range . }}{{ range $key, $value := . }}{{ $_ := set $all $key $value }}{{ end }}{{ end -}}
{{- toYaml $all }}
{{- end }}

{{- define "rust-ml-api.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Labels that select the pods of one track. Selectors are immutable, so no label here depends on a version. */}}
{{- define "rust-ml-api.selectorLabels" -}}
app.kubernetes.io/name: "{{ include "rust-ml-api.name" . }}{{ include "rust-ml-api.trackSuffix" . }}"
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "rust-ml-api.commonLabels" -}}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ include "rust-ml-api.chart" . | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of the objects that belong to the service. */}}
{{- define "rust-ml-api.labels" -}}
app: {{ include "rust-ml-api.fullname" . | quote }}
app.kubernetes.io/name: {{ include "rust-ml-api.name" . | quote }}
{{ include "rust-ml-api.commonLabels" . }}
{{- end }}

{{/* Labels of the serving pods, without the chart's version, so that a new chart version alone restarts no pod. */}}
{{- define "rust-ml-api.podLabels" -}}
app: {{ include "rust-ml-api.fullname" . | quote }}
{{ include "rust-ml-api.selectorLabels" . }}
{{- include "rust-ml-api.trackLabel" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with .Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The chart's own annotations of the serving pods. */}}
{{- define "rust-ml-api.podAnnotations" -}}
kubectl.kubernetes.io/default-container: {{ .Chart.Name | quote }}
{{ include "rust-ml-api.modelAnnotations" . }}
{{- include "rust-ml-api.scrapeAnnotations" . }}
{{- end }}

{{- define "rust-ml-api.scrapeAnnotations" -}}
{{- if .Values.scrapeAnnotations }}
prometheus.io/scrape: "true"
prometheus.io/port: "3000"
prometheus.io/path: /metrics
{{- end }}
{{- end }}

{{/* Labels of the test and training pods, so that no Service, budget or policy of the service selects them. */}}
{{- define "rust-ml-api.otherLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: "{{ include "rust-ml-api.name" $root }}-{{ index . 1 }}"
{{ include "rust-ml-api.commonLabels" $root }}
{{- end }}

{{- define "rust-ml-api.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "rust-ml-api.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* repository@digest where a digest is given, else repository:tag. */}}
{{- define "rust-ml-api.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (include "rust-ml-api.tag" .) }}
{{- end }}
{{- end }}

{{/* Pod fields that every pod of this chart shares. */}}
{{- define "rust-ml-api.podBasics" -}}
serviceAccountName: {{ include "rust-ml-api.serviceAccountName" . | quote }}
automountServiceAccountToken: {{ .Values.serviceAccount.automount }}
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- include "rust-ml-api.placement" . }}
{{- end }}

{{/* Where pods run, and with which secrets their images are pulled. */}}
{{- define "rust-ml-api.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The three probes of a serving container, on the port that is the second of the arguments. */}}
{{- define "rust-ml-api.probes" -}}
{{- $root := index . 0 -}}
{{- $port := index . 1 -}}
{{- range list "startupProbe" "readinessProbe" "livenessProbe" }}
{{ . }}:
  httpGet:
    path: /healthz
    port: {{ $port }}
  {{- toYaml (get $root.Values .) | nindent 2 }}
{{- end }}
{{- end }}

{{/* The chart's own volumes, and where the serving and the test container mount them. */}}
{{- define "rust-ml-api.volumes" -}}
{{- include "rust-ml-api.kserveVolumes" . }}
{{- include "rust-ml-api.modelVolume" . }}
{{- end }}

{{- define "rust-ml-api.volumeMounts" -}}
{{- include "rust-ml-api.kserveVolumeMounts" . }}
{{- include "rust-ml-api.modelMount" . }}
{{- end }}

{{/* The same without the weights, which KServe mounts itself. */}}
{{- define "rust-ml-api.kserveVolumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- with .Values.apiKeys.existingSecret }}
- name: api-keys
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "rust-ml-api.kserveVolumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .Values.apiKeys.existingSecret }}
- name: api-keys
  mountPath: /etc/rust-ml-api
  readOnly: true
{{- end }}
{{- end }}

{{/* The lowest number of replicas: the autoscaler's minimum, or replicaCount without an autoscaler. */}}
{{- define "rust-ml-api.fewestReplicas" -}}
{{- if or .Values.autoscaling.enabled .Values.keda.enabled }}
{{- .Values.autoscaling.minReplicas }}
{{- else }}
{{- .Values.replicaCount }}
{{- end }}
{{- end }}

{{/*
How many replicas the Deployment is to have: replicaCount, or what an autoscaler has made of it. Without that
count, enabling the autoscaler would have Kubernetes fall back to one. Nothing where the cluster can't be asked,
as in `helm template`: what applies those manifests again and again would fight the autoscaler.

A count of 0 switches a HorizontalPodAutoscaler off. It is kept only where there is one: then somebody has paused it.
*/}}
{{- define "rust-ml-api.replicas" -}}
{{- if not (or .Values.autoscaling.enabled .Values.keda.enabled) }}
{{- .Values.replicaCount }}
{{- else }}
{{- $name := include "rust-ml-api.fullname" . -}}
{{- $live := lookup "apps/v1" "Deployment" .Release.Namespace $name -}}
{{- $replicas := dig "spec" "replicas" 0 $live | int -}}
{{- if gt $replicas 0 }}
{{- $replicas }}
{{- else if and $live .Values.autoscaling.enabled }}
{{- if lookup "autoscaling/v2" "HorizontalPodAutoscaler" .Release.Namespace (printf "%s-hpa" $name) }}
{{- $replicas }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A quantity (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity) as a number. */}}
{{- define "rust-ml-api.quantity" -}}
{{- $text := toString . -}}
{{- $suffix := regexFind "[a-zA-Z]*$" $text -}}
{{- $factor := get (dict "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "u" 1e-6 "n" 1e-9 "E" 1e18 "Ei" 1152921504606846976.0) $suffix | default 1.0 -}}
{{- mulf (trimSuffix $suffix $text | float64) $factor -}}
{{- end }}

{{/* A number, a boolean or a string as text: 1048576, not 1.048576e+06. */}}
{{- define "rust-ml-api.text" -}}
{{- if kindIs "string" . }}
{{- . }}
{{- else if and (kindIs "float64" .) (or (ge . 9007199254740992.0) (le . -9007199254740992.0)) }}
{{- fail (printf "%v stands where the values have a number of more than 15 digits, which does not keep them all. Write it in quotes, or use --set-string." .) }}
{{- else }}
{{- toJson . }}
{{- end }}
{{- end }}

{{- define "rust-ml-api.envValue" -}}
{{- include "rust-ml-api.text" . | quote }}
{{- end }}

{{- define "rust-ml-api.tag" -}}
{{- default .Chart.AppVersion (include "rust-ml-api.text" .Values.image.tag) }}
{{- end }}
