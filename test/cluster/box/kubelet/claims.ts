/** Volume claims: each is a folder, bound to a PersistentVolume at once. */
import { mkdirSync, rmSync } from 'node:fs';
import type { V1PersistentVolumeClaim } from '@kubernetes/client-node';
import { core, follow, idOf, isStatus, mergePatch, objects } from '../kube.ts';
import { claimDir } from './volumes.ts';

const storageClass = 'standard';

export async function serveClaims(): Promise<void> {
  await objects.create({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: storageClass, annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
    provisioner: 'cluster.local/folder',
    allowVolumeExpansion: true,
    volumeBindingMode: 'Immediate',
  } as object);
  await follow<V1PersistentVolumeClaim>(
    '/api/v1/persistentvolumeclaims',
    () => core.listPersistentVolumeClaimForAllNamespaces(),
    {
      change: (claim) =>
        void settle(claim).catch((error) => console.error(`claim ${idOf(claim).name}: ${error.message}`)),
      gone: (claim) =>
        void remove(claim).catch((error) => console.error(`claim ${idOf(claim).name}: ${error.message}`)),
    },
  );
}

async function settle(claim: V1PersistentVolumeClaim): Promise<void> {
  const { name, namespace, uid } = idOf(claim);
  const capacity = { storage: claim.spec?.resources?.requests?.storage ?? '1Gi' };
  if (claim.status?.phase === 'Bound' && claim.status.capacity?.storage === capacity.storage) return;
  mkdirSync(claimDir(namespace, name), { recursive: true, mode: 0o755 });
  const volume = `pv-${uid}`;
  const accessModes = claim.spec?.accessModes;
  await objects
    .create({
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: volume },
      spec: {
        capacity,
        accessModes,
        storageClassName: claim.spec?.storageClassName,
        persistentVolumeReclaimPolicy: 'Delete',
        claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace, uid },
        hostPath: { path: claimDir(namespace, name) },
      },
    } as object)
    .catch((error) => {
      if (!isStatus(error, 409)) throw error;
    });
  if (!claim.spec?.volumeName) {
    const bound = {
      metadata: {
        annotations: { 'pv.kubernetes.io/bind-completed': 'yes', 'pv.kubernetes.io/bound-by-controller': 'yes' },
      },
      spec: { volumeName: volume },
    };
    await core.patchNamespacedPersistentVolumeClaim({ name, namespace, body: bound }, mergePatch);
  }
  await core.patchNamespacedPersistentVolumeClaimStatus(
    { name, namespace, body: { status: { phase: 'Bound', accessModes, capacity } } },
    mergePatch,
  );
}

async function remove(claim: V1PersistentVolumeClaim): Promise<void> {
  const { name, namespace, uid } = idOf(claim);
  rmSync(claimDir(namespace, name), { recursive: true, force: true });
  await core.deletePersistentVolume({ name: `pv-${uid}` }).catch(() => undefined);
}
