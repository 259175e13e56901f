#!/bin/sh
# An `oc` that keeps its cluster in the folder $FAKE_OC: every call in `log`, objects as the files that they were applied
# from, named KIND-NAME.yaml. Call $FAKE_OC_FAIL_AT fails; an apply that fails has applied its first file.
set -eu
cd "$FAKE_OC"
echo "$*" >> log
calls=0
while read -r _; do calls=$((calls + 1)); done < log
if [ "${1:-}" = -n ]; then shift 2; fi
fails=no
if [ "$calls" -eq "${FAKE_OC_FAIL_AT:-0}" ]; then fails=yes; fi
fail() { echo 'error: the server is away' >&2; exit 1; }

list() {
  if ! ls objects/*.yaml > /dev/null 2>&1; then echo '{"items":[]}'; return; fi
  awk -v kinds=",$1," '
    function flush() { if (ours && (index(kinds, "," tolower(kind) ",") || index(kinds, "," tolower(kind) "."))) { printf "%s{\"kind\":\"%s\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"app.kubernetes.io/component\":\"%s\"}}}", separator, kind, name, component; separator = "," } }
    BEGIN { printf "{\"items\":[" }
    FNR == 1 { flush(); kind = name = component = ""; ours = 0 }
    /^kind: / { kind = $2 }
    /^  name: / && name == "" { name = $2 }
    /app.kubernetes.io\/component: / && component == "" { component = $2 }
    /app.kubernetes.io\/managed-by: eis-deploy/ { ours = 1 }
    END { flush(); print "]}" }' objects/*.yaml
}

apply() {
  files=''
  while [ $# -gt 0 ]; do
    if [ "$1" = -f ] && [ "$2" = - ]; then cat >> handed-over; fi
    if [ "$1" = -f ] && [ "$2" != - ] && { [ "$fails" = no ] || [ -z "$files" ]; }; then files="$files $2"; fi
    shift
  done
  if [ -n "$files" ]; then cp $files objects/; fi
  if [ "$fails" = yes ]; then fail; fi
}

if [ "$fails" = yes ] && [ "$1" != apply ]; then fail; fi
case "$1 ${2:-}" in
  'get secret') cat secrets ;;
  'get pods') if [ -e pods.json ]; then cat pods.json; else echo '{"items":[]}'; fi ;;
  'get configmap') echo '{"data":{"FUNCTION_URL_BUILTIN":"https://embed.example.com"}}' ;;
  'get job/'*) echo '{"status":{"conditions":[{"type":"Complete","status":"True"}]}}' ;;
  'get '*) list "$2" ;;
  'api-versions '*) echo apps/v1; [ -e no-routes ] || echo route.openshift.io/v1 ;;
  'apply '*) apply "$@" ;;
  'delete '*) for id in "$@"; do case "$id" in */*) rm -f "objects/${id%%[./]*}-${id#*/}.yaml" ;; esac; done ;;
esac
