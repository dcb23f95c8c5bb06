// The arguments of `cellar validate`, the files they mean, and what it prints.
import { globSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../api/errors.ts';
import { type Finding, type SourceText, validateSources } from './validate.ts';

const USAGE = `usage: cellar validate [-o json] -f FILE…

  Judges ObjectStores, Clusters, Backups and ScheduledBackups in YAML or JSON by the rules of admission, each beside the
  others. A folder stands for its *.yaml, *.yml and *.json, at any depth; - is standard input; -f may be left out.

  Prints file:line: severity: path: message, or with -o json a list of {file, line, severity, rule, kind, name, text}.
  Exit status 1 when something is refused, 2 for files that cannot be read.
`;

/** Reads standard input to its end; prints. */
export type ValidatePorts = {
  readInput(): Promise<string>;
  write(text: string): void;
  complain(text: string): void;
};

/** Judges files; the status is 0, 1 when something is refused, 2 for what cannot be read or was asked wrongly. */
export async function runValidateCommand(args: readonly string[], ports: ValidatePorts): Promise<number> {
  const asked = readArguments(args);
  if (typeof asked === 'string') {
    ports.complain(`${asked}\n${USAGE}`);
    return 2;
  }
  if (asked.help) {
    ports.write(USAGE);
    return 0;
  }
  const { sources, unreadable } = await readSources(asked.files, ports);
  for (const complaint of unreadable) ports.complain(`${complaint}\n`);
  const findings = validateSources(sources);
  ports.write(asked.json ? `${JSON.stringify(findings, null, 2)}\n` : findings.map(lineOf).join(''));
  if (unreadable.length > 0) return 2;
  return findings.some(({ severity }) => severity === 'error') ? 1 : 0;
}

function lineOf({ file, line, severity, text }: Finding): string {
  return `${file}:${line}: ${severity}: ${text}\n`;
}

type Asked = { files: string[]; json: boolean; help: boolean };

/** A string is a complaint. */
function readArguments(args: readonly string[]): Asked | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        filename: { type: 'string', short: 'f', multiple: true, default: [] },
        output: { type: 'string', short: 'o', default: 'text' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const files = [...values.filename, ...positionals];
    if (values.output !== 'text' && values.output !== 'json') return `-o ${values.output}: write text or json`;
    if (files.length === 0 && !values.help) return 'name at least one file';
    return { files, json: values.output === 'json', help: values.help };
  } catch (error) {
    return messageOf(error);
  }
}

async function readSources(files: readonly string[], ports: ValidatePorts) {
  const sources: SourceText[] = [];
  const unreadable: string[] = [];
  for (const file of files) {
    try {
      for (const found of await filesOf(file)) {
        sources.push({ file: found, text: found === '-' ? await ports.readInput() : await readFile(found, 'utf8') });
      }
    } catch (error) {
      unreadable.push(`${file}: ${messageOf(error)}`);
    }
  }
  return { sources, unreadable };
}

/** Hidden folders, such as .git, are none of ours. */
async function filesOf(file: string): Promise<string[]> {
  if (file === '-' || !(await stat(file)).isDirectory()) return [file];
  return globSync('**/*.{yaml,yml,json}', {
    cwd: file,
    exclude: (name) => name === 'node_modules' || name.startsWith('.'),
  })
    .sort()
    .map((found) => join(file, found));
}
