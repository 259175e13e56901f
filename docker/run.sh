#!/bin/sh
# Runs a role, named by the first argument, in the place of this shell: signals reach Node itself.
set -eu
[ $# -gt 0 ] || set -- help
role=$1
shift
case $role in
  gateway) exec node dist/gateway/main.js "$@" ;;
  wrapper) exec node dist/ingest/wrapper-main.js "$@" ;;
  worker) exec node dist/ingest/worker-main.js "$@" ;;
  index) exec node --max-semi-space-size=1 dist/indexer/main.js "$@" ;;
  function) exec node node_modules/@google-cloud/functions-framework/build/src/main.js --target=embed --source=dist/functions/index.js "$@" ;;
  cli) exec node dist/cli.js "$@" ;;
  *)
    echo "There is no role \"$role\". Name one of gateway, wrapper, worker, index, function, cli." >&2
    exit 64
    ;;
esac
