{{/* Whether several pods train together: those of a Job with training.nodes above 1, or of a TrainJob. */}}
{{- define "rust-ml-api.trainsInGroup" -}}
{{- if or (gt (int .Values.training.nodes) 1) (eq (toString .Values.training.engine) "trainjob") }}true{{ end }}
{{- end }}

{{/*
Six characters that tell a run from others: a Job is immutable, so changed values give it a new name, and unchanged
values keep the existing Job. A Job of one pod keeps the name that it had before there were several.
*/}}
{{- define "rust-ml-api.trainingRun" -}}
{{- $training := .Values.training -}}
{{- $name := include "rust-ml-api.fullname" . -}}
{{- if not (include "rust-ml-api.trainsInGroup" .) }}
{{- $training = omit $training "nodes" "engine" "trainJob" -}}
{{- $name = "" -}}
{{- end }}
{{- printf "%s%s %s %s %v %s" $name (include "rust-ml-api.trainingImage" .) .Values.model.existingClaim (include "rust-ml-api.modelPath" .) (include "rust-ml-api.trainingFloor" . | float64) (toJson $training) | sha256sum | trunc 6 }}
{{- end }}

{{/*
The name of the Job. The pods of a group have host names: "-99" of an Indexed Job or "-node-0-99" of a TrainJob is
appended, and 63 characters are the limit.
*/}}
{{- define "rust-ml-api.trainingName" -}}
{{- $name := include "rust-ml-api.fullname" . -}}
{{- if include "rust-ml-api.trainsInGroup" . }}
{{- $name = trunc 40 $name | trimSuffix "-" -}}
{{- end }}
{{- printf "%s-train-%s" $name (include "rust-ml-api.trainingRun" .) }}
{{- end }}

{{/* Labels that select the pods that train, of whatever run. */}}
{{- define "rust-ml-api.trainingSelector" -}}
app.kubernetes.io/name: "{{ include "rust-ml-api.name" . }}-training"
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "rust-ml-api.trainingImage" -}}
{{- .Values.training.image | default (printf "%s:%s-training" .Values.image.repository (include "rust-ml-api.tag" .)) }}
{{- end }}

{{/* The accuracy that new weights need. What the service would refuse is not worth publishing. */}}
{{- define "rust-ml-api.trainingFloor" -}}
{{- include "rust-ml-api.text" (maxf .Values.training.minAccuracy (.Values.settings.modelMinAccuracy | default 0)) }}
{{- end }}

{{/*
The command of a training container. The second argument is the address at which the pods of a group meet, or empty.
A pod that replaces another one goes on from its last epoch.
*/}}
{{- define "rust-ml-api.trainingCommand" -}}
{{- $root := index . 0 -}}{{- $endpoint := index . 1 -}}
- python
{{- if $endpoint }}
- -m
- training.elastic
- --nnodes={{ $root.Values.training.nodes }}
- --nproc-per-node=1
- --rdzv-backend=c10d
- --rdzv-endpoint={{ $endpoint }}
- --rdzv-id={{ include "rust-ml-api.trainingName" $root }}
# Half an hour to be scheduled and to pull the image.
- --rdzv-conf=join_timeout=1800
- --max-restarts=3
{{- end }}
- -m
- training
- --out=/models/training/{{ include "rust-ml-api.trainingRun" $root }}
- --resume
- --publish={{ include "rust-ml-api.modelPath" $root }}
- --min-accuracy={{ include "rust-ml-api.trainingFloor" $root }}
- --max-drop={{ include "rust-ml-api.text" $root.Values.training.maxDrop }}
{{- if dig "limits" "cpu" "" $root.Values.training.resources }}
- --threads=$(CPU_LIMIT)
{{- end }}
{{- end }}

{{- define "rust-ml-api.trainingMounts" -}}
- name: model
  mountPath: /models
- name: tmp
  mountPath: /tmp
{{- if .Values.training.existingDataClaim }}
- name: data
  mountPath: /data
  readOnly: true
{{- end }}
{{- end }}

{{- define "rust-ml-api.trainingVolumes" -}}
- name: model
  persistentVolumeClaim:
    claimName: {{ .Values.model.existingClaim | quote }}
- name: tmp
  emptyDir: {}
{{- with .Values.training.existingDataClaim }}
- name: data
  persistentVolumeClaim:
    claimName: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "rust-ml-api.trainingAnnotations" -}}
sidecar.istio.io/inject: "false"
linkerd.io/inject: disabled
{{- end }}

{{/* The access modes of the claim for the weights, such as "ReadWriteOnce", where the cluster can be asked. */}}
{{- define "rust-ml-api.claimAccessModes" -}}
{{- $claim := lookup "v1" "PersistentVolumeClaim" .Release.Namespace .Values.model.existingClaim -}}
{{- dig "spec" "accessModes" list $claim | join " and " }}
{{- end }}

{{- define "rust-ml-api.validateTraining" -}}
{{- $v := .Values -}}
{{- if and $v.training.enabled (not $v.model.existingClaim) }}
{{- fail "training.enabled is true, but model.existingClaim is empty: the Job needs a PersistentVolumeClaim to write the weights to. Set model.existingClaim." }}
{{- end }}
{{- if and $v.training.enabled (gt (int $v.training.nodes) 1) }}
{{- $modes := include "rust-ml-api.claimAccessModes" . -}}
{{- if and $modes (not (regexMatch "ReadWriteMany|ReadWriteOnce( |$)" $modes)) }}
{{- fail (printf "training.nodes is %v, but model.existingClaim, %s, has the access mode %s: the pods that train could not all mount it to write. Use a claim with ReadWriteMany, or set training.nodes to 1." $v.training.nodes $v.model.existingClaim $modes) }}
{{- end }}
{{- end }}
{{- end }}
