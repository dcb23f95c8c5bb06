// Who the plugin is and what this process offers. Asked at every connection, that is once for each WAL file: the
// answers are constants.
import { PLUGIN_NAME } from '../../api/names.ts';
import {
  GetPluginCapabilitiesResponse,
  GetPluginMetadataResponse,
  type IdentityServer,
  IdentityService,
  PluginCapability_Service_Type as Service,
} from '../../api/proto/gen/identity.ts';
import { type GrpcService, unary } from '../../api/wire/grpc.ts';
import type { Log } from '../../api/wire/log.ts';

/** The two lives of the sidecar: beside PostgreSQL in an instance Pod, or in the Pod of a recovery Job. */
export type SidecarKind = 'instance' | 'restore';

/** What each kind announces (objectstore-and-injection.md §9.2): nobody scrapes a recovery Job. */
const SERVICES: Record<SidecarKind, readonly Service[]> = {
  instance: [Service.TYPE_WAL_SERVICE, Service.TYPE_BACKUP_SERVICE, Service.TYPE_METRICS],
  restore: [Service.TYPE_RESTORE_JOB, Service.TYPE_WAL_SERVICE],
};

/** The Identity service of a sidecar; `version` is the release. */
export function identityService(kind: SidecarKind, deps: { version: string; log: Log }): GrpcService {
  const metadata = GetPluginMetadataResponse.create({
    name: PLUGIN_NAME,
    version: deps.version,
    displayName: 'BarmanCloudInstance',
    description: 'Archives WAL, takes base backups and restores them, natively against object stores',
    license: 'Apache-2.0',
    licenseUrl: 'https://www.apache.org/licenses/LICENSE-2.0',
    maturity: 'alpha',
    vendor: 'Cellar',
  });
  const capabilities = GetPluginCapabilitiesResponse.create({
    capabilities: SERVICES[kind].map((type) => ({ service: { type } })),
  });
  const implementation: IdentityServer = {
    getPluginMetadata: unary(deps.log, () => metadata),
    getPluginCapabilities: unary(deps.log, () => capabilities),
    // Ready even while the store or the API server is away: an error here would make the operator drop the connection.
    probe: unary(deps.log, () => ({ ready: true })),
  };
  return { definition: IdentityService, implementation };
}
