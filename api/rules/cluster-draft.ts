// A Cluster as somebody wrote it, made well-typed, so that every rule can look at what is understood. What is of a wrong
// type is left out, flags are read as they were meant: refusing such documents is the business of the Cluster's own CRD.
import type { Cluster, PluginStanza } from '../kube.ts';
import { childOf, isFields } from '../schema.ts';

/** Reads any JSON value, never throws. Only fields that a rule looks at are in the answer; lists keep their length. */
export function readClusterDraft(document: unknown): Cluster {
  const [metadata, spec] = [childOf(document, 'metadata'), childOf(document, 'spec')];
  const plugins = childOf(spec, 'plugins');
  return {
    metadata: {
      name: readText(childOf(metadata, 'name')) ?? '',
      annotations: readTexts(childOf(metadata, 'annotations')),
    },
    spec: { plugins: Array.isArray(plugins) ? plugins.map(readStanza) : [] },
  };
}

function readStanza(written: unknown): PluginStanza {
  const [enabled, isWALArchiver] = [readFlag(childOf(written, 'enabled')), readFlag(childOf(written, 'isWALArchiver'))];
  return {
    name: readText(childOf(written, 'name')) ?? '',
    ...(enabled === undefined ? {} : { enabled }),
    ...(isWALArchiver === undefined ? {} : { isWALArchiver }),
    parameters: readTexts(childOf(written, 'parameters')),
  };
}

function readText(written: unknown): string | undefined {
  return typeof written === 'string' ? written : undefined;
}

function readTexts(written: unknown): Record<string, string> {
  if (!isFields(written)) return {};
  return Object.fromEntries(
    Object.entries(written).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** The API server drops nulls. */
function readFlag(written: unknown): boolean | undefined {
  if (written === undefined || written === null) return undefined;
  return written === true || (typeof written === 'string' && written.toLowerCase() === 'true');
}
