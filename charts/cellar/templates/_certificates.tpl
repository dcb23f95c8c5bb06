{{/*
Where certificates come from. Both create flags of the official chart off and both Secrets named mean the user's own.
*/}}
{{- define "cellar.certificateMode" -}}
{{- $official := .Values.certificate -}}
{{- $ours := .Values.certificates -}}
{{- if and (not $official.createClientCertificate) (not $official.createServerCertificate) $ours.serverSecretName $ours.clientSecretName -}}
bring-your-own
{{- else -}}
{{- $ours.mode -}}
{{- end -}}
{{- end -}}

{{- define "cellar.serverSecret" -}}
{{- .Values.certificates.serverSecretName | default "barman-cloud-server-tls" -}}
{{- end -}}

{{- define "cellar.clientSecret" -}}
{{- .Values.certificates.clientSecretName | default "barman-cloud-client-tls" -}}
{{- end -}}

{{- define "cellar.issuerName" -}}
{{- .Values.certificate.issuerName | default (printf "%s-selfsigned-issuer" (include "cellar.fullname" .)) -}}
{{- end -}}

{{/* Name of the webhook's Certificate, which its configurations refer to. */}}
{{- define "cellar.webhookCertificateName" -}}
{{- .Values.webhook.service.name -}}
{{- end -}}
