// Guesses what somebody meant: the nearest of some known words.

/**
 * The known word that the given one most likely stands for: the only one that it begins, else the nearest by edits.
 * Undefined when none is near. Case does not count.
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length === 0 || word.length > MAX_LENGTH) return undefined;
  const written = word.toLowerCase();
  const begun = known.filter((candidate) => word.length >= 3 && candidate.toLowerCase().startsWith(written));
  if (begun.length === 1) return begun[0];
  const ranked = known
    .map((candidate) => ({ candidate, distance: distance(written, candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const [best, second] = ranked;
  if (best === undefined || best.distance > Math.max(1, Math.floor(best.candidate.length / 3))) return undefined;
  return second?.distance === best.distance ? undefined : best.candidate;
}

const MAX_LENGTH = 64;

/** Edits from one word to the other, a swap of neighbours being one (optimal string alignment). */
function distance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= from.length; row += 1) {
    const line = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const above = rows[row - 1] ?? [];
      const same = from[row - 1] === to[column - 1];
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      line.push(
        Math.min(
          at(above, column) + 1,
          at(line, column - 1) + 1,
          at(above, column - 1) + (same ? 0 : 1),
          swapped && row > 1 && column > 1 ? at(rows[row - 2] ?? [], column - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    rows.push(line);
  }
  return at(rows.at(-1) ?? [], to.length);
}

function at(line: number[], column: number): number {
  return line[column] ?? Number.POSITIVE_INFINITY;
}
