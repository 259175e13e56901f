import type { Network } from '../network/network.js';
import type { GraphNetwork, InputShape, NamedWeight } from './model.js';
export function lowerGraph(_cut: GraphNetwork, _weights: readonly NamedWeight[], _options: { readonly input: InputShape; readonly file: string }): Network { throw new Error('stub'); }
