// Python literals, as `backup.info` holds them (object-store-layout.md §6.2): read with Python's rules, written as
// Python's own `repr` writes them.
import { CorruptError } from '../../api/errors.ts';

/** A list is an array, a tuple an object with `tuple`, a dict a Map, None null. Numbers that need it are bigint. */
export type PythonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PythonValue[]
  | { tuple: PythonValue[] }
  | Map<PythonValue, PythonValue>;

/** Reads one literal that fills the whole text; throws CorruptError that names the place. */
export function parsePythonLiteral(text: string): PythonValue {
  const reader = new LiteralReader(text);
  const value = reader.value();
  reader.end();
  return value;
}

/** Writes a value as `repr` does: single quotes, unless a string holds `'` and no `"`. */
export function formatPythonLiteral(value: PythonValue): string {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') return formatString(value);
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return `[${value.map(formatPythonLiteral).join(', ')}]`;
  if (value instanceof Map) {
    const items = [...value].map(([key, item]) => `${formatPythonLiteral(key)}: ${formatPythonLiteral(item)}`);
    return `{${items.join(', ')}}`;
  }
  const items = value.tuple.map(formatPythonLiteral).join(', ');
  return value.tuple.length === 1 ? `(${items},)` : `(${items})`;
}

const SHORT_ESCAPES: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };
const ESCAPED: Record<string, string> = {
  n: '\n',
  r: '\r',
  t: '\t',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
};
const NUMBER = /[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;
const WORDS: [string, null | boolean][] = [
  ['None', null],
  ['True', true],
  ['False', false],
];

function formatString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let body = '';
  for (const character of text) body += character === quote ? `\\${quote}` : formatCharacter(character);
  return `${quote}${body}${quote}`;
}

/** Printable characters stay as they are, as in Python 3; everything else is escaped. */
function formatCharacter(character: string): string {
  const short = SHORT_ESCAPES[character];
  if (short !== undefined) return short;
  if (character === ' ' || !/[\p{C}\p{Z}]/u.test(character)) return character;
  const code = character.codePointAt(0) ?? 0;
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code <= 0xffff) return `\\u${code.toString(16).padStart(4, '0')}`;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}

class LiteralReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(): PythonValue {
    this.#skipBlanks();
    const next = this.#text[this.#at];
    if (next === "'" || next === '"') return this.#strings();
    if (next === '[') return this.#items('[', ']').values;
    if (next === '(') {
      const { values, commas } = this.#items('(', ')');
      const [only] = values;
      return values.length === 1 && commas === 0 && only !== undefined ? only : { tuple: values };
    }
    if (next === '{') return this.#dict();
    for (const [word, value] of WORDS) if (this.#take(word)) return value;
    return this.#number();
  }

  end(): void {
    this.#skipBlanks();
    if (this.#at < this.#text.length) this.#fail('nothing more');
  }

  #items(open: string, close: string): { values: PythonValue[]; commas: number } {
    this.#expect(open);
    const values: PythonValue[] = [];
    let commas = 0;
    while (!this.#take(close)) {
      values.push(this.value());
      if (this.#take(',')) commas++;
      else if (this.#peek() !== close) this.#fail(`"," or "${close}"`);
    }
    return { values, commas };
  }

  #dict(): Map<PythonValue, PythonValue> {
    this.#expect('{');
    const entries = new Map<PythonValue, PythonValue>();
    while (!this.#take('}')) {
      const key = this.value();
      this.#expect(':');
      entries.set(key, this.value());
      if (!this.#take(',') && this.#peek() !== '}') this.#fail('"," or "}"');
    }
    return entries;
  }

  /** Neighbouring strings are one string, as in Python. */
  #strings(): string {
    let text = this.#string();
    while (this.#peek() === "'" || this.#peek() === '"') text += this.#string();
    return text;
  }

  #string(): string {
    const quote = this.#text[this.#at++];
    let value = '';
    for (;;) {
      const character = this.#text[this.#at++];
      if (character === undefined) return this.#fail('the closing quote');
      if (character === quote) return value;
      value += character === '\\' ? this.#escape() : character;
    }
  }

  #escape(): string {
    const kind = this.#text[this.#at++] ?? '';
    const digits = { x: 2, u: 4, U: 8 }[kind];
    if (digits !== undefined) {
      const code = Number.parseInt(this.#text.slice(this.#at, this.#at + digits), 16);
      if (Number.isNaN(code) || code > 0x10ffff) return this.#fail(`${digits} hex digits`);
      this.#at += digits;
      return String.fromCodePoint(code);
    }
    const octal = /^[0-7]{1,3}/.exec(this.#text.slice(this.#at - 1, this.#at + 2))?.[0];
    if (octal !== undefined) {
      this.#at += octal.length - 1;
      return String.fromCodePoint(Number.parseInt(octal, 8));
    }
    return ESCAPED[kind] ?? `\\${kind}`;
  }

  #number(): number | bigint {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (match === null) return this.#fail('a Python literal');
    this.#at += match[0].length;
    const value = Number(match[0]);
    return /^[+-]?\d+$/.test(match[0]) && !Number.isSafeInteger(value) ? BigInt(match[0]) : value;
  }

  #peek(): string | undefined {
    this.#skipBlanks();
    return this.#text[this.#at];
  }

  #take(word: string): boolean {
    this.#skipBlanks();
    if (!this.#text.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }

  #expect(word: string): void {
    if (!this.#take(word)) this.#fail(`"${word}"`);
  }

  #skipBlanks(): void {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++;
  }

  #fail(expected: string): never {
    throw new CorruptError(`not a Python literal: expected ${expected} at character ${this.#at + 1}`);
  }
}
