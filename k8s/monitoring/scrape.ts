/** The configuration of Prometheus: whom it asks, and by which rules. */

/** Equal processes, under one name. */
export interface ScrapeJob {
  readonly name: string;
  /** A host name that stands for all of them, with the port of each; or the address of each (`host:port`). */
  readonly targets: { readonly host: string; readonly port: number } | readonly string[];
}

export interface ScrapeOptions {
  readonly jobs: readonly ScrapeJob[];
  readonly rulesFile: string;
  /** Time between two questions, and two evaluations of the rules. */
  readonly everyS: number;
}

export function renderScrapeConfig({ jobs, rulesFile, everyS }: ScrapeOptions): object {
  const every = `${everyS}s`;
  return {
    global: { scrape_interval: every, evaluation_interval: every },
    rule_files: [rulesFile],
    scrape_configs: jobs.map(({ name, targets }) => ({
      job_name: name,
      ...('host' in targets ? { dns_sd_configs: [{ names: [targets.host], type: 'A', port: targets.port, refresh_interval: every }] } : { static_configs: [{ targets: [...targets] }] }),
    })),
  };
}
