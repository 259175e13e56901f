/**
 * Starts and ends the second lanes of models on this machine, as the store and config.json say: a model has one while it is
 * embedded again, or where config.json says with what it is to be, other than it is. Nothing else has to be started anew for that.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { definitionFile } from '../common/config-defaults.js';
import type { Config, ModelDefinition } from '../common/config.js';
import { laneQueue } from '../common/lanes.js';
import { isSameDefinition } from '../common/model-lanes.js';
import type { Reembedding, Store } from '../common/store/store.js';
import type { ProcessSpec } from './processes.js';
import type { Supervisor } from './supervisor.js';

export interface SecondLanesParts {
  readonly store: Pick<Store, 'reembeddings'>;
  readonly supervisor: Pick<Supervisor, 'add' | 'remove' | 'restart'>;
  /** As config.json is now. May throw while somebody edits it. */
  readonly readConfig: () => Pick<Config, 'models'>;
  /** The processes of a model's second lane, whose function reads this configuration. */
  readonly plan: (lane: { readonly model: string; readonly configFile: string }) => readonly ProcessSpec[];
  /** Where configurations of second lanes are kept. */
  readonly folder: string;
  readonly onNotice: (notice: string) => void;
}

interface Wanted {
  readonly definition: ModelDefinition;
  /** Tells one attempt to start it from the next: one that failed is not made again by itself. */
  readonly attempt: string;
}

export class SecondLanes {
  readonly #parts: SecondLanesParts;
  /** The names of its processes by model. */
  readonly #running = new Map<string, readonly string[]>();
  readonly #failed = new Map<string, string>();
  #steps = new Map<string, Reembedding['step']>();
  #models: Pick<Config, 'models'>['models'] = [];

  constructor(parts: SecondLanesParts) {
    this.#parts = parts;
  }

  /** Looks once, and begins what follows from it. What cannot be started is told, and ends nothing else. @throws what the store throws */
  async look(): Promise<void> {
    const jobs = await this.#parts.store.reembeddings.list();
    const wanted = this.#wanted(jobs);
    for (const [model, names] of this.#running) if (!wanted.has(model)) await this.#end(model, names);
    for (const [model, lane] of wanted) if (!this.#running.has(model) && this.#failed.get(model) !== lane.attempt) this.#begin(model, lane);
    for (const { model, step } of jobs) if (step === 'finishing' && !['finishing', undefined].includes(this.#steps.get(model))) this.#takeOver(model);
    this.#steps = new Map(jobs.map(({ model, step }) => [model, step]));
  }

  #wanted(jobs: readonly Reembedding[]): Map<string, Wanted> {
    const wanted = new Map<string, Wanted>();
    for (const { name, next, ...main } of this.#readModels()) if (next && !isSameDefinition(next, main)) wanted.set(name, { definition: next, attempt: JSON.stringify(next) });
    for (const { model, step, to, revision } of jobs) {
      if (step === 'removing') wanted.delete(model);
      else wanted.set(model, { definition: to, attempt: String(revision) });
    }
    return wanted;
  }

  #readModels(): Pick<Config, 'models'>['models'] {
    try {
      this.#models = this.#parts.readConfig().models;
    } catch {
      // Somebody writes it at this moment, or wrote a mistake into it: what it said before stands.
    }
    return this.#models;
  }

  #begin(model: string, { definition, attempt }: Wanted): void {
    const { supervisor, plan, onNotice } = this.#parts;
    const specs = plan({ model, configFile: this.#writeConfig(model, definition) });
    const names = specs.map(({ name }) => name);
    this.#running.set(model, names);
    onNotice(`Model ${model}: starting a second lane beside it, for ${definition.modelUrl ?? model}.`);
    supervisor.add(specs).catch(async (error: unknown) => {
      this.#failed.set(model, attempt);
      await this.#end(model, names);
      const lines = (error as { readonly lines?: readonly string[] }).lines ?? [];
      onNotice([`Model ${model}: its second lane was given up. ${(error as Error).message}`, ...lines.map((line) => `  ${line}`)].join('\n'));
    });
  }

  async #end(model: string, names: readonly string[]): Promise<void> {
    this.#running.delete(model);
    await this.#parts.supervisor.remove(names);
  }

  /** config.json names the new weights: the main lane's function reads them, while searches go to the second lane. */
  #takeOver(model: string): void {
    this.#parts.supervisor.restart(`function ${model}`).catch((error: unknown) => this.#parts.onNotice(`Model ${model}: its function cannot take the new weights over. ${(error as Error).message}`));
  }

  /** @returns the path of a configuration in which the model is what it is to become */
  #writeConfig(model: string, definition: ModelDefinition): string {
    const file = join(this.#parts.folder, `${laneQueue(model, 'next')}.json`);
    mkdirSync(this.#parts.folder, { recursive: true });
    writeFileSync(file, JSON.stringify({ models: [{ name: model, ...definitionFile(definition) }] }));
    return file;
  }
}
