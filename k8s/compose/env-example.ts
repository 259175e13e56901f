/** .env.example: every secret that docker-compose.yml asks for, and what may be set besides. */
export const ENV_EXAMPLE = `# Secrets of docker-compose.yml. Copy this to .env (chmod 600), and give each a value of its own, without special characters:
#   openssl rand -hex 32

# MongoDB: its administrator, the user of the store, and the key by which its members trust each other.
MONGO_ROOT_PASSWORD=
MONGO_PASSWORD=
MONGO_KEYFILE=

# RabbitMQ: its user, and the key of its nodes.
RABBITMQ_PASSWORD=
RABBITMQ_COOKIE=

# Grafana's user admin.
GRAFANA_PASSWORD=

# Who may do what at the gateways: "search:*,search+write:KEY,admin:KEY". Empty: everybody searches, nobody adds.
EIS_API_KEYS=
# The key that "docker compose run --rm eis …" sends.
EIS_API_KEY=

# What is open, on this machine alone.
EIS_PORT=8080
PROMETHEUS_PORT=9090
GRAFANA_PORT=3000

LOG_LEVEL=info
`;

/** And when config.json names a collector of traces (`platform.tracing`). */
export const TRACING_ENV_EXAMPLE = `
# What the collector of traces is to be told: authorization=Bearer%20…
OTEL_EXPORTER_OTLP_HEADERS=
`;
