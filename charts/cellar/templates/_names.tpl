{{/* The value of app.kubernetes.io/name: NetworkPolicies of users select by it. */}}
{{- define "cellar.name" -}}
{{- .Values.nameOverride | default "plugin-barman-cloud" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What objects are named after when the user has a say; empty without one. */}}
{{- define "cellar.chosenName" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if .Values.nameOverride -}}
{{- if contains .Values.nameOverride .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Without a choice the names are those of the Go plugin's manifest, so that one takes the other's place. */}}
{{- define "cellar.fullname" -}}
{{- include "cellar.chosenName" . | default "plugin-barman-cloud" -}}
{{- end -}}

{{- define "cellar.deploymentName" -}}
{{- include "cellar.chosenName" . | default "barman-cloud" -}}
{{- end -}}

{{- define "cellar.leaderElectionName" -}}
{{- $chosen := include "cellar.chosenName" . -}}
{{- if $chosen -}}{{ $chosen }}-leader-election-role{{- else -}}barman-plugin-leader-election-role{{- end -}}
{{- end -}}

{{- define "cellar.objectStoreRolePrefix" -}}
{{- $chosen := include "cellar.chosenName" . -}}
{{- if $chosen -}}{{ $chosen }}-objectstore{{- else -}}barman-plugin-objectstore{{- end -}}
{{- end -}}

{{- define "cellar.webhookName" -}}
{{- $chosen := include "cellar.chosenName" . -}}
{{- if $chosen -}}{{ $chosen }}-webhook{{- else -}}cellar-webhook{{- end -}}
{{- end -}}

{{- define "cellar.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "cellar.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "cellar.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "cellar.selectorLabels" -}}
app.kubernetes.io/name: {{ include "cellar.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cellar.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "cellar.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: cellar
{{- end -}}

{{/*
The annotations key of an object, on a line of its own: the common ones and `own`, a map. Nothing when there are none.
Takes root, own, indent.
*/}}
{{- define "cellar.annotations" -}}
{{- $all := merge (dict) (.own | default dict) (.root.Values.commonAnnotations | default dict) -}}
{{- if $all -}}
{{- dict "annotations" $all | toYaml | nindent (int .indent) -}}
{{- end -}}
{{- end -}}

{{/* A whole reference from registry, repository and tag; a tag may be a digest. */}}
{{- define "cellar.reference" -}}
{{- $tag := toString .tag -}}
{{- $separator := ternary "" ":" (hasPrefix "@" $tag) -}}
{{- if .registry -}}{{ .registry }}/{{- end -}}{{ .repository }}{{ $separator }}{{ $tag }}
{{- end -}}

{{- define "cellar.image" -}}
{{- $image := .Values.image -}}
{{- include "cellar.reference" (dict "registry" $image.registry "repository" $image.repository "tag" ($image.tag | default .Chart.AppVersion)) -}}
{{- end -}}

{{/* A repository of its own has the registry that is named with it, not that of `image`. */}}
{{- define "cellar.sidecarImage" -}}
{{- $image := .Values.image -}}
{{- $sidecar := .Values.sidecarImage -}}
{{- $registry := $sidecar.registry | default (ternary "" $image.registry (not (empty $sidecar.repository))) -}}
{{- $tag := $sidecar.tag | default $image.tag | default .Chart.AppVersion -}}
{{- include "cellar.reference" (dict "registry" $registry "repository" ($sidecar.repository | default $image.repository) "tag" $tag) -}}
{{- end -}}

{{/* Both families of a Service, on lines of their own. */}}
{{- define "cellar.ipFamilies" -}}
{{- with .Values.service.ipFamilyPolicy }}
  ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.service.ipFamilies }}
  ipFamilies:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end -}}
