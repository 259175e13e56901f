/** What a model's function is called, in the cloud and as a package. */
import type { ModelConfig } from '../../common/config.js';

export function functionName({ kubernetesName }: Pick<ModelConfig, 'kubernetesName'>): string {
  return `embed-${kubernetesName}`;
}
