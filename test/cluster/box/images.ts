// Which files and which command stand for an image: nothing is pulled here.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';

export type Image = {
  /** Beginning of the reference; the longest that fits wins. */
  match: string;
  /** Path in the container, and the path on this machine that is bound there, read-only. */
  files?: Record<string, string>;
  env?: Record<string, string>;
  /** Folders before the system's own on PATH. */
  path?: string[];
  entrypoint?: string[];
  cmd?: string[];
  user?: number;
  workdir?: string;
};

export function readImages(file: string): Image[] {
  return JSON.parse(readFileSync(file, 'utf8'));
}

export function findImage(table: readonly Image[], reference: string): Image | undefined {
  const fits = table.filter(({ match }) => reference.startsWith(match));
  return fits.sort((a, b) => b.match.length - a.match.length)[0];
}

/** Files of an image: Node, and a program at `path` in the container that is the given lines of shell, kept in `file`. */
export function nodeProgram(file: string, path: string, script: string): Record<string, string> {
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return { '/node/bin/node': process.execPath, [path]: file };
}
