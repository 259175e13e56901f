# The image of every role. The manifests of k8s/ name what they run; without that, the role is the first argument:
#   docker run IMAGE gateway | wrapper | worker | index | function | cli …
# Debian, not Alpine: sharp, onnxruntime, lmdb and usearch bring binaries for glibc.

FROM node:22.21.1-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Install scripts are not run, here and below: all binaries that are needed come in the packages, and those scripts would
# fetch hundreds of megabytes from elsewhere (CUDA libraries, libtensorflow) or call for a compiler.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build

FROM node:22.21.1-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Less what only tfjs-node needs, which without its script has no engine, and binaries for other systems.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
 && rm -rf node_modules/@tensorflow/tfjs-node node_modules/@tensorflow/tfjs node_modules/@tensorflow/tfjs-backend-webgl node_modules/@tensorflow/tfjs-data \
 && find node_modules/onnxruntime-node/bin -mindepth 2 -maxdepth 2 ! -name linux -exec rm -rf {} +

FROM node:22.21.1-bookworm-slim
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json config.json config.schema.json ./
COPY gateway/public gateway/public
COPY models models
COPY docker docker
# Whoever runs it, in group 0 as OpenShift has it, may write here and in /tmp, and nowhere else. A volume takes its place.
RUN mkdir /data && chown 10001:0 /data && chmod 770 /data
ENV NODE_ENV=production HOME=/tmp EIS_DATA_DIR=/data HOST=0.0.0.0 PORT=8080
USER 10001:0
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=6 CMD ["node", "docker/healthcheck.mjs", "/healthz", "/health"]
ENTRYPOINT ["sh", "docker/run.sh"]
CMD ["cli", "--help"]
