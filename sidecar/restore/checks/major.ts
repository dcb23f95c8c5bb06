// Whether the Cluster's PostgreSQL can read the data folder of a backup. Pure.
//
// | the Cluster says, first of these     | its major                  |
// |--------------------------------------|----------------------------|
// | spec.imageCatalogRef.major           | that number                |
// | spec.imageName, tag with a version   | of the tag (`:16.4-bookworm`) |
// | status.pgDataImageInfo.majorVersion  | that number                |
// | status.image, tag with a version     | of the tag                 |
// | nothing of it (`:latest`, a digest)  | unknown: nothing is checked |
import { PreconditionError } from '../../../api/errors.ts';
import type { Cluster } from '../../../api/kube.ts';
import type { DoneEntry } from '../../backup/catalog.ts';

/** Throws PreconditionError naming both majors when they differ; a data folder is of one major only. */
export function assertMajorFits(cluster: Cluster, { id, info }: DoneEntry): void {
  const expected = majorOfCluster(cluster);
  if (expected === undefined || info.version === undefined) return;
  const found = Math.floor(info.version / 10_000);
  if (found === expected) return;
  throw new PreconditionError(
    `base backup ${id} is of PostgreSQL ${found}, Cluster ${cluster.metadata.name} runs PostgreSQL ${expected}`,
    { hint: `set spec.imageName to an image of PostgreSQL ${found}; upgrade after the recovery` },
  );
}

/** Undefined when the Cluster does not tell. */
export function majorOfCluster({ spec, status }: Cluster): number | undefined {
  return (
    spec.imageCatalogRef?.major ??
    majorOfImage(spec.imageName) ??
    status?.pgDataImageInfo?.majorVersion ??
    majorOfImage(status?.image)
  );
}

/** The operator reads the version from the tag in the same way. A year or a build number is none. */
function majorOfImage(image: string | undefined): number | undefined {
  const [name = ''] = (image ?? '').split('@');
  const tag = /:([^:/]+)$/.exec(name)?.[1] ?? '';
  const major = /^(\d{2})(?!\d)/.exec(tag)?.[1];
  return major === undefined ? undefined : Number(major);
}
