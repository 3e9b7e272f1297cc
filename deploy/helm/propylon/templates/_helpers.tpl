{{- define "propylon.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "propylon.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := include "propylon.name" . }}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "propylon.selector" -}}
app.kubernetes.io/name: {{ include "propylon.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "propylon.labels" -}}
{{ include "propylon.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The metadata of an object. A list: the root, the name's suffix, more labels, more annotations. */}}
{{- define "propylon.metadata" -}}
{{- $root := index . 0 -}}
metadata:
  name: {{ include "propylon.fullname" $root }}{{ index . 1 }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "propylon.labels" $root | nindent 4 }}
    {{- with index . 2 }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with merge (dict) (index . 3) $root.Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "propylon.image" -}}
{{- $image := index . 1 -}}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default (index . 0).Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- define "propylon.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "propylon.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* Options that every container takes. Seconds from SIGTERM on: the delay is a part of the graceful timeout. */}}
{{- define "propylon.commonArgs" -}}
- --timeout-graceful-shutdown={{ add .Values.drain.delay .Values.drain.graceful }}
- --log-format={{ .Values.log.format }}
- --log-level={{ .Values.log.level }}
{{- if .Values.config }}
- --config=/etc/propylon/config/propylon.toml
{{- end }}
{{- if .Values.admin.tokenSecret.name }}
- --admin-token-file=/etc/propylon/admin/{{ .Values.admin.tokenSecret.key }}
{{- end }}
{{- end }}

{{- define "propylon.gatewayArgs" -}}
{{- $host := .Values.listen.host -}}
{{- if .Values.tls.enabled }}
- --bind={{ $host }}:{{ .Values.listen.https }}
- --ssl-certfile=/etc/propylon/tls/tls.crt
- --ssl-keyfile=/etc/propylon/tls/tls.key
- --insecure-bind={{ $host }}:{{ .Values.listen.http }}
{{- if .Values.tls.redirect }}
- --redirect-to-https
- --https-port={{ .Values.service.https }}
{{- end }}
{{- else }}
- --bind={{ $host }}:{{ .Values.listen.http }}
{{- end }}
{{- if .Values.listen.h2c }}
- --h2c=prior-knowledge
{{- end }}
- --gateways={{ .Values.gateway.processes }}
- --drain-delay={{ .Values.drain.delay }}
{{- if not .Values.log.access }}
- --no-access-log
{{- end }}
{{- with .Values.trustedProxies }}
- --forwarded-allow-ips={{ join "," . }}
{{- end }}
{{- with .Values.gateway.args }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "propylon.appArgs" -}}
{{- with .Values.app.module }}
- {{ . | quote }}
{{- end }}
- --workers={{ .Values.app.workers }}
- --startup-timeout={{ .Values.app.startupTimeout }}
{{- if .Values.app.factory }}
- --factory
{{- end }}
{{- if ne .Values.app.interface "auto" }}
- --interface={{ .Values.app.interface }}
{{- end }}
{{- with .Values.app.threads }}
- --threads={{ . }}
{{- end }}
{{- with .Values.app.args }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Environment of a container. A list: the root, its admin port, its own variables. */}}
{{- define "propylon.env" -}}
{{- $root := index . 0 -}}
- name: PROPYLON_RUN_DIR
  value: /run/propylon
- name: PROPYLON_ADMIN_BIND
  value: {{ printf "%s:%v" $root.Values.listen.host (index . 1) | quote }}
{{- with index . 2 }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* A list: the root, the port's name, the seconds that a start may take. */}}
{{- define "propylon.probes" -}}
{{- $probes := (index . 0).Values.probes -}}
{{- $port := index . 1 -}}
startupProbe:
  httpGet: {path: /startupz, port: {{ $port }}}
  periodSeconds: {{ $probes.startup.periodSeconds }}
  timeoutSeconds: {{ $probes.startup.timeoutSeconds }}
  failureThreshold: {{ divf (index . 2) $probes.startup.periodSeconds | ceil | int }}
livenessProbe:
  httpGet: {path: /livez, port: {{ $port }}}
  {{- toYaml $probes.liveness | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: {{ $port }}}
  {{- toYaml $probes.readiness | nindent 2 }}
{{- end }}

{{- define "propylon.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- /* Mounts that every container has. A list: the root, the volume of its /tmp. */}}
{{- define "propylon.commonMounts" -}}
- {name: run, mountPath: /run/propylon}
- {name: {{ index . 1 }}, mountPath: /tmp}
{{- with index . 0 }}
{{- if .Values.config }}
- {name: config, mountPath: /etc/propylon/config, readOnly: true}
{{- end }}
{{- if .Values.admin.tokenSecret.name }}
- {name: admin-token, mountPath: /etc/propylon/admin, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{- /* A directory, never a subPath: a subPath would keep the certificate of the pod's first day. */}}
{{- define "propylon.tlsMount" -}}
{{- if .Values.tls.enabled }}
- {name: tls, mountPath: /etc/propylon/tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "propylon.gatewayPorts" -}}
- {name: http, containerPort: {{ .Values.listen.http }}}
{{- if .Values.tls.enabled }}
- {name: https, containerPort: {{ .Values.listen.https }}}
{{- end }}
- {name: admin, containerPort: {{ .Values.listen.admin }}}
{{- end }}

{{- define "propylon.gatewayContainer" -}}
name: gateway
image: {{ include "propylon.image" (list . .Values.gateway.image) | quote }}
imagePullPolicy: {{ .Values.gateway.image.pullPolicy }}
args:
  {{- include "propylon.gatewayArgs" . | trim | nindent 2 }}
  {{- include "propylon.commonArgs" . | trim | nindent 2 }}
env:
  {{- include "propylon.env" (list . .Values.listen.admin .Values.gateway.env) | trim | nindent 2 }}
{{- with .Values.gateway.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  {{- include "propylon.gatewayPorts" . | trim | nindent 2 }}
{{ include "propylon.probes" (list . "admin" 60) }}
{{ include "propylon.containerSecurity" . }}
{{- with .Values.gateway.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  {{- include "propylon.commonMounts" (list . "gateway-tmp") | trim | nindent 2 }}
  {{- with include "propylon.tlsMount" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .Values.gateway.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "propylon.appContainer" -}}
{{- $alone := eq .Values.shape "all-in-one" -}}
name: app
image: {{ include "propylon.image" (list . .Values.app.image) | quote }}
imagePullPolicy: {{ .Values.app.image.pullPolicy }}
args:
  {{- include "propylon.appArgs" . | trim | nindent 2 }}
  {{- if $alone }}
  {{- include "propylon.gatewayArgs" . | trim | nindent 2 }}
  {{- end }}
  {{- include "propylon.commonArgs" . | trim | nindent 2 }}
env:
  {{- include "propylon.env" (list . (ternary .Values.listen.admin .Values.listen.appAdmin $alone) .Values.app.env) | trim | nindent 2 }}
{{- with .Values.app.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  {{- if $alone }}
  {{- include "propylon.gatewayPorts" . | trim | nindent 2 }}
  {{- else }}
  - {name: app-admin, containerPort: {{ .Values.listen.appAdmin }}}
  {{- end }}
{{ include "propylon.probes" (list . (ternary "admin" "app-admin" $alone) (add .Values.app.startupTimeout 30)) }}
{{ include "propylon.containerSecurity" . }}
{{- with .Values.app.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  {{- include "propylon.commonMounts" (list . "tmp") | trim | nindent 2 }}
  {{- if $alone }}
  {{- with include "propylon.tlsMount" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- with .Values.app.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "propylon.volumes" -}}
- name: run
  emptyDir: {medium: Memory, sizeLimit: {{ .Values.volumes.runSize }}}
{{- range ternary (list "tmp") (list "tmp" "gateway-tmp") (eq .Values.shape "all-in-one") }}
- name: {{ . }}
  {{- if $.Values.volumes.tmpSize }}
  emptyDir: {sizeLimit: {{ $.Values.volumes.tmpSize }}}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
{{- if .Values.config }}
- name: config
  configMap: {name: {{ include "propylon.fullname" . }}}
{{- end }}
{{- with .Values.admin.tokenSecret.name }}
- name: admin-token
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- if .Values.tls.enabled }}
- name: tls
  secret: {secretName: {{ .Values.tls.secretName }}, defaultMode: 0440}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
