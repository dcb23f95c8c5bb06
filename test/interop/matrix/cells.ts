// The cells of the interop matrix: who wrote, who restores, which PostgreSQL, codec and layout. Pure.
import { POSTGRES_MAJORS, type PostgresMajor } from '../../postgres.ts';

export const CODECS = ['gzip', 'bzip2', 'snappy', 'lz4', 'none'] as const;
export const LAYOUTS = ['one part', 'several parts', 'tablespaces', 'pg_wal as a link'] as const;
export const TARGETS = ['name', 'time', 'lsn'] as const;
/** `barman 3.4` is Debian's version, in which nothing of today's is: only what it wrote counts. */
export const PAIRS = [
  { writer: 'cellar', reader: 'barman' },
  { writer: 'barman', reader: 'cellar' },
  { writer: 'barman 3.4', reader: 'cellar' },
] as const;

export type Codec = (typeof CODECS)[number];
export type Layout = (typeof LAYOUTS)[number];
export type Target = (typeof TARGETS)[number];
export type Pair = (typeof PAIRS)[number];
export type Cell = Pair & { major: PostgresMajor; codec: Codec; layout: Layout; target: Target };

/** What is here to run cells with. */
export type Means = { majors: readonly PostgresMajor[]; oldBarman: boolean };
export type Plan = { cells: Cell[]; uncovered: { cell: Cell; why: string }[] };

/** By pair. */
const SHORT_MAJORS: PostgresMajor[][] = [[18, 14], [14, 18], [14]];

/**
 * The cells to run and those that cannot be run, each with the reason. The short form has every codec and every layout
 * of each pair, on the newest and the oldest PostgreSQL by turns.
 */
export function planCells(means: Means, options: { all: boolean }): Plan {
  const plan: Plan = { cells: [], uncovered: [] };
  for (const cell of options.all ? everyCell() : shortCells()) {
    const why = impossible(cell, means);
    if (why === undefined) plan.cells.push(cell);
    else plan.uncovered.push({ cell, why });
  }
  return plan;
}

/** As a test's title. */
export function titleOf({ writer, reader, major, codec, layout, target }: Cell): string {
  return `PostgreSQL ${major}, ${codec}, ${layout}: ${writer} wrote, ${reader} restores to a target (${target})`;
}

function everyCell(): Cell[] {
  return PAIRS.flatMap((pair) =>
    POSTGRES_MAJORS.flatMap((major, m) =>
      CODECS.flatMap((codec, c) =>
        LAYOUTS.map((layout, l) => ({ ...pair, major, codec, layout, target: rotated(TARGETS, m + c + l) })),
      ),
    ),
  );
}

function shortCells(): Cell[] {
  return PAIRS.flatMap((pair, p) =>
    CODECS.map((codec, c) => ({
      ...pair,
      major: rotated(SHORT_MAJORS[p] ?? [], c),
      codec,
      layout: rotated(LAYOUTS, p + c),
      target: rotated(TARGETS, c),
    })),
  );
}

function rotated<T>(values: readonly T[], by: number): T {
  return values[by % values.length] as T;
}

/**
 * Barman 3.4 (of January 2023) backs up every major from 14 to 18: tried.
 *
 * | cell                              | why it cannot be                                            |
 * |-----------------------------------|-------------------------------------------------------------|
 * | barman 3.4 with lz4               | base backups in lz4 came with 3.18                          |
 * | any cell of barman 3.4            | it is not on this machine                                   |
 * | a major                           | its package is not on this machine                          |
 */
function impossible({ writer, major, codec }: Cell, { majors, oldBarman }: Means): string | undefined {
  if (writer === 'barman 3.4') {
    if (codec === 'lz4') return 'barman 3.4 writes no lz4: it came with 3.18';
    if (!oldBarman) return 'no barman 3.4 here: name the folder of its programs in CELLAR_BARMAN_34';
  }
  if (!majors.includes(major)) return `no PostgreSQL ${major} from npm here`;
  return undefined;
}
