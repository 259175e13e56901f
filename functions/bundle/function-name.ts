/** What the function of a model's lane is called, in the cloud and as a package. */
import type { ModelLane } from '../../common/model-lanes.js';

export function functionName({ kubernetesName }: Pick<ModelLane, 'kubernetesName'>): string {
  return `embed-${kubernetesName}`;
}
