{{/*
The container's environment. Every key of `settings` becomes the variable of the same name:
maxBatchSize becomes MAX_BATCH_SIZE. An empty value is left out, so that the service's own default applies.
*/}}
{{- define "rust-ml-api.env" -}}
{{ include "rust-ml-api.ownEnv" . }}
{{- include "rust-ml-api.extraEnv" .Values.extraEnv }}
{{- end }}

{{/* Additional variables. Their values are texts, whatever `--set` has made of them. */}}
{{- define "rust-ml-api.extraEnv" -}}
{{- range . }}
- name: {{ .name | quote }}
{{- if and (hasKey . "value") (not (kindIs "invalid" .value)) }}
  value: {{ include "rust-ml-api.envValue" .value }}
{{- end }}
{{- with omit . "name" "value" }}
{{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the service needs wherever it runs. */}}
{{- define "rust-ml-api.settingsEnv" -}}
{{- range $key, $value := .Values.settings }}
{{- if not (or (kindIs "invalid" $value) (and (kindIs "string" $value) (eq $value ""))) }}
- name: {{ snakecase $key | upper | quote }}
  value: {{ include "rust-ml-api.envValue" $value }}
{{- end }}
{{- end }}
{{- if .Values.apiKeys.existingSecret }}
- name: API_KEYS_FILE
  value: "/etc/rust-ml-api/{{ .Values.apiKeys.key }}"
{{- end }}
{{- with .Values.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ include "rust-ml-api.envValue" $.Values.tracing.samplerRatio }}
{{- end }}
{{- end }}

{{- define "rust-ml-api.ownEnv" -}}
- name: PORT
  value: "3000"
{{- if dig "limits" "cpu" "" .Values.resources }}
# The kubelet rounds it up to whole CPUs. The service's default number of threads follows from it.
- name: CPU_LIMIT
  valueFrom:
    resourceFieldRef:
      containerName: {{ .Chart.Name | quote }}
      resource: limits.cpu
      divisor: "1"
{{- end }}
{{- include "rust-ml-api.settingsEnv" . }}
{{- if .Values.tracing.endpoint }}
- name: OTEL_SERVICE_NAME
  value: {{ include "rust-ml-api.fullname" . | quote }}
{{- end }}
{{- if ne (include "rust-ml-api.modelSource" .) "image" }}
- name: MODEL_PATH
  value: {{ include "rust-ml-api.modelPath" . | quote }}
{{- end }}
{{- with .Values.model.sha256 }}
- name: MODEL_SHA256
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{/*
The variables in KServe's runtime. Knative, which KServe runs pods with unless it is told otherwise, refuses a PORT and
a reference to the CPU limit: it sets PORT from the container's port, and the service asks its control group.
*/}}
{{- define "rust-ml-api.kserveEnv" -}}
- name: MODEL_PATH
  value: /mnt/models
{{- if not .Values.settings.modelName }}
# KServe puts the InferenceService's name here, by which its clients call the model.
- name: MODEL_NAME
  value: {{ "{{.Name}}" | quote }}
{{- end }}
{{- include "rust-ml-api.settingsEnv" . }}
{{- if .Values.tracing.endpoint }}
- name: OTEL_SERVICE_NAME
  value: {{ "{{.Name}}" | quote }}
{{- end }}
{{- end }}

{{/* The training container's own variables: Matplotlib and the download of MNIST need a writable folder. */}}
{{- define "rust-ml-api.trainingEnv" -}}
{{- $root := index . 0 -}}
- name: HOME
  value: /tmp
- name: MPLCONFIGDIR
  value: /tmp/matplotlib
{{- if dig "limits" "cpu" "" $root.Values.training.resources }}
# The kubelet rounds it up to whole CPUs. As many threads compute: more would wait for each other.
- name: CPU_LIMIT
  valueFrom:
    resourceFieldRef:
      containerName: {{ index . 1 }}
      resource: limits.cpu
      divisor: "1"
{{- end }}
{{- end }}
