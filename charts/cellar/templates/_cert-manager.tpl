{{/* A Certificate of cert-manager. Takes root, name, secret, commonName, usage, dnsNames. */}}
{{- define "cellar.certificate" }}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ .name }}
  namespace: {{ include "cellar.namespace" .root }}
  labels:
    {{- include "cellar.labels" .root | nindent 4 }}
  {{- include "cellar.annotations" (dict "root" .root "indent" 2) }}
spec:
  secretName: {{ .secret }}
  commonName: {{ .commonName }}
  {{- with .dnsNames }}
  dnsNames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  duration: {{ .root.Values.certificate.duration }}
  renewBefore: {{ .root.Values.certificate.renewBefore }}
  isCA: false
  usages: [{{ .usage }}]
  # A new key with every renewal.
  privateKey:
    rotationPolicy: Always
  issuerRef:
    group: cert-manager.io
    kind: Issuer
    name: {{ include "cellar.issuerName" .root }}
{{- end -}}
