{{/* Flags of the operator process, as injector/flags.ts reads them. */}}
{{- define "cellar.args" -}}
- operator
- --server-address=:9090
- --health-probe-bind-address=:8081
- --log-level={{ .Values.logLevel }}
{{- if or .Values.rbac.additional.leaderElection.create (not .Values.rbac.create) }}
- --leader-elect
{{- end }}
{{- if eq (include "cellar.certificateMode" .) "self-made" }}
{{- include "cellar.selfMadeArgs" . }}
{{- else }}
- --certificates=files
- --server-cert=/server/tls.crt
- --server-key=/server/tls.key
- --client-cert=/client/tls.crt
{{- end }}
{{- if .Values.webhook.enabled }}
- --webhook-address=:{{ .Values.webhook.port }}
{{- if ne (include "cellar.certificateMode" .) "self-made" }}
- --webhook-cert=/webhook/tls.crt
- --webhook-key=/webhook/tls.key
{{- end }}
{{- if .Values.webhook.strictReferences }}
- --strict-references
{{- end }}
{{- if .Values.webhook.lookUpSecrets }}
- --look-up-secrets
{{- end }}
{{- end }}
{{- range .Values.additionalArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "cellar.selfMadeArgs" }}
- --certificates=self-made
- --ca-secret={{ .Values.certificates.selfMade.caSecretName }}
- --server-secret={{ include "cellar.serverSecret" . }}
- --client-secret={{ include "cellar.clientSecret" . }}
- --plugin-service={{ .Values.service.name }}
- --certificate-duration={{ .Values.certificates.selfMade.duration }}
- --certificate-renew-before={{ .Values.certificates.selfMade.renewBefore }}
{{- if .Values.webhook.enabled }}
- --webhook-secret={{ .Values.certificates.webhookSecretName }}
- --webhook-service={{ .Values.webhook.service.name }}
- --validating-configuration={{ include "cellar.webhookName" . }}
- --mutating-configuration={{ include "cellar.webhookName" . }}
{{- end }}
{{- end -}}
