// What a user of kubectl sees of an admission answer: the API server's wrapping, then kubectl's printing. Written from
// what kubectl 1.32 printed for such answers of a loopback server; kubectl-text.test.ts holds its lines.
import type { AdmissionAnswer, StatusCause } from '../webhook/review.ts';

/** Lines on standard error before anything else; the API server tells the same text once. */
export function kubectlWarnings(answers: readonly AdmissionAnswer[]): string[] {
  const texts = answers.flatMap(({ response }) => response.warnings ?? []);
  return [...new Set(texts)].map((text) => `Warning: ${text}`);
}

/**
 * The text for a refused `kubectl apply -f SOURCE` that would have created the object. kubectl lists the causes of an
 * Invalid status and leaves out its message and the webhook's name; other reasons it prints as one sentence.
 * Throws when the answer allows.
 */
export function kubectlDenial(answer: AdmissionAnswer, webhook: string, source: string): string {
  const { allowed, status } = answer.response;
  if (allowed || status === undefined) throw new Error('the answer refuses nothing');
  const { reason, details, message } = status;
  if (reason === 'Invalid') return printInvalid(details.kind, details.name, details.causes);
  const denied = `admission webhook ${JSON.stringify(webhook)} denied the request: ${message}`;
  return `Error from server (${reason}): error when creating ${JSON.stringify(source)}: ${denied}`;
}

function printInvalid(kind: string, name: string, causes: StatusCause[]): string {
  const subject =
    kind === '' && name === '' ? 'The request is invalid' : `The ${kind} ${JSON.stringify(name)} is invalid`;
  const lines = [...new Set(causes.map(({ field, message }) => `${field}: ${message}`))];
  if (lines.length === 0) return subject;
  if (lines.length === 1) return `${subject}: ${lines.join()}`;
  return [`${subject}: `, ...lines.map((line) => `* ${line}`)].join('\n');
}
