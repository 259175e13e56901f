/** Ends with 0 if this container's server answers one of the paths with 200: `node docker/healthcheck.mjs /readyz`. */
const TIMEOUT_MS = 3_000;

const answers = await Promise.all(
  process.argv.slice(2).map((path) =>
    fetch(`http://127.0.0.1:${process.env.PORT ?? 8080}${path}`, { signal: AbortSignal.timeout(TIMEOUT_MS) }).then(({ status }) => status, () => undefined),
  ),
);
process.exit(answers.includes(200) ? 0 : 1);
