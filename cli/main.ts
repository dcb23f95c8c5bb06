// The tool for people: `cellar validate`. Thin: it reads arguments and files, and prints.
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { messageOf } from '../api/errors.ts';
import { validateText } from './validate.ts';

const USAGE = `usage: cellar validate FILE…

  Judges ObjectStores and Clusters in YAML files by the rules of admission; - is standard input.
  Prints file:line: severity: path: message. Exit status 1 when something is refused, 2 for a file that cannot be read.
`;

/** Judges files; the status is 0, 1 when something is refused, 2 for a file that cannot be read or no file. */
export async function runValidate(files: readonly string[]): Promise<number> {
  if (files.length === 0 || files.includes('--help')) {
    process.stderr.write(USAGE);
    return files.length === 0 ? 2 : 0;
  }
  let status = 0;
  for (const file of files) {
    try {
      for (const { line, severity, text } of validateText(await contentOf(file))) {
        process.stdout.write(`${file}:${line}: ${severity}: ${text}\n`);
        if (severity === 'error') status = Math.max(status, 1);
      }
    } catch (error) {
      process.stderr.write(`${file}: ${messageOf(error)}\n`);
      status = 2;
    }
  }
  return status;
}

function contentOf(file: string): Promise<string> {
  return file === '-' ? text(process.stdin) : readFile(file, 'utf8');
}
