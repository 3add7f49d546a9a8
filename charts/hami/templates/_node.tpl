{{- /* What the pods on the nodes have in common: where they run, and how they are replaced. */ -}}
{{- define "hami.nodePlacement" -}}
priorityClassName: {{ .Values.devicePlugin.priorityClassName | quote }}
{{- with .Values.devicePlugin.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.devicePlugin.nvidiaNodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.devicePlugin.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.devicePlugin.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* root owns what is written on the node; nothing else of root's power is needed. */ -}}
{{- define "hami.nodeSecurity" -}}
runAsUser: 0
runAsGroup: 0
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "hami.monitorSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
  # Whose a process is, its pid namespace tells; the kernel shows that of containers to those who may trace them.
  add: [SYS_PTRACE]
{{- end -}}

{{- /* For NVIDIA's runtime: all cards, and of the driver what looks at them. Other runtimes do not know these names. */ -}}
{{- define "hami.driverEnv" -}}
- name: NVIDIA_VISIBLE_DEVICES
  value: all
- name: NVIDIA_DRIVER_CAPABILITIES
  value: utility
{{- end -}}

{{- define "hami.monitorPort" -}}
{{- splitList ":" .Values.devicePlugin.monitor.metricsBindAddress | last -}}
{{- end -}}

{{- /* The vendors that the agents serve, by their names in the device configuration, as arguments: the plugins' own names. */ -}}
{{- define "hami.servedVendors" -}}
{{- $served := list -}}
{{- range $section, $vendor := dict "nvidia" "nvidia" "cambricon" "mlu" "hygon" "dcu" "ascend" "ascend" "iluvatar" "iluvatar" "mthreads" "mthreads" -}}
{{- $wanted := or (not $.Values.devicePlugin.vendors) (has $section $.Values.devicePlugin.vendors) -}}
{{- if and $wanted (index $.Values.devices $section).enabled -}}
{{- $served = append $served (printf "- --vendor=%s" $vendor) -}}
{{- end -}}
{{- end -}}
{{- range .Values.remotePlugins.vendors -}}
{{- $served = append $served (printf "- --vendor=%s" .) -}}
{{- end -}}
{{- /* Without any --vendor the agents would serve every one. */ -}}
{{- if not $served -}}{{- fail "devicePlugin.vendors: name a vendor that devices enables, or set devicePlugin.enabled=false" -}}{{- end -}}
{{- join "\n" $served -}}
{{- end -}}

{{- /* What the node agent's container may do: nothing of root's power, or what NVIDIA's driver asks for to cut cards. */ -}}
{{- define "hami.nodeAgentSecurity" -}}
{{- if .Values.devicePlugin.migAdministration -}}
# Kubernetes counts SYS_ADMIN as privilege escalation.
allowPrivilegeEscalation: true
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
  add: [SYS_ADMIN]
{{- else -}}
{{- include "hami.containerSecurity" . -}}
{{- end -}}
{{- end -}}

{{- /* What the node agent is started with, as a YAML list. */ -}}
{{- define "hami.nodeAgentArgs" -}}
{{- $v := .Values.devicePlugin -}}
- --device-config-file=/config/device-config.yaml
- --node-config-file=/node-config/config.json
{{ include "hami.servedVendors" . | trim }}
- --binding={{ $v.binding }}
{{- if $v.isolateWholeDevices }}
- --isolate-whole-devices
{{- end }}
{{- if $v.allowIsolationOptOut }}
- --allow-isolation-opt-out
{{- end }}
- --taint={{ $v.taint }}
{{- with $v.evictAfter }}
- --evict-after={{ . }}
{{- end }}
- --plugins-dir={{ $v.pluginPath }}
- --pod-resources-socket={{ $v.podResourcesPath }}/kubelet.sock
- --cdi-dir={{ $v.cdiPath }}
- --files-dir={{ $v.libPath }}
- --log-format={{ $v.logFormat }}
{{- with $v.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}
