// Who the plugin is and what the operator process offers: constants, because the operator keeps the first answer for
// the life of a connection and asks Probe at every use (cnpg-i-contract.md §2.3).
import { PLUGIN_NAME } from '../api/names.ts';
import {
  GetPluginMetadataResponse,
  type IdentityServer,
  IdentityService,
  PluginCapability_Service_Type as Service,
} from '../api/proto/gen/identity.ts';
import { type GrpcService, unary } from '../api/wire/grpc.ts';
import type { Log } from '../api/wire/log.ts';

/** What the operator process announces (§2.5). The last one is a flag: the manager then loads our socket in every Pod. */
const SERVICES = [
  Service.TYPE_RECONCILER_HOOKS,
  Service.TYPE_LIFECYCLE_SERVICE,
  Service.TYPE_INSTANCE_SIDECAR_INJECTION,
];

/** The Identity service of the operator process; `version` is the release. */
export function identityService(deps: { version: string; log: Log }): GrpcService {
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
  const capabilities = SERVICES.map((type) => ({ service: { type } }));
  const implementation: IdentityServer = {
    getPluginMetadata: unary(deps.log, () => metadata),
    getPluginCapabilities: unary(deps.log, () => ({ capabilities })),
    probe: unary(deps.log, () => ({ ready: true })),
  };
  return { definition: IdentityService, implementation };
}
