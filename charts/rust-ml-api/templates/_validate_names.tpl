{{/*
Names that Kubernetes would reject in the middle of an installation, or when the first pod is created: those that it
can't take, and those that are twice in a list in which each name may be once.
*/}}
{{- define "rust-ml-api.validateNames" -}}
{{- $v := .Values -}}
{{- $name := include "rust-ml-api.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
{{- fail (printf "the objects of release %s would be called %s, but the name of a Service begins with a letter and has only lower-case letters, digits and hyphens. Choose another release name, or set fullnameOverride." .Release.Name $name) }}
{{- end }}
{{- $own := list "app" "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" -}}
{{- range $key := concat (keys $v.commonLabels) (keys $v.podLabels) | sortAlpha }}
{{- if has $key $own }}
{{- fail (printf "commonLabels or podLabels has %s, which the chart sets itself. Remove it." $key) }}
{{- end }}
{{- if and (hasKey $v.commonLabels $key) (hasKey $v.podLabels $key) }}
{{- fail (printf "commonLabels and podLabels both have %s. Remove it from one of them." $key) }}
{{- end }}
{{- end }}
{{- $variables := "; the chart sets variables from settings, model and apiKeys" -}}
{{- include "rust-ml-api.refuseTwice" (list "extraEnv" "name" (include "rust-ml-api.ownEnv" . | fromYamlArray) $v.extraEnv $variables) }}
{{- if $v.kserve.enabled }}
{{- include "rust-ml-api.refuseTwice" (list "extraEnv" "name" (include "rust-ml-api.kserveEnv" . | fromYamlArray) $v.extraEnv "; the chart sets variables of the runtime for KServe") }}
{{- end }}
{{- include "rust-ml-api.refuseTwice" (list "training.extraEnv" "name" (include "rust-ml-api.trainingEnv" (list . "training") | fromYamlArray) $v.training.extraEnv "") }}
{{- range $called, $variables := dict "extraEnv" $v.extraEnv "training.extraEnv" $v.training.extraEnv }}
{{- range $variables }}
{{- if and (hasKey . "value") (hasKey . "valueFrom") }}
{{- fail (printf "%s has %s with a value and a valueFrom. Remove one of them." $called .name) }}
{{- end }}
{{- end }}
{{- end }}
{{- $volumes := include "rust-ml-api.volumes" . | fromYamlArray -}}
{{- include "rust-ml-api.refuseTwice" (list "extraVolumes" "name" $volumes $v.extraVolumes "") }}
{{- $volumes = concat $volumes $v.extraVolumes -}}
{{- include "rust-ml-api.validateMounts" (list "extraVolumeMounts" (include "rust-ml-api.volumeMounts" . | fromYamlArray) $v.extraVolumeMounts $volumes) }}
{{- $containers := append (include "rust-ml-api.modelInitContainer" . | fromYamlArray) (dict "name" .Chart.Name) -}}
{{- include "rust-ml-api.refuseTwice" (list "extraInitContainers and extraContainers" "name" $containers (concat $v.extraInitContainers $v.extraContainers) "") }}
{{- range $called, $containers := dict "extraInitContainers" $v.extraInitContainers "extraContainers" $v.extraContainers }}
{{- range $containers }}
{{- $called := printf "%s, container %s," $called .name -}}
{{- include "rust-ml-api.refuseTwice" (list (printf "%s env" $called) "name" list (dig "env" list .) "") }}
{{- include "rust-ml-api.validateMounts" (list $called list (dig "volumeMounts" list .) $volumes) }}
{{- $ports := list -}}
{{- range dig "ports" list . }}{{ $ports = append $ports (dict "port" (printf "%v/%s" .containerPort (dig "protocol" "TCP" .))) }}{{ end }}
{{- include "rust-ml-api.refuseTwice" (list $called "port" list $ports "") }}
{{- end }}
{{- end }}
{{- include "rust-ml-api.refuseTwice" (list "image.pullSecrets" "name" list $v.image.pullSecrets "") }}
{{- $spread := list -}}
{{- range $v.topologySpreadConstraints }}{{ $spread = append $spread (dict "constraint" (printf "%s/%s" .topologyKey .whenUnsatisfiable)) }}{{ end }}
{{- include "rust-ml-api.refuseTwice" (list "topologySpreadConstraints" "constraint" list $spread "") }}
{{- end }}

{{/* Mounts of a container, called so: each path once, and each of a volume that the pod has. */}}
{{- define "rust-ml-api.validateMounts" -}}
{{- $called := index . 0 -}}
{{- $known := list -}}
{{- range index . 3 }}{{ $known = append $known .name }}{{ end -}}
{{- $mounts := list -}}
{{- range index . 2 }}
{{- if not (has .name $known) }}
{{- fail (printf "%s mounts the volume %s, which the pod does not have. Add it to extraVolumes; there are %s." $called .name (join ", " $known)) }}
{{- end }}
{{- /* Kubernetes compares the texts alone; the container runtime then mounts one over the other. */}}
{{- $mounts = append $mounts (dict "mountPath" (clean .mountPath)) -}}
{{- end }}
{{- include "rust-ml-api.refuseTwice" (list $called "mountPath" (index . 1) $mounts "") }}
{{- end }}

{{/*
Refuse a list, called so, of which two have the same in a field, or one has what is in the list of the chart's own.
What follows says where the chart takes its own from.
*/}}
{{- define "rust-ml-api.refuseTwice" -}}
{{- $called := index . 0 -}}{{- $field := index . 1 -}}
{{- $own := list -}}
{{- range index . 2 }}{{ $own = append $own (get . $field | toString) }}{{ end -}}
{{- $seen := list -}}
{{- range $item := index . 3 }}
{{- $value := get $item $field | toString -}}
{{- if has $value $own }}
{{- fail (printf "%s has %s %s, which the chart sets itself. Remove it, or choose another one%s." $called $field $value (index $ 4)) }}
{{- end }}
{{- if has $value $seen }}
{{- fail (printf "%s has %s %s twice. Remove one of them." $called $field $value) }}
{{- end }}
{{- $seen = append $seen $value -}}
{{- end }}
{{- end }}
