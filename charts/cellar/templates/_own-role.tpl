{{/* A Role of the plugin in its own namespace, and its binding. */}}
{{- define "cellar.ownRole" }}
{{- $binding := ternary (printf "%sbinding" .name) (printf "%s-binding" .name) (hasSuffix "-role" .name) }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ include "cellar.namespace" .root }}
  labels:
    {{- include "cellar.labels" .root | nindent 4 }}
  {{- include "cellar.annotations" (dict "root" .root "indent" 2) }}
rules:
  {{- toYaml .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $binding }}
  namespace: {{ include "cellar.namespace" .root }}
  labels:
    {{- include "cellar.labels" .root | nindent 4 }}
  {{- include "cellar.annotations" (dict "root" .root "indent" 2) }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "cellar.serviceAccountName" .root }}
    namespace: {{ include "cellar.namespace" .root }}
{{- end -}}
