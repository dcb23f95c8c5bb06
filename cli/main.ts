// The tool for people: `cellar validate`. The composition root: it brings the process's own streams.
import { text } from 'node:stream/consumers';
import { runValidateCommand } from './validate-command.ts';

/** Judges files; the status is 0, 1 when something is refused, 2 for what cannot be read or was asked wrongly. */
export function runValidate(args: readonly string[]): Promise<number> {
  return runValidateCommand(args, {
    readInput: () => text(process.stdin),
    write: (output) => process.stdout.write(output),
    complain: (output) => process.stderr.write(output),
  });
}
