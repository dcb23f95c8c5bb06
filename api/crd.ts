// The CustomResourceDefinition of the ObjectStore, made from its schema.
import { OBJECTSTORE_GROUP, OBJECTSTORE_KIND, OBJECTSTORE_PLURAL, OBJECTSTORE_VERSION } from './names.ts';
import { OBJECTSTORE_SCHEMA } from './objectstore-schema.ts';

/**
 * The CRD as an API object (objectstore-and-injection.md §1.1). Helm keeps it when the release goes, because all
 * ObjectStores go with it; the printer columns are ours.
 */
export function objectStoreCrd() {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${OBJECTSTORE_PLURAL}.${OBJECTSTORE_GROUP}`,
      annotations: { 'helm.sh/resource-policy': 'keep' },
    },
    spec: {
      group: OBJECTSTORE_GROUP,
      names: {
        kind: OBJECTSTORE_KIND,
        listKind: `${OBJECTSTORE_KIND}List`,
        plural: OBJECTSTORE_PLURAL,
        singular: OBJECTSTORE_KIND.toLowerCase(),
      },
      scope: 'Namespaced',
      versions: [
        {
          name: OBJECTSTORE_VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [
            { name: 'Destination', type: 'string', jsonPath: '.spec.configuration.destinationPath' },
            { name: 'Retention', type: 'string', jsonPath: '.spec.retentionPolicy' },
            { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
          ],
          schema: { openAPIV3Schema: OBJECTSTORE_SCHEMA },
        },
      ],
    },
  };
}
