#!/bin/sh
# An `oc` that keeps its cluster in the folder $FAKE_OC: every call in `log`, objects as the files that they were applied
# from. Call $FAKE_OC_FAIL_AT fails; an apply that fails has applied its first file.
set -eu
cd "$FAKE_OC"
mkdir -p objects
echo "$*" >> log
calls=$(wc -l < log)
if [ "${1:-}" = -n ]; then shift 2; fi
fails=no
if [ "$calls" -eq "${FAKE_OC_FAIL_AT:-0}" ]; then fails=yes; fi
fail() { echo 'error: the server is away' >&2; exit 1; }

store() {
  kind=$(sed -n 's/^kind: //p' "$1" | tr 'A-Z' 'a-z')
  name=$(sed -n 's/^  name: //p' "$1" | head -n 1)
  cp "$1" "objects/$kind $name"
}

list() {
  separator=''
  printf '{"items":['
  for file in objects/*; do
    [ -e "$file" ] || continue
    case ",$1," in *",$(basename "$file" | cut -d' ' -f1),"*) ;; *) continue ;; esac
    grep -q 'app.kubernetes.io/managed-by: eis-deploy' "$file" || continue
    component=$(sed -n 's/.*app.kubernetes.io\/component: //p' "$file" | head -n 1)
    printf '%s{"kind":"%s","metadata":{"name":"%s","labels":{"app.kubernetes.io/component":"%s"}}}' "$separator" "$(sed -n 's/^kind: //p' "$file")" "$(basename "$file" | cut -d' ' -f2)" "$component"
    separator=,
  done
  printf ']}\n'
}

if [ "$fails" = yes ] && [ "$1" != apply ]; then fail; fi
case "$1 ${2:-}" in
  'get secret') if [ -e secrets ]; then cat secrets; fi ;;
  'get pods') if [ -e pods.json ]; then cat pods.json; else echo '{"items":[]}'; fi ;;
  'get '*) list "$2" ;;
  'api-resources '*) [ -e no-routes ] || echo routes.route.openshift.io ;;
  'apply '*)
    while [ $# -gt 0 ]; do
      if [ "$1" = -f ]; then
        if [ "$2" = - ]; then cat >> handed-over; else store "$2"; fi
        if [ "$fails" = yes ]; then fail; fi
      fi
      shift
    done ;;
  'delete '*) for id in "$@"; do case "$id" in */*) rm -f "objects/${id%%/*} ${id#*/}" ;; esac; done ;;
esac
