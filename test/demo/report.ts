// What the demo says: a line when a step starts, findings below it, a line with seconds when it has ended; progress in
// place on a terminal, now and then as a plain line elsewhere.

/** Something came that is not what the product promises. */
export class Unexpected extends Error {
  override readonly name = 'Unexpected';
  readonly expected: string;
  readonly came: string;

  constructor(expected: string, came: string) {
    super(`expected ${expected}, came ${came}`);
    this.expected = expected;
    this.came = came;
  }
}

/** Throws Unexpected unless the condition holds. */
export function expect(condition: boolean, expected: string, came: string | (() => string)): asserts condition {
  if (!condition) throw new Unexpected(expected, typeof came === 'string' ? came : came());
}

export type Step = {
  /** A finding: printed, and kept. Several lines are indented alike. */
  say(text: string): void;
  /** How far the work is: overwritten by what follows. */
  progress(text: string): void;
};

/** Says nothing: for work that is no step of its own, and for tests. */
export const silentStep: Step = { say: () => {}, progress: () => {} };

export type Report = {
  /** Runs one step and prints its frame; `seconds` of it are kept. */
  step<T>(title: string, work: (step: Step) => Promise<T>): Promise<T>;
  line(text: string): void;
  /** Title of the step that runs or failed. */
  current(): string | undefined;
  totalSeconds(): number;
};

type Output = { write(text: string): unknown; isTTY?: boolean; columns?: number };

const INDENT = '    ';
const PLAIN_PROGRESS_MS = 5_000;
const CLEAR_LINE = '\r\u001b[K';

/** Writes to a stream; `steps` is the number of steps that will come. */
export function createReport(output: Output, steps: number, now: () => number = () => performance.now()): Report {
  const began = now();
  const terminal = output.isTTY === true;
  let number = 0;
  let current: string | undefined;
  let progressShown = false;
  let lastPlainProgress = 0;

  const clear = (): void => {
    if (progressShown) output.write(CLEAR_LINE);
    progressShown = false;
  };
  const line = (text: string): void => {
    clear();
    output.write(`${text}\n`);
  };
  const say = (text: string): void => line(text.replaceAll(/^(?=.)/gm, INDENT));
  const progress = (text: string): void => {
    if (terminal) {
      output.write(`${CLEAR_LINE}${`${INDENT}… ${text}`.slice(0, (output.columns ?? 80) - 1)}`);
      progressShown = true;
    } else if (now() - lastPlainProgress >= PLAIN_PROGRESS_MS) {
      lastPlainProgress = now();
      line(`${INDENT}… ${text}`);
    }
  };

  return {
    async step(title, work) {
      number += 1;
      current = `${number}/${steps} ${title}`;
      line(`[${number}/${steps}] ${title}`);
      const started = now();
      lastPlainProgress = started;
      try {
        const result = await work({ say, progress });
        say(`ok, ${seconds(now() - started)}`);
        return result;
      } catch (error) {
        clear();
        throw error;
      }
    },
    line,
    current: () => current,
    totalSeconds: () => (now() - began) / 1000,
  };
}

export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

export function mebibytes(bytes: number): string {
  const value = bytes / 1024 / 1024;
  return `${value.toFixed(value < 10 ? 1 : 0)} MiB`;
}

/** The middle of some numbers; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}
