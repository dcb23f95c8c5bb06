// The programs of the image: one bundle for each, made of main.ts without the rooms that only the others enter.

export type Program = {
  /** Name of the bundle, without `.js`. */
  name: string;
  /** First arguments that it serves. */
  commands: readonly string[];
  /** What main.ts imports for them. */
  entries: readonly string[];
};

export const PROGRAMS: readonly Program[] = [
  { name: 'operator', commands: ['operator'], entries: ['./injector/main.ts'] },
  { name: 'sidecar', commands: ['instance', 'restore'], entries: ['./sidecar/main.ts'] },
  { name: 'healthcheck', commands: ['healthcheck'], entries: ['./sidecar/health-check.ts'] },
  { name: 'codecs', commands: ['codecs'], entries: ['./sidecar/stream/libraries.ts'] },
  { name: 'cli', commands: ['validate', 'doctor'], entries: ['./cli/main.ts', './cli/doctor/main.ts'] },
];

/** Serves what names no program: it says so. */
const LAST_RESORT = 'healthcheck';

/** Whether main.ts enters a room for another program only. */
export function isForOthers(program: Program, imported: string): boolean {
  const owner = PROGRAMS.find(({ entries }) => entries.includes(imported));
  return owner !== undefined && owner !== program;
}

/**
 * The image's entry point: as a script with a shebang it needs no shell, and it takes the arguments of the Go images
 * (`/manager instance`). An account that the system does not know has no home, and the AWS client would fail for it.
 */
export function launcher(runtime: string, appFolder: string): string {
  const files = Object.fromEntries(
    PROGRAMS.flatMap(({ name, commands }) => commands.map((command) => [command, name])),
  );
  return `#!${runtime}
'use strict';
process.env.HOME ||= '/';
const programs = ${JSON.stringify(files)};
const program = Object.hasOwn(programs, process.argv[2] ?? '') ? programs[process.argv[2]] : '${LAST_RESORT}';
import('${appFolder}/' + program + '.js');
`;
}
