{{- define "hami.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "hami.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "hami.name" . -}}
{{- (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "hami.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "hami.scheduler" -}}{{ include "hami.fullname" . }}-scheduler{{- end -}}
{{- define "hami.nodeAgent" -}}{{ include "hami.fullname" . }}-node-agent{{- end -}}
{{- define "hami.monitor" -}}{{ include "hami.fullname" . }}-monitor{{- end -}}
{{- define "hami.kubeScheduler" -}}{{ include "hami.fullname" . }}-kube-scheduler{{- end -}}
{{- /* Not kube-scheduler's Lease, which has the scheduler's name. */ -}}
{{- define "hami.lease" -}}{{ include "hami.scheduler" . }}-extender{{- end -}}
{{- define "hami.tlsSecret" -}}
{{- default (printf "%s-tls" (include "hami.scheduler" .)) .Values.scheduler.certificate.existingSecret -}}
{{- end -}}

{{- /* The labels that selectors use; call with (dict "root" $ "component" "scheduler"). */ -}}
{{- define "hami.selector" -}}
app.kubernetes.io/name: {{ include "hami.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "hami.labels" -}}
{{ include "hami.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.global.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "hami.metadata" -}}
namespace: {{ include "hami.namespace" .root }}
labels:
  {{- include "hami.labels" . | nindent 2 }}
{{- with .root.Values.global.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* An image; call with (dict "root" $ "image" .image "tag" "fallback"). */ -}}
{{- define "hami.image" -}}
{{- $registry := default .image.registry .root.Values.global.imageRegistry -}}
{{- printf "%s/%s:%s" $registry .image.repository (default .tag .image.tag) -}}
{{- end -}}

{{- /* Every resource name that makes a pod ours, as a JSON list. */ -}}
{{- define "hami.resources" -}}
{{- $v := .Values -}}
{{- $names := list -}}
{{- if $v.devices.nvidia.enabled -}}
{{- $names = concat $names (list $v.resourceName $v.resourceMem $v.resourceMemPercentage $v.resourceCores $v.resourcePriority) -}}
{{- end -}}
{{- if $v.devices.cambricon.enabled -}}
{{- $names = concat $names (list $v.mluResourceName $v.mluResourceMem $v.mluResourceCores) -}}
{{- end -}}
{{- if $v.devices.hygon.enabled -}}
{{- $names = concat $names (list $v.dcuResourceName $v.dcuResourceMem $v.dcuResourceCores) -}}
{{- end -}}
{{- range $vendor := list "ascend" "iluvatar" "mthreads" -}}
{{- $section := index $v.devices $vendor -}}
{{- if $section.enabled -}}{{- $names = concat $names $section.customresources -}}{{- end -}}
{{- end -}}
{{- $names = concat $names $v.remotePlugins.resources -}}
{{- $names = without $names "" | uniq -}}
{{- if not $names -}}{{- fail "devices: enable at least one vendor" -}}{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{- /* Tables of plugins over gRPC, for every process that knows families; and on nodes the sockets that answer. */ -}}
{{- define "hami.remoteMounts" -}}
{{- $v := .root.Values.remotePlugins -}}
{{- if $v.tablesConfigName }}
- name: plugin-tables
  mountPath: /etc/hami/plugins
  readOnly: true
{{- end }}
{{- if and .node $v.vendors }}
- name: plugin-sockets
  mountPath: /var/lib/hami/plugins
  readOnly: true
{{- end }}
{{- end -}}

{{- define "hami.remoteVolumes" -}}
{{- $v := .root.Values.remotePlugins -}}
{{- if $v.tablesConfigName }}
- name: plugin-tables
  configMap:
    name: {{ $v.tablesConfigName }}
{{- end }}
{{- if and .node $v.vendors }}
- name: plugin-sockets
  hostPath:
    path: {{ $v.socketPath }}
    type: DirectoryOrCreate
{{- end }}
{{- end -}}

{{- define "hami.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "hami.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "hami.placement" -}}
{{- with .Values.scheduler.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.scheduler.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.scheduler.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "hami.metricsPort" -}}
{{- splitList ":" .Values.scheduler.metricsBindAddress | last -}}
{{- end -}}

{{- /* What the scheduler is started with, as a YAML list. */ -}}
{{- define "hami.schedulerArgs" -}}
- --http_bind=0.0.0.0:9443
- --cert_file=/tls/tls.crt
- --key_file=/tls/tls.key
- --device-config-file=/config/device-config.yaml
- --scheduler-name={{ .Values.schedulerName }}
- --metrics-bind-address={{ .Values.scheduler.metricsBindAddress }}
- --node-scheduler-policy={{ .Values.scheduler.defaultSchedulerPolicy.nodeSchedulerPolicy }}
- --gpu-scheduler-policy={{ .Values.scheduler.defaultSchedulerPolicy.gpuSchedulerPolicy }}
- --node-lock-timeout={{ .Values.scheduler.nodeLockExpire }}
- --node-choice={{ .Values.scheduler.nodeChoice }}
- --log-format={{ .Values.scheduler.logFormat }}
{{- if not .Values.scheduler.forceOverwriteDefaultScheduler }}
- --no-force-overwrite-default-scheduler
{{- end }}
{{- $labels := list }}
{{- range $key, $value := .Values.scheduler.nodeLabelSelector }}
{{- $labels = append $labels (printf "%s=%s" $key $value) }}
{{- end }}
{{- with $labels }}
- --node-label-selector={{ join "," . }}
{{- end }}
{{- if .Values.scheduler.leaderElect }}
- --leader-elect
- --leader-elect-resource-name={{ include "hami.lease" . }}
- --leader-elect-resource-namespace={{ include "hami.namespace" . }}
{{- end }}
{{- if .Values.devicePlugin.enabled }}
- --trusted-user=system:serviceaccount:{{ include "hami.namespace" . }}:{{ include "hami.nodeAgent" . }}
{{- end }}
{{- range .Values.scheduler.trustedUsers }}
- --trusted-user={{ . }}
{{- end }}
{{- with .Values.scheduler.extender.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* CEL: whether the annotation named by the given variable is one that a bind writes. */ -}}
{{- define "hami.ours" -}}
({{ . }}.startsWith("hami.io/") && ({{ . }}.endsWith("-allocated") || {{ . }}.endsWith("-to-allocate") || {{ . }} in ["hami.io/vgpu-node", "hami.io/vgpu-time", "hami.io/bind-phase", "hami.io/bind-time", "hami.io/vgpu-mig-allocations", "hami.io/resize-status", "hami.io/resize-applied"]))
{{- end -}}

{{- /* The certificate that helm makes, kept over upgrades: {crt, key, ca}, base64. Made once per rendering. */ -}}
{{- define "hami.certificate" -}}
{{- if not (hasKey .Values "madeCertificate") -}}
{{- $namespace := include "hami.namespace" . -}}
{{- $found := lookup "v1" "Secret" $namespace (include "hami.tlsSecret" .) -}}
{{- $kept := dict -}}
{{- if and $found (not .Values.scheduler.certificate.rotate) -}}{{- $kept = $found.data | default dict -}}{{- end -}}
{{- if and (hasKey $kept "tls.crt") (hasKey $kept "tls.key") (hasKey $kept "ca.crt") -}}
{{- $_ := set .Values "madeCertificate" (dict "crt" (index $kept "tls.crt") "key" (index $kept "tls.key") "ca" (index $kept "ca.crt")) -}}
{{- else -}}
{{- $service := include "hami.scheduler" . -}}
{{- $names := list -}}
{{- range $name := list $service (printf "%s-extender" $service) -}}
{{- $names = concat $names (list (printf "%s.%s.svc" $name $namespace) (printf "%s.%s.svc.cluster.local" $name $namespace)) -}}
{{- end -}}
{{- $days := .Values.scheduler.certificate.days | int -}}
{{- $ca := genCA (printf "%s-ca" $service) $days -}}
{{- $cert := genSignedCert $service nil $names $days $ca -}}
{{- $_ := set .Values "madeCertificate" (dict "crt" (b64enc $cert.Cert) "key" (b64enc $cert.Key) "ca" (b64enc $ca.Cert)) -}}
{{- end -}}
{{- end -}}
{{- toJson .Values.madeCertificate -}}
{{- end -}}

{{- /* The CA that the API server checks the webhook against, base64; empty where cert-manager writes it. */ -}}
{{- define "hami.caBundle" -}}
{{- if .Values.scheduler.certManager.enabled -}}
{{- else if .Values.scheduler.certificate.existingSecret -}}
{{- required "scheduler.certificate.caBundle: needed with existingSecret (base64 of its CA certificate)" .Values.scheduler.certificate.caBundle -}}
{{- else -}}
{{- index (include "hami.certificate" . | fromJson) "ca" -}}
{{- end -}}
{{- end -}}
