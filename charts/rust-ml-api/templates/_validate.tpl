{{/*
Checks that values.schema.json cannot express: values that contradict each other, and removed ones. Each check
stops the installation with a message that names the values and says what to change.
*/}}
{{- define "rust-ml-api.validate" -}}
{{- $v := .Values -}}
{{- $drain := add $v.preStopSleepSeconds (int $v.settings.shutdownTimeoutSeconds) -}}
{{- if le (int $v.terminationGracePeriodSeconds) (int $drain) }}
{{- fail (printf "terminationGracePeriodSeconds is %v, but preStopSleepSeconds (%v) plus settings.shutdownTimeoutSeconds (%v) already take %v s. Kubernetes would kill pods that are still answering requests. Set terminationGracePeriodSeconds above %v." $v.terminationGracePeriodSeconds $v.preStopSleepSeconds $v.settings.shutdownTimeoutSeconds $drain $drain) }}
{{- end }}
{{- if gt (int (default 0 $v.settings.maxBatchSize)) (int $v.settings.maxQueueSize) }}
{{- fail (printf "settings.maxBatchSize is %v, but settings.maxQueueSize is %v: a batch could never reach its maximum size. Raise settings.maxQueueSize or lower settings.maxBatchSize." (int $v.settings.maxBatchSize) (int $v.settings.maxQueueSize)) }}
{{- end }}
{{- /* An empty string was the default: `helm upgrade --reuse-values` passes it on, so it is ignored. */}}
{{- $workers := get $v.settings "workers" -}}
{{- if not (or (kindIs "invalid" $workers) (eq (toString $workers) "")) }}
{{- fail (printf "settings.workers is %v, but this setting no longer exists: each pod runs one process. Remove it, and set replicaCount or autoscaling for more processes." $workers) }}
{{- end }}
{{- include "rust-ml-api.validateSources" (list . "model" $v.model) }}
{{- include "rust-ml-api.validateTraining" . }}
{{- include "rust-ml-api.validateNames" . }}
{{- include "rust-ml-api.validateCanary" . }}
{{- include "rust-ml-api.validateResources" (list "resources" $v.resources) }}
{{- include "rust-ml-api.validateResources" (list "training.resources" $v.training.resources) }}
{{- include "rust-ml-api.validateScaling" . }}
{{- if and $v.service.nodePort (eq $v.service.type "ClusterIP") }}
{{- fail (printf "service.nodePort is %v, but service.type is ClusterIP, which has no node port. Set service.type to NodePort or LoadBalancer." (int $v.service.nodePort)) }}
{{- end }}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) }}
{{- fail "httpRoute.enabled is true, but httpRoute.parentRefs is empty: an HTTPRoute needs a Gateway. Set httpRoute.parentRefs." }}
{{- end }}
{{- if and $v.ingress.enabled (not $v.ingress.hosts) }}
{{- fail "ingress.enabled is true, but ingress.hosts is empty. Set at least one host with its paths." }}
{{- end }}
{{- end }}

{{/* A pod that requests more than its limit is rejected when it is created: nobody sees it but the ReplicaSet. */}}
{{- define "rust-ml-api.validateResources" -}}
{{- $called := index . 0 -}}
{{- $limits := dig "limits" (dict) (index . 1) -}}
{{- range $resource, $request := dig "requests" (dict) (index . 1) }}
{{- $limit := get $limits $resource -}}
{{- if and $limit (gt (include "rust-ml-api.quantity" $request | float64) (include "rust-ml-api.quantity" $limit | float64)) }}
{{- fail (printf "%s.requests.%s is %v, but %s.limits.%s is %v. A request must not exceed its limit." $called $resource (include "rust-ml-api.text" $request) $called $resource (include "rust-ml-api.text" $limit)) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rust-ml-api.validateScaling" -}}
{{- $v := .Values -}}
{{- $a := $v.autoscaling -}}
{{- $requests := dig "requests" (dict) $v.resources -}}
{{- if and $a.enabled $v.keda.enabled }}
{{- fail "autoscaling.enabled and keda.enabled are both true: two autoscalers would scale the same Deployment. KEDA creates its own HorizontalPodAutoscaler, so set autoscaling.enabled to false." }}
{{- end }}
{{- if or $a.enabled $v.keda.enabled }}
{{- if gt (int $a.minReplicas) (int $a.maxReplicas) }}
{{- fail (printf "autoscaling.minReplicas is %v, but autoscaling.maxReplicas is %v. The minimum must not exceed the maximum." $a.minReplicas $a.maxReplicas) }}
{{- end }}
{{- if and $a.targetCPUUtilizationPercentage (not (get $requests "cpu")) }}
{{- fail "autoscaling.targetCPUUtilizationPercentage is a percentage of resources.requests.cpu, which is not set. Set the request, or set the target to an empty string." }}
{{- end }}
{{- if and $a.targetMemoryUtilizationPercentage (not (get $requests "memory")) }}
{{- fail "autoscaling.targetMemoryUtilizationPercentage is a percentage of resources.requests.memory, which is not set. Set the request, or set the target to an empty string." }}
{{- end }}
{{- end }}
{{- if and $a.enabled (not (or $a.targetCPUUtilizationPercentage $a.targetMemoryUtilizationPercentage $a.targetQueueDepth $a.extraMetrics)) }}
{{- fail "autoscaling.enabled is true, but no metric is set to scale on. Set targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage, targetQueueDepth or extraMetrics under autoscaling." }}
{{- end }}
{{- if and $v.keda.enabled (not (or $a.targetCPUUtilizationPercentage $a.targetMemoryUtilizationPercentage $v.keda.prometheus.serverAddress $v.keda.extraTriggers)) }}
{{- fail "keda.enabled is true, but no trigger is set to scale on. Set keda.prometheus.serverAddress, keda.extraTriggers or a target under autoscaling." }}
{{- end }}
{{- $fewest := int (include "rust-ml-api.fewestReplicas" .) -}}
{{- $min := $v.podDisruptionBudget.minAvailable -}}
{{- if and $v.podDisruptionBudget.enabled (gt $fewest 1) (not (kindIs "string" $min)) $min }}
{{- if ge (int $min) $fewest }}
{{- fail (printf "podDisruptionBudget.minAvailable is %v, but the release may have only %v replicas: no node could ever be drained. Lower podDisruptionBudget.minAvailable, or use maxUnavailable." (int $min) $fewest) }}
{{- end }}
{{- end }}
{{- end }}

{{/* One source of the weights at most, of those under a key called so. */}}
{{- define "rust-ml-api.validateSources" -}}
{{- $root := index . 0 -}}{{- $called := index . 1 -}}{{- $model := index . 2 -}}
{{- $sources := list -}}
{{- range list "existingConfigMap" "existingClaim" "image" "url" }}
{{- if get $model . }}{{ $sources = append $sources (printf "%s.%s" $called .) }}{{ end }}
{{- end }}
{{- if gt (len $sources) 1 }}
{{- fail (printf "%s are set, but a pod serves a single weights file. Set only one of them." (join " and " $sources)) }}
{{- end }}
{{- if and $model.image (semverCompare "<1.33-0" $root.Capabilities.KubeVersion.Version) }}
{{- fail (printf "%s.image is %s, but this cluster runs Kubernetes %s: images can be mounted as volumes from 1.33 on. Set %s.url, or copy the file to a claim and set %s.existingClaim." $called $model.image $root.Capabilities.KubeVersion.Version $called $called) }}
{{- end }}
{{- end }}
