{{/*
A canary is this release with a few other values: its Deployment comes from the same template, given a context of its
own. That has `track`, which changes the names and labels that tell the tracks apart; the context of the stable pods is
the release itself, whose labels never change.
*/}}
{{- define "rust-ml-api.toCanary" -}}
{{- $root := index . 0 -}}
{{- $context := index . 1 -}}
{{- range list "Chart" "Release" "Capabilities" "Files" "Template" }}
{{- $_ := set $context . (get $root .) }}
{{- end }}
{{- $v := deepCopy $root.Values -}}
{{- $c := $v.canary -}}
{{- $_ := set $context "track" "canary" -}}
{{- $_ := set $context "Values" $v -}}
{{- $_ := set $v "replicaCount" $c.replicas -}}
{{- $_ := set $v.autoscaling "enabled" false -}}
{{- $_ := set $v.keda "enabled" false -}}
{{- /* A digest or tag says nothing about another image, and a checksum nothing about another file. */}}
{{- $ownImage := or $c.image.repository $c.image.digest (include "rust-ml-api.text" $c.image.tag) -}}
{{- $ownFile := and $ownImage (eq (include "rust-ml-api.modelSource" $root) "image") -}}
{{- if $ownImage }}
{{- $_ := set $v.image "repository" ($c.image.repository | default $v.image.repository) }}
{{- $_ := set $v.image "tag" $c.image.tag }}
{{- $_ := set $v.image "digest" $c.image.digest }}
{{- end }}
{{- if include "rust-ml-api.canaryHasSource" $root }}
{{- $ownFile = true }}
{{- range list "existingConfigMap" "existingClaim" "image" "url" }}
{{- $_ := set $v.model . (get $c.model .) }}
{{- end }}
{{- end }}
{{- with $c.model.file }}
{{- $ownFile = true }}
{{- $_ := set $v.model "file" . }}
{{- end }}
{{- range list "sha256" "version" }}
{{- if or $ownFile (include "rust-ml-api.text" (get $c.model .)) }}
{{- $_ := set $v.model . (get $c.model .) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rust-ml-api.canaryHasSource" -}}
{{- range list "existingConfigMap" "existingClaim" "image" "url" }}{{ get $.Values.canary.model . }}{{ end -}}
{{- end }}

{{/* What is appended to the names of the canary's objects and to its pods' app.kubernetes.io/name. */}}
{{- define "rust-ml-api.trackSuffix" -}}
{{- with get . "track" }}-{{ . }}{{ end -}}
{{- end }}

{{- define "rust-ml-api.trackName" -}}
{{ include "rust-ml-api.fullname" . }}{{ include "rust-ml-api.trackSuffix" . }}
{{- end }}

{{- define "rust-ml-api.trackLabel" -}}
{{- with get . "track" }}
track: {{ . | quote }}
{{- end }}
{{- end }}

{{/* True if the canary gets its share of requests from the HTTPRoute, and not by the number of its pods. */}}
{{- define "rust-ml-api.canaryByWeight" -}}
{{- if and .Values.canary.enabled (ne (toString .Values.canary.weight) "") }}true{{ end -}}
{{- end }}

{{/* Labels that select the serving pods of all tracks. */}}
{{- define "rust-ml-api.servingSelector" -}}
{{- if .Values.canary.enabled -}}
app: {{ include "rust-ml-api.fullname" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- else }}
{{- include "rust-ml-api.selectorLabels" . }}
{{- end }}
{{- end }}

{{- define "rust-ml-api.validateCanary" -}}
{{- $v := .Values -}}
{{- if $v.canary.enabled }}
{{- if and (include "rust-ml-api.canaryByWeight" .) (not $v.httpRoute.enabled) }}
{{- fail (printf "canary.weight is %v, but httpRoute.enabled is false: only an HTTPRoute can divide requests by weight. Set httpRoute.enabled, or leave canary.weight empty and set canary.replicas." $v.canary.weight) }}
{{- end }}
{{- range $called, $labels := dict "commonLabels" $v.commonLabels "podLabels" $v.podLabels }}
{{- if hasKey $labels "track" }}
{{- fail (printf "%s has track, by which the chart tells the canary's pods apart while canary.enabled is true. Remove it." $called) }}
{{- end }}
{{- end }}
{{- include "rust-ml-api.validateSources" (list . "canary.model" $v.canary.model) }}
{{- $canary := dict }}
{{- include "rust-ml-api.toCanary" (list . $canary) }}
{{- include "rust-ml-api.validateNames" $canary }}
{{- end }}
{{- end }}
