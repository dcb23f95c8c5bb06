// Whether the data folder that is copied is that of the server that was asked: `--host`, `--port` and `--dbname` may name
// any other one, and the label of one server with the files of another is nothing that PostgreSQL can recover.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PreconditionError } from '../../api/errors.ts';
import { orVanished } from './tree.ts';

/** What the server says of itself; `postmaster` is undefined where it does not let us ask. */
export type AskedServer = { systemId: string; postmaster: string | undefined };

/**
 * Compares the system identifier and, as all instances of a Cluster share that, process and start time of the server that
 * has the folder open. Throws PreconditionError when they differ or no server has it open.
 */
export async function checkOwnFolder(pgdata: string, { systemId, postmaster }: AskedServer): Promise<void> {
  const control = await readFile(join(pgdata, 'global/pg_control'));
  const held = control.readBigUInt64LE(0).toString();
  if (held !== systemId) throw another(pgdata, `system identifier ${systemId}, the folder has ${held}`);
  if (postmaster === undefined) return;
  const opened = await orVanished(readFile(join(pgdata, 'postmaster.pid'), 'utf8'));
  if (opened === undefined || identityOf(opened) !== identityOf(postmaster)) {
    throw another(pgdata, 'another process or start time than its postmaster.pid');
  }
}

/** Process, folder and start time; what follows them changes while a server starts. */
function identityOf(postmaster: string): string {
  return postmaster.split('\n', 3).join('\n');
}

function another(pgdata: string, difference: string): PreconditionError {
  return new PreconditionError(`the PostgreSQL that was asked does not work in ${pgdata}: it has ${difference}`, {
    hint: 'remove --host, --port and --dbname from spec.configuration.data.additionalCommandArgs, or let them name this instance',
  });
}
