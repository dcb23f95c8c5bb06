// How values that people wrote are shown back to them: short, on one line, never secret.
import { isFields } from '../schema.ts';

const MAX_LENGTH = 60;

/** A value for a message: strings in quotes, shortened; lists and objects by kind only. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(shorten(value));
  if (Array.isArray(value)) return 'a list';
  if (isFields(value)) return 'an object';
  return String(value);
}

/** The kind of a value whose content may be secret. */
export function showKind(value: unknown): string {
  if (typeof value === 'string') return value === '' ? 'an empty string' : 'a string';
  if (typeof value === 'number') return 'a number';
  if (typeof value === 'boolean') return `${value}`;
  return show(value);
}

/** A URL, or what stands in its place, without what may be secret in it: user, password, query, fragment, account key. */
export function showUrl(url: string): string {
  const anonymous = url.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, (_, scheme = '') => `${scheme}…@`);
  return show(anonymous.replace(/[?#].*$/s, '?…').replace(/(AccountKey|SharedAccessSignature)=.*$/is, '$1=…'));
}

/** A name that should be one of a Kubernetes object, unless it looks like a credential pasted into the wrong place. */
export function showName(name: string): string {
  const random = name.length >= 16 && /\d/.test(name) && /[A-Z+/=]/.test(name);
  return random ? `a string of ${name.length} characters` : show(name);
}

/** Names in a sentence: `a`, `a and b`, `a, b and c`. */
export function joinNames(names: readonly string[], word = 'and'): string {
  if (names.length < 2) return names.join();
  return `${names.slice(0, -1).join(', ')} ${word} ${names.at(-1)}`;
}

/** The path of a map's value: the key in brackets, quoted when it has anything unusual in it. */
export function keyPath(path: string, key: string): string {
  return /^[\w./:-]{1,60}$/.test(key) ? `${path}[${key}]` : `${path}[${show(key)}]`;
}

function shorten(text: string): string {
  const characters = Array.from(text.slice(0, 2 * MAX_LENGTH));
  return characters.length <= MAX_LENGTH ? text : `${characters.slice(0, MAX_LENGTH - 1).join('')}…`;
}
