// The tool for people: `cellar COMMAND`. Thin: it reads arguments and files, and prints.
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { messageOf } from '../api/errors.ts';
import { validateText } from './validate.ts';

const USAGE = `usage: cellar validate FILE…

  Judges ObjectStores and Clusters in YAML files by the rules of admission; - is standard input.
  Prints file:line: severity: path: message. Exit status 1 when something is refused, 2 for a file that cannot be read.
`;

process.exitCode = await run(process.argv.slice(2));

async function run([command, ...files]: string[]): Promise<number> {
  if (command !== 'validate' || files.length === 0) {
    process.stderr.write(USAGE);
    return command === '--help' ? 0 : 2;
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
