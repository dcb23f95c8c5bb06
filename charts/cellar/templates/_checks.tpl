{{/* Settings that cannot work together. Each refusal says field, value found, and what to do instead. */}}
{{- define "cellar.checks" -}}
{{- include "cellar.checkImages" . -}}
{{- include "cellar.checkCertificates" . -}}
{{- end -}}

{{- define "cellar.checkImages" -}}
{{- range $field := list "image" "sidecarImage" -}}
{{- $repository := (index $.Values $field).repository | toString -}}
{{- if or (hasSuffix "/plugin-barman-cloud" $repository) (hasSuffix "/plugin-barman-cloud-sidecar" $repository) -}}
{{- fail (printf "%s.repository: found %q, an image of the Go plugin: this chart runs Cellar's; remove %s from your values or name Cellar's image" $field $repository $field) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "cellar.checkCertificates" -}}
{{- $mode := include "cellar.certificateMode" . -}}
{{- $official := .Values.certificate -}}
{{- if eq $mode "cert-manager" -}}
{{- if and (not $official.createIssuer) (not $official.issuerName) -}}
{{- fail "certificate.issuerName: found \"\" with certificate.createIssuer: false: name the Issuer that signs the certificates" -}}
{{- end -}}
{{- else -}}
{{- $defaults := dict "createIssuer" true "issuerName" "" "duration" "2160h" "renewBefore" "360h" -}}
{{- range $field, $default := $defaults -}}
{{- include "cellar.refuseForCertManager" (dict "field" $field "found" (index $official $field) "default" $default "mode" $mode) -}}
{{- end -}}
{{- include "cellar.refuseForCertManager" (dict "field" "server.dnsNames" "found" (join "," $official.server.dnsNames) "default" "" "mode" $mode) -}}
{{- if eq $mode "self-made" -}}
{{- with .Values.service.annotations.pluginServerName -}}
{{- if ne . $.Values.service.name -}}
{{- fail (printf "service.annotations.pluginServerName: found %q with certificates.mode: self-made, whose certificate is for %s: remove it, or use another mode" . $.Values.service.name) -}}
{{- end -}}
{{- end -}}
{{- include "cellar.refuseForCertManager" (dict "field" "createClientCertificate" "found" $official.createClientCertificate "default" true "mode" $mode) -}}
{{- include "cellar.refuseForCertManager" (dict "field" "createServerCertificate" "found" $official.createServerCertificate "default" true "mode" $mode) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $mode "bring-your-own") .Values.webhook.enabled (not .Values.certificates.caBundle) (not .Values.webhook.annotations) -}}
{{- fail (printf "certificates.caBundle: found \"\" with certificates of your own: the API server must know the authority of the certificate in Secret %s; set certificates.caBundle to its PEM, name a CA injector in webhook.annotations, or set webhook.enabled: false" .Values.certificates.webhookSecretName) -}}
{{- end -}}
{{- end -}}

{{- define "cellar.refuseForCertManager" -}}
{{- if ne (toString .found) (toString .default) -}}
{{- $instead := "set certificates.mode: cert-manager, or remove it" -}}
{{- if hasPrefix "create" .field -}}
{{- $instead = "set certificates.mode: cert-manager, or, for Secrets of your own, certificates.serverSecretName and certificates.clientSecretName with both create flags false" -}}
{{- end -}}
{{- if and (eq .mode "self-made") (has .field (list "duration" "renewBefore")) -}}
{{- $instead = printf "set certificates.mode: cert-manager, or use certificates.selfMade.%s" .field -}}
{{- end -}}
{{- fail (printf "certificate.%s: found %q with certificates.mode: %s, where nothing reads it: %s" .field (toString .found) .mode $instead) -}}
{{- end -}}
{{- end -}}
