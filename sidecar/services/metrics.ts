// The Metrics service: what this process has counted, in the operator's shape. Each scrape of the instance calls both
// methods without a deadline, so both answer from memory.
import {
  type MetricsServer,
  MetricsService,
  MetricType_Type,
  MetricsCapability_RPC_Type as Rpc,
} from '../../api/proto/gen/metrics.ts';
import { type GrpcService, unary } from '../../api/wire/grpc.ts';
import type { Log } from '../../api/wire/log.ts';
import type { MetricKind, Metrics } from '../telemetry/metrics.ts';

const TYPES: Record<MetricKind, MetricType_Type> = {
  counter: MetricType_Type.TYPE_COUNTER,
  gauge: MetricType_Type.TYPE_GAUGE,
};

/** The Metrics service of an instance. */
export function metricsService(deps: { metrics: Pick<Metrics, 'definitions' | 'samples'>; log: Log }): GrpcService {
  const { metrics, log } = deps;
  const capabilities = [{ rpc: { type: Rpc.TYPE_METRICS } }];
  const implementation: MetricsServer = {
    getCapabilities: unary(log, () => ({ capabilities })),
    define: unary(log, () => ({
      metrics: metrics.definitions().map(({ name, help, kind, labels }) => ({
        fqName: name,
        help,
        variableLabels: [...labels],
        constLabels: {},
        valueType: { type: TYPES[kind] },
      })),
    })),
    collect: unary(log, () => ({
      metrics: metrics.samples().map(({ name, labels, value }) => ({
        fqName: name,
        variableLabels: [...labels],
        value,
      })),
    })),
  };
  return { definition: MetricsService, implementation };
}
