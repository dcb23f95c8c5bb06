// A short way to name the objects of one server, for histories and for what is left of them. Pure.
//
// | word             | objects                                                  |
// |------------------|----------------------------------------------------------|
// | `1:7`, `1:7-12`  | segments of timeline 1, by number, packed with gzip      |
// | `1:7.backup`     | the backup label file of that segment                    |
// | `1:7.partial`    | its partial form                                         |
// | `2.history`      | the history of timeline 2                                |
// | `wals/…`         | that key below the server                                |
// | `A/…`            | that object of backup A                                  |
import { segment } from '../../planted-backups.ts';

/** Keys below the server's folder. `ids`: of the backups, by their letters. */
export function keysOf(words: readonly string[], ids: ReadonlyMap<string, string>): string[] {
  return words.flatMap((word) => keysOfWord(word, ids));
}

/** The words of keys, one for each; runs of segments are not joined. For messages. */
export function wordsOf(keys: Iterable<string>, ids: ReadonlyMap<string, string>): string[] {
  const letters = new Map([...ids].map(([letter, id]) => [id, letter]));
  return [...keys].map((key) => {
    const name = key.slice(key.lastIndexOf('/') + 1);
    const [, timeline, log, number, rest] = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(.*)\.gz$/.exec(name) ?? [];
    if (timeline !== undefined) {
      const count = 256 * Number.parseInt(log ?? '', 16) + Number.parseInt(number ?? '', 16);
      return `${Number.parseInt(timeline, 16)}:${count}${(rest ?? '').replace('.00000028', '')}`;
    }
    return key.replace(/^base\/([^/]+)\//, (whole, id) => (letters.has(id) ? `${letters.get(id)}/` : whole));
  });
}

function keysOfWord(word: string, ids: ReadonlyMap<string, string>): string[] {
  if (word.startsWith('wals/')) return [word];
  const history = /^(\d+)\.history$/.exec(word);
  if (history !== null) return [`wals/${Number(history[1]).toString(16).toUpperCase().padStart(8, '0')}.history.gz`];
  const wal = /^(\d+):(\d+)(?:-(\d+))?(\.backup|\.partial)?$/.exec(word);
  if (wal !== null) {
    const [first, last] = [Number(wal[2]), Number(wal[3] ?? wal[2])];
    return Array.from({ length: last - first + 1 }, (_, index) => {
      const name = segment(Number(wal[1]), first + index);
      const kind = wal[4] === '.backup' ? '.00000028.backup' : (wal[4] ?? '');
      return `wals/${name.slice(0, 16)}/${name}${kind}.gz`;
    });
  }
  const [letter = '', ...rest] = word.split('/');
  const id = ids.get(letter);
  if (id === undefined) throw new Error(`${word} is no object of a history`);
  return [`base/${id}/${rest.join('/')}`];
}
