// Composition root of `cellar doctor`: stores are opened as the sidecar opens them.
import type { Environment } from '../../api/wire/env.ts';
import { silentLog } from '../../api/wire/log.ts';
import { createArchives } from '../../sidecar/store/open.ts';
import { runDoctor } from './command.ts';
import type { OpenStore } from './look.ts';

/** Runs `cellar doctor`; see runDoctor for the status and what it throws. */
export function runDoctorCommand(args: readonly string[], env: Environment): Promise<number> {
  return runDoctor(args, { env, openStore: openWith(env), write: (text) => process.stdout.write(text) });
}

function openWith(env: Environment): OpenStore {
  return async (kube, { namespace, objectStore, certificatesFolder }) => {
    const archives = createArchives({ namespace, kube, env, certificatesFolder, log: silentLog() });
    const { storage } = await archives.open({ objectStore, serverName: 'cellar-doctor' });
    return {
      async list(signal) {
        for await (const _ of storage.listFolders('', { signal })) return;
      },
      close: () => storage.close(),
    };
  };
}
