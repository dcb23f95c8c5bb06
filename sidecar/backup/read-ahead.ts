// Opens the next files, and reads them where they are small, while the present one is copied: one by one, many small files are
// hardly more than waiting.
import { openSource, type SourceFile } from './source-file.ts';
import type { TreeEntry } from './tree.ts';

/** `opened` for files only: undefined when it has vanished, and who takes it closes it. */
export type ReadyEntry = { entry: TreeEntry; opened: Promise<SourceFile | undefined> | undefined };

/** Each is an open file, and 64 KiB at most of content. */
const MOST_AHEAD = 8;

/** The entries in their order. Files that are not taken in the end are closed. */
export async function* readAhead(entries: AsyncIterable<TreeEntry>): AsyncGenerator<ReadyEntry> {
  const ahead: ReadyEntry[] = [];
  let given: ReadyEntry | undefined;
  try {
    for await (const entry of entries) {
      ahead.push({ entry, opened: entry.kind === 'file' ? begin(entry.source) : undefined });
      if (ahead.length <= MOST_AHEAD) continue;
      given = ahead.shift();
      if (given !== undefined) yield given;
    }
    for (given = ahead.shift(); given !== undefined; given = ahead.shift()) yield given;
  } finally {
    // The one that was given last may not have been opened by whoever failed.
    for (const { opened } of given === undefined ? ahead : [given, ...ahead])
      (await opened?.catch(() => undefined))?.close();
  }
}

function begin(path: string): Promise<SourceFile | undefined> {
  const opened = openSource(path, { readSmall: true });
  // Told to whoever takes it, in its turn.
  opened.catch(() => {});
  return opened;
}
