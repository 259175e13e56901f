/** Container images, and the versions that the manifests are written for. */
import type { Config } from '../../common/config.js';

interface ThirdParty {
  readonly repository: string;
  readonly tag: string;
}

const IMAGES = {
  mongo: { repository: 'docker.io/library/mongo', tag: '8.0' },
  rabbitmq: { repository: 'docker.io/library/rabbitmq', tag: '4.1' },
  nginx: { repository: 'docker.io/nginxinc/nginx-unprivileged', tag: '1.28' },
  prometheus: { repository: 'quay.io/prometheus/prometheus', tag: 'v3.5.0' },
} as const satisfies Record<string, ThirdParty>;

/** Where `oc new-build` and ImageStreams of the namespace keep images. */
const OPENSHIFT_REGISTRY = 'image-registry.openshift-image-registry.svc:5000';

export const OWN_IMAGE = 'elastic-image-search';

/**
 * An image: with `platform.image_registry` all come from there, by the last part of their name (`REGISTRY/mongo:8.0`), so that
 * Docker Hub's pull limits are met once, by who copies them. Else third parties' come from their publisher, and our own from
 * the registry of the OpenShift that it runs on.
 */
export function imageOf(name: keyof typeof IMAGES, { imageRegistry }: Config['platform']): string {
  const { repository, tag } = IMAGES[name];
  return `${imageRegistry === undefined ? repository : `${imageRegistry.replace(/\/+$/, '')}/${repository.split('/').at(-1) as string}`}:${tag}`;
}

/** @param version of this package, which its image is tagged with */
export function ownImage({ imageRegistry, namespace }: Config['platform'], version: string): string {
  return `${imageRegistry?.replace(/\/+$/, '') ?? `${OPENSHIFT_REGISTRY}/${namespace}`}/${OWN_IMAGE}:${version}`;
}
