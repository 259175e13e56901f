/** A number of permits that callers take one or several of, first come, first served. */
export class Permits {
  readonly total: number;
  #free: number;
  readonly #waiting: { readonly count: number; readonly grant: () => void }[] = [];

  constructor(total: number) {
    this.total = total;
    this.#free = total;
  }

  /** Runs an operation while holding `count` permits; with all of them, it runs alone. */
  async with<T>(count: number, operation: () => Promise<T>): Promise<T> {
    await this.#take(count);
    try {
      return await operation();
    } finally {
      this.#free += count;
      this.#grant();
    }
  }

  #take(count: number): Promise<void> {
    return new Promise((grant) => {
      this.#waiting.push({ count, grant });
      this.#grant();
    });
  }

  /** In order of arrival: a caller that wants many is not passed by those who want few. */
  #grant(): void {
    for (let first = this.#waiting[0]; first && first.count <= this.#free; first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#free -= first.count;
      first.grant();
    }
  }
}
