// PostgreSQL refuses to run as root, and the sidecar's container does too (runAsNonRoot). Started as root, tests and demo
// run both as `nobody`; started as a plain user they run as that user.
import { accessSync, constants, readFileSync, type Stats, statSync } from 'node:fs';
import { chown, cp, mkdtemp, opendir, stat } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';

/** How a program is started: node's own `uid` and `gid`, or through setpriv. */
export type Invocation = { program: string; args: string[]; uid?: number; gid?: number };

export type Account = {
  /** Name of the operating-system user; undefined when the system knows none (an arbitrary uid of a container). */
  name: string | undefined;
  /** How this account runs a program. */
  invoke(program: string, args: readonly string[]): Invocation;
  /** Gives a file, or a folder with everything in it, to the account. */
  own(path: string): Promise<void>;
  /** A program's folder that the account can execute from: itself, or a copy below `copies`. */
  executableFolder(folder: string, copies: string): Promise<string>;
};

const REPOSITORY = dirname(import.meta.dirname);
const ROOT_UID = 0;
const USER = 'nobody';
const CAP_DAC_READ_SEARCH = 2n;

/**
 * The account that runs PostgreSQL and the sidecar. Throws, saying what to do, when root finds no such user or when the
 * repository lies where that user cannot search (the home of root) and nothing on this machine can help.
 */
export function unprivilegedAccount(repository: string = REPOSITORY): Account {
  if (process.getuid?.() !== ROOT_UID) return ownAccount();
  const { uid, gid } = lookUp(USER, readFileSync('/etc/passwd', 'utf8'));
  const closed = firstClosedFolder(repository, uid, gid);
  const prefix = closed === undefined ? undefined : searchingPrefix(closed, uid, gid);
  return {
    name: USER,
    invoke: (program, args) =>
      prefix === undefined
        ? { program, args: [...args], uid, gid }
        : { program: 'setpriv', args: [...prefix, '--', program, ...args] },
    own: (path) => ownAll(path, uid, gid),
    async executableFolder(folder, copies) {
      if (closed === undefined) return folder;
      // PostgreSQL asks access(2) about its own files, which does not count the capability to search.
      const copy = join(copies, basename(dirname(folder)));
      await cp(folder, copy, { recursive: true, verbatimSymlinks: true, force: false });
      await ownAll(copy, uid, gid);
      return copy;
    },
  };
}

/** What leaves room below it for the demo's folder (19 bytes) and the longest socket in it (76), 107 bytes in all. */
const LONGEST_BASE = 12;

/**
 * Makes a folder whose path is short enough for unix sockets below it (107 bytes in all) and that every user may
 * search; /tmp when TMPDIR is too deep or closed.
 */
export async function makeShortFolder(prefix: string): Promise<string> {
  const base = tmpdir();
  const usable = Buffer.byteLength(base) <= LONGEST_BASE && firstClosedFolder(base, -1, -1) === undefined;
  return mkdtemp(join(usable ? base : '/tmp', prefix));
}

/** Reads uid and gid from the text of /etc/passwd. */
export function lookUp(name: string, passwd: string): { uid: number; gid: number } {
  const line = passwd.split('\n').find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (!uid || !gid) {
    throw new Error(
      `PostgreSQL refuses to run as root and /etc/passwd has no user ${name}: start this as a plain user`,
    );
  }
  return { uid: Number(uid), gid: Number(gid) };
}

/** The first folder on a path that a user cannot search, by its mode bits. */
export function firstClosedFolder(path: string, uid: number, gid: number): string | undefined {
  const above = dirname(path);
  const closed = above === path ? undefined : firstClosedFolder(above, uid, gid);
  if (closed !== undefined) return closed;
  return searchable(statSync(path), uid, gid) ? undefined : path;
}

function searchable(folder: Stats, uid: number, gid: number): boolean {
  if (folder.uid === uid) return (folder.mode & 0o100) !== 0;
  if (folder.gid === gid) return (folder.mode & 0o010) !== 0;
  return (folder.mode & 0o001) !== 0;
}

function searchingPrefix(closed: string, uid: number, gid: number): string[] {
  if (!onPath('setpriv') || !hasCapability(readFileSync('/proc/self/status', 'utf8'))) {
    throw new Error(
      `the user ${USER}, who has to run PostgreSQL, cannot enter ${closed}: move the repository to a folder that all users can search, or start this as a plain user (setpriv with the capability dac_read_search would do, and is not to be had here)`,
    );
  }
  const capabilities = ['--inh-caps', '+dac_read_search', '--ambient-caps', '+dac_read_search'];
  return ['--reuid', String(uid), '--regid', String(gid), '--clear-groups', ...capabilities];
}

function hasCapability(status: string): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> CAP_DAC_READ_SEARCH) & 1n) === 1n;
}

function onPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function ownAccount(): Account {
  return {
    name: ownName(),
    invoke: (program, args) => ({ program, args: [...args] }),
    own: async () => {},
    executableFolder: async (folder) => folder,
  };
}

function ownName(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}

async function ownAll(path: string, uid: number, gid: number): Promise<void> {
  await chown(path, uid, gid);
  if (!(await stat(path)).isDirectory()) return;
  for await (const entry of await opendir(path)) {
    if (!entry.isSymbolicLink()) await ownAll(join(path, entry.name), uid, gid);
  }
}
