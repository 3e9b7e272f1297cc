{{- /* What the schema cannot say, because it takes two values to see it. */}}
{{- define "propylon.checkValues" -}}
{{- $values := .Values -}}
{{- if and (not $values.app.module) (not $values.config) }}
{{- fail "app.module is empty: name your app, as in main:app, or give a `config` with [[pools]]" }}
{{- end }}
{{- if and (eq $values.shape "native-sidecar") (semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version) }}
{{- fail (printf "shape is native-sidecar, and Kubernetes %s would wait for ever for the gateway to end, as for any other init container: set shape to classic-sidecar, or to all-in-one" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- if and $values.tls.enabled (not $values.tls.secretName) }}
{{- fail "tls.secretName is empty: name the Secret of type kubernetes.io/tls, or set tls.enabled to false" }}
{{- end }}
{{- if and $values.tls.redirect (not $values.tls.enabled) }}
{{- fail "tls.redirect is true, but tls.enabled is false: there is no https to redirect to" }}
{{- end }}
{{- if and $values.ingress.enabled (eq $values.ingress.servicePort "https") (not $values.tls.enabled) }}
{{- fail "ingress.servicePort is https, but tls.enabled is false" }}
{{- end }}
{{- if and $values.tls.redirect $values.ingress.enabled (eq $values.ingress.servicePort "http") }}
{{- fail "tls.redirect is true and ingress.servicePort is http: the ingress would be redirected for ever; set ingress.servicePort to https" }}
{{- end }}
{{- if and $values.tls.redirect $values.httpRoute.enabled }}
{{- fail "tls.redirect is true and httpRoute.enabled too: the Gateway would be redirected for ever" }}
{{- end }}
{{- if gt (int $values.autoscaling.minReplicas) (int $values.autoscaling.maxReplicas) }}
{{- fail (printf "autoscaling.minReplicas (%v) is more than autoscaling.maxReplicas (%v)" $values.autoscaling.minReplicas $values.autoscaling.maxReplicas) }}
{{- end }}
{{- $words := concat $values.app.args (ternary $values.gateway.args (list) (eq $values.shape "all-in-one")) -}}
{{- $ofWorkers := printf "\n%s" (join "\n" $words) -}}
{{- if and (ne $values.autoscaling.kind "none") (not $values.config) (ne $values.app.interface "wsgi") (not (regexMatch "\n--limit-concurrency=(auto|[1-9])" $ofWorkers)) }}
{{- fail (printf "autoscaling.kind is %s, but an ASGI worker has 10000 slots, so its load is never seen: add --limit-concurrency=auto or =N to app.args, or say app.interface: wsgi" $values.autoscaling.kind) }}
{{- end }}
{{- $ofGateway := printf "\n%s" (join "\n" (ternary $words $values.gateway.args (eq $values.shape "all-in-one"))) -}}
{{- if and $values.volumes.tmpSize (not $values.config) (not (contains "\n--buffer-disk=" $ofGateway)) }}
{{- fail (printf "volumes.tmpSize is %v, and bodies that are kept for slow clients may take more, for which Kubernetes would evict the pod: add --buffer-disk=N to gateway.args, with N below tmpSize / gateway.processes" $values.volumes.tmpSize) }}
{{- end }}
{{- if and $values.httpRoute.enabled (not $values.httpRoute.parentRefs) }}
{{- fail "httpRoute.parentRefs is empty: name the Gateway, as in [{name: public, namespace: gateways}]" }}
{{- end }}
{{- $rollout := $values.rollout -}}
{{- if and (eq (toString $rollout.maxSurge | trimSuffix "%") "0") (eq (toString $rollout.maxUnavailable | trimSuffix "%") "0") }}
{{- fail "rollout.maxSurge and rollout.maxUnavailable are both 0: no pod could ever be replaced" }}
{{- end }}
{{- $listen := $values.listen -}}
{{- $ports := list $listen.http $listen.https $listen.admin $listen.appAdmin -}}
{{- if lt (len (uniq (list (int $listen.http) (int $listen.https) (int $listen.admin) (int $listen.appAdmin)))) 4 }}
{{- fail (printf "listen.http, listen.https, listen.admin and listen.appAdmin must differ, found %v: the containers of a pod share their ports" $ports) }}
{{- end }}
{{- end }}
