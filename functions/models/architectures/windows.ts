/** Windows that go over an image: of convolutions and poolings. */

export type Padding = 'same' | 'valid';
/** Rows, columns. */
type Window = number | readonly [number, number];
/** Left out: Keras names the layer after its class, with a counter. */
export interface Named {
  readonly name?: string | undefined;
}
export interface Sliding extends Named {
  readonly kernel: Window;
  readonly stride?: number;
  readonly padding?: Padding;
  readonly bias?: boolean;
}
export interface Filtering extends Sliding {
  readonly filters: number;
  readonly activation?: string;
}

export function pair(window: Window): readonly [number, number] {
  return typeof window === 'number' ? [window, window] : window;
}

/** As Keras writes a convolution's window down. */
export function sliding({ kernel, stride = 1, padding = 'valid' }: Sliding): Record<string, unknown> {
  return { kernel_size: pair(kernel), strides: [stride, stride], padding, data_format: 'channels_last', dilation_rate: [1, 1] };
}

/** Rows after a window has gone over them. */
export function slide(size: number, { kernel, stride = 1, padding = 'valid' }: Pick<Sliding, 'kernel' | 'stride' | 'padding'>): number {
  return padding === 'same' ? Math.ceil(size / stride) : Math.floor((size - pair(kernel)[0]) / stride) + 1;
}
