{{/* Where the weights come from: image, configmap, claim, volume or url. */}}
{{- define "rust-ml-api.modelSource" -}}
{{- if .Values.model.existingConfigMap }}configmap
{{- else if .Values.model.existingClaim }}claim
{{- else if .Values.model.image }}volume
{{- else if .Values.model.url }}url
{{- else }}image
{{- end }}
{{- end }}

{{- define "rust-ml-api.modelPath" -}}
/models/{{ .Values.model.file }}
{{- end }}

{{/* The size of a weights file, at most; without the value, the service's own default. */}}
{{- define "rust-ml-api.maxModelBytes" -}}
{{- get .Values.settings "maxModelBytes" | default 1073741824 | int64 }}
{{- end }}

{{/* Pod annotations with source, version and checksum of the weights; `kubectl describe pod` shows them. */}}
{{- define "rust-ml-api.modelAnnotations" -}}
{{- $source := include "rust-ml-api.modelSource" . -}}
{{- $name := dict "configmap" .Values.model.existingConfigMap "claim" .Values.model.existingClaim "volume" .Values.model.image "url" .Values.model.url "image" (include "rust-ml-api.image" .) -}}
rust-ml-api/model-source: {{ printf "%s %s" $source (get $name $source) | quote }}
{{- with include "rust-ml-api.text" .Values.model.version }}
rust-ml-api/model-version: {{ . | quote }}
{{- end }}
{{- with .Values.model.sha256 }}
rust-ml-api/model-sha256: {{ . | quote }}
{{- end }}
{{- end }}

{{/* The volume with the weights, mounted as a folder: Kubernetes never updates a file mounted with subPath. */}}
{{- define "rust-ml-api.modelVolume" -}}
{{- $source := include "rust-ml-api.modelSource" . -}}
{{- if ne $source "image" }}
- name: model
  {{- if eq $source "configmap" }}
  configMap:
    name: {{ .Values.model.existingConfigMap | quote }}
  {{- else if eq $source "claim" }}
  persistentVolumeClaim:
    claimName: {{ .Values.model.existingClaim | quote }}
  {{- else if eq $source "volume" }}
  image:
    reference: {{ .Values.model.image | quote }}
    pullPolicy: {{ .Values.image.pullPolicy | quote }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ add (include "rust-ml-api.maxModelBytes" . | int64) 1048576 | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "rust-ml-api.modelMount" -}}
{{- if ne (include "rust-ml-api.modelSource" .) "image" }}
- name: model
  mountPath: /models
  readOnly: true
{{- end }}
{{- end }}

{{/* Init container that downloads the weights, or waits until the training Job has written them. */}}
{{- define "rust-ml-api.modelInitContainer" -}}
{{- $source := include "rust-ml-api.modelSource" . -}}
{{- if or (eq $source "url") .Values.training.enabled }}
- name: model
  image: {{ include "rust-ml-api.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy | quote }}
  command:
    - python
    - -c
    - |
      {{- .Files.Get (ternary "files/fetch.py" "files/wait.py" (eq $source "url")) | trim | nindent 6 }}
  args:
    {{- if eq $source "url" }}
    - {{ .Values.model.url | quote }}
    - {{ include "rust-ml-api.modelPath" . | quote }}
    - {{ .Values.model.sha256 | quote }}
    - {{ include "rust-ml-api.maxModelBytes" . | quote }}
    {{- else }}
    - {{ include "rust-ml-api.modelPath" . | quote }}
    {{- end }}
  # `kubectl describe pod` then shows the sentence with which it failed.
  terminationMessagePolicy: FallbackToLogsOnError
  resources:
    requests: {cpu: 50m, memory: 32Mi}
    limits: {cpu: 500m, memory: 128Mi}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  volumeMounts:
    - name: model
      mountPath: /models
    - name: tmp
      mountPath: /tmp
{{- end }}
{{- end }}
