// The table for people and one JSON line for each measure for programs: a form that every benchmark keeps.
import assert from 'node:assert/strict';

/**
 * What a measure should reach. `times` compares with the floor: `atMost` 1.15 is no more than 1.15 times the floor's time,
 * `atLeast` 3.5 is 3.5 times as fast as the floor. `value` compares the figure itself.
 */
export type Goal = { times: { atMost: number } | { atLeast: number } } | { value: { atMost: number } };

export type Measure = {
  name: string;
  value: number;
  unit: 'ms' | 'ms/segment' | 's' | 's/GiB' | 'MiB';
  /** The best that can be had here, or what another program needs; undefined when there is nothing to compare with. */
  floor?: number | undefined;
  /** The floor is another program's figure: the ratio says how many times as fast we are, also without a goal. */
  peer?: true;
  goal?: Goal;
  /** For people. */
  note?: string;
};

export type Report = {
  say(text: string): void;
  add(measure: Measure): void;
  /** The JSON lines of all measures, after the table. Throws when one does not keep the form. */
  printLines(): void;
};

type Line = {
  measure: string;
  value: number;
  unit: string;
  floor: number | null;
  ratio: number | null;
  goal: string | null;
  met: boolean | null;
};

const COLUMNS = [52, 9, 11, 9, 7, 14, 4] as const;

export function createReport(): Report {
  const lines: string[] = [];
  return {
    say: (text) => console.log(text),
    add(measure) {
      if (lines.length === 0) console.log(row(['measure', 'value', 'unit', 'floor', 'ratio', 'goal', 'met'], ''));
      const line = judge(measure);
      lines.push(JSON.stringify(line));
      const { value, unit, floor, ratio, goal, met } = line;
      const answer = met === null ? '' : met ? 'yes' : 'no';
      const cells = [line.measure, figure(value), unit, figure(floor), figure(ratio), goal ?? '', answer];
      console.log(row(cells, measure.note ?? ''));
    },
    printLines() {
      for (const line of lines) {
        checkForm(JSON.parse(line));
        console.log(line);
      }
    },
  };
}

/** Compares a measure with its goal. Pure. */
export function judge({ name, value, unit, floor, goal, peer }: Measure): Line {
  const line = { measure: name, value: rounded(value), unit, floor: floor === undefined ? null : rounded(floor) };
  if (goal !== undefined && 'value' in goal) {
    const ratio = floor === undefined ? null : rounded(value / floor);
    return { ...line, ratio, goal: `value <= ${goal.value.atMost}`, met: value <= goal.value.atMost };
  }
  const faster = peer ?? (goal !== undefined && 'atLeast' in goal.times);
  const ratio = floor === undefined ? null : rounded(faster ? floor / value : value / floor);
  if (goal === undefined) return { ...line, ratio, goal: null, met: null };
  const { times } = goal;
  if ('atLeast' in times) {
    return { ...line, ratio, goal: `ratio >= ${times.atLeast}`, met: ratio === null ? null : ratio >= times.atLeast };
  }
  return { ...line, ratio, goal: `ratio <= ${times.atMost}`, met: ratio === null ? null : ratio <= times.atMost };
}

/** Figures that could not be measured become null in JSON, which `value` may not be. */
function checkForm(line: Line): void {
  assert.deepEqual(Object.keys(line), ['measure', 'value', 'unit', 'floor', 'ratio', 'goal', 'met']);
  const types = Object.values(line).map((value) => (value === null ? 'null' : typeof value));
  const form = [
    /^string$/,
    /^number$/,
    /^string$/,
    /^number|null$/,
    /^number|null$/,
    /^string|null$/,
    /^boolean|null$/,
  ];
  for (const [at, type] of types.entries())
    assert.match(type, form[at] ?? /^$/, `${JSON.stringify(line)}: field ${at}`);
}

function row(cells: readonly string[], note: string): string {
  const padded = cells.map((cell, at) =>
    (at === 0 || at === 2 ? cell.padEnd : cell.padStart).call(cell, COLUMNS[at] ?? 0),
  );
  return `${padded.join('  ')}  ${note}`.trimEnd();
}

function figure(value: number | null): string {
  if (value === null) return '';
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
