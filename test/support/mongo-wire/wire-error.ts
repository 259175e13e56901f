/** An error that the server answers. */
export class WireError extends Error {
  constructor(
    readonly code: number,
    readonly codeName: string,
    readonly labels: readonly string[] = [],
  ) {
    super(codeName);
  }
}
