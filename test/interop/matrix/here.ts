// The matrix as far as this machine has the means for it.
import { installedMajors } from '../../postgres.ts';
import { type Plan, planCells, titleOf } from './cells.ts';

/** The folder with the programs of barman 3.4; undefined when there is none. */
export const OLD_BARMAN = process.env.CELLAR_BARMAN_34 || undefined;

/** CELLAR_ALL=1: the whole matrix. */
export function planHere(): Plan {
  const means = { majors: installedMajors(), oldBarman: OLD_BARMAN !== undefined };
  return planCells(means, { all: process.env.CELLAR_ALL === '1' });
}

/** One line for each reason. */
export function sayUncovered(uncovered: Plan['uncovered']): string[] {
  const reasons = Map.groupBy(uncovered, ({ why }) => why);
  return [...reasons].map(([why, cells]) => {
    const [first] = cells;
    const title = first === undefined ? '' : titleOf(first.cell);
    return `${cells.length === 1 ? title : `${cells.length} cells of the interop matrix, first ${title}`}: ${why}`;
  });
}
