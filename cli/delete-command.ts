/** `eis delete`: removes images from every model, and their bytes from the bucket when asked. */
import { isEisError } from '../common/errors.js';
import { IMAGE_ID, type DeleteAnswer } from '../common/wire.js';
import { askGateway } from './ask-gateway.js';
import type { GatewayAddress } from './gateway-option.js';

export interface DeleteCommandOptions {
  readonly gateway: GatewayAddress;
  /** Also remove the bytes from the bucket. */
  readonly object: boolean;
  readonly json: boolean;
}

interface Result {
  readonly id: string;
  readonly models?: readonly string[];
  /** Whether its bytes were removed; undefined: that was not asked for. */
  readonly object?: boolean;
  readonly code?: string;
  readonly message?: string;
}

/** @returns the exit code: 0 only when every image was removed */
export async function deleteCommand(ids: readonly string[], { gateway, object, json }: DeleteCommandOptions): Promise<number> {
  const results: Result[] = [];
  for (const id of ids) results.push(await remove(id, { gateway, object }));
  process.stdout.write(json ? `${JSON.stringify({ images: results })}\n` : results.map((result) => `${describe(result)}\n`).join(''));
  return results.every(({ code }) => code === undefined) ? 0 : 1;
}

/** An image that cannot be removed does not keep others from it; a gateway that cannot be reached does. */
async function remove(id: string, { gateway, object }: { readonly gateway: GatewayAddress; readonly object: boolean }): Promise<Result> {
  try {
    const { models, object: isRemoved } = await askGateway<DeleteAnswer>({ gateway, path: `/images/${encodeURIComponent(id.toLowerCase())}${object ? '?object=true' : ''}`, method: 'DELETE' });
    return { id, models, ...(isRemoved === undefined ? {} : { object: isRemoved }) };
  } catch (error) {
    if (!isEisError(error) || !['EIS_IMAGE_UNKNOWN', 'EIS_IMAGE_ID_INVALID'].includes(error.code)) throw error;
    return { id, code: error.code, message: error.message };
  }
}

function describe({ id, models, object, message }: Result): string {
  const shown = IMAGE_ID.test(id.toLowerCase()) ? `${id.slice(0, 12)}…` : id;
  if (!models) return `${shown}: ${message}`;
  const bytes = object === undefined ? '' : object ? '; its bytes are gone' : '; there were no bytes of it in the bucket';
  return `${shown} ${models.length > 0 ? `removed from ${models.join(', ')}` : 'was in no model any more'}${bytes}.`;
}
