/** Gathers single items and runs them together: when there are enough of them, or the first has waited long enough. */
export interface WriteBatchOptions<Item, Result> {
  readonly itemsMax: number;
  readonly waitMs: number;
  /** Returns the result of each item, in order. */
  readonly run: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** Whether a failure may be the fault of one item: then each is run by itself, so that only that one fails. */
  readonly isolates: (error: unknown) => boolean;
}

interface Entry<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export class WriteBatch<Item, Result> {
  readonly #options: WriteBatchOptions<Item, Result>;
  #entries: Entry<Item, Result>[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WriteBatchOptions<Item, Result>) {
    this.#options = options;
  }

  /** Resolves with the item's result once its batch has run. */
  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#entries.push({ item, resolve, reject });
      if (this.#entries.length >= this.#options.itemsMax) this.flush();
      else this.#timer ??= setTimeout(() => this.flush(), this.#options.waitMs);
    });
  }

  /** Runs what has gathered, now. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const entries = this.#entries;
    this.#entries = [];
    if (entries.length > 0) void this.#run(entries);
  }

  async #run(entries: readonly Entry<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#options.run(entries.map(({ item }) => item));
      entries.forEach(({ resolve }, i) => resolve(results[i] as Result));
    } catch (error) {
      if (entries.length > 1 && this.#options.isolates(error)) await Promise.all(entries.map((entry) => this.#run([entry])));
      else for (const { reject } of entries) reject(error);
    }
  }
}
