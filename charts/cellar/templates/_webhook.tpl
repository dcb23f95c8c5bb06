{{/* What all entries of a webhook configuration share: who is asked, and how long. Takes root and path. */}}
{{- define "cellar.webhookClient" -}}
clientConfig:
  service:
    name: {{ .root.Values.webhook.service.name }}
    namespace: {{ include "cellar.namespace" .root }}
    port: {{ .root.Values.webhook.service.port }}
    path: {{ .path }}
  {{- if eq (include "cellar.certificateMode" .root) "bring-your-own" }}
  {{- with .root.Values.certificates.caBundle }}
  caBundle: {{ b64enc . }}
  {{- end }}
  {{- end }}
admissionReviewVersions: [v1]
sideEffects: None
matchPolicy: Equivalent
timeoutSeconds: {{ .root.Values.webhook.timeoutSeconds }}
{{- with .root.Values.webhook.namespaceSelector }}
namespaceSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* One entry. Takes root, name, path, group, resource, operations, settings. */}}
{{- define "cellar.webhookEntry" -}}
- name: {{ .name }}.barman-cloud.cloudnative-pg.io
  failurePolicy: {{ .failurePolicy | default .settings.failurePolicy }}
  {{- include "cellar.webhookClient" . | nindent 2 }}
  {{- with .settings.objectSelector }}
  objectSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - apiGroups: [{{ .group | quote }}]
      apiVersions: [v1]
      resources: [{{ .resource }}]
      operations: [{{ join ", " .operations }}]
      scope: Namespaced
{{- end -}}

{{- define "cellar.webhookAnnotations" -}}
{{- $own := .Values.webhook.annotations | default dict | deepCopy -}}
{{- if eq (include "cellar.certificateMode" .) "cert-manager" -}}
{{- $certificate := printf "%s/%s" (include "cellar.namespace" .) (include "cellar.webhookCertificateName" .) -}}
{{- $own = merge $own (dict "cert-manager.io/inject-ca-from" $certificate) -}}
{{- end -}}
{{- include "cellar.annotations" (dict "root" . "own" $own "indent" 2) -}}
{{- end -}}
