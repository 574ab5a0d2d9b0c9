#!/usr/bin/env bash
# README's first command, as a newcomer runs it: a fresh clone, an empty home, Python and pip, nothing else.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/home"
git clone --quiet --no-local "file://$root" "$scratch/clone"
cd "$scratch/clone"
command=$(python3 tests/support/readme_command.py first)

# Where packages come from is the machine's business; keys and settings of ours must not come along.
kept=$(env | grep -E '^(PIP_|SSL_CERT|REQUESTS_CA|[Hh][Tt][Tt][Pp][Ss]?_[Pp][Rr][Oo][Xx][Yy]=|PYENV_)' | cut -d= -f1 || true)
settings=()
for name in $kept; do settings+=("$name=${!name}"); done
[ -n "${PIP_CONFIG_FILE:-}" ] || [ ! -f "$HOME/.config/pip/pip.conf" ] || settings+=("PIP_CONFIG_FILE=$HOME/.config/pip/pip.conf")

began=$SECONDS
env -i HOME="$scratch/home" PATH="$PATH" LANG=C.UTF-8 "${settings[@]}" bash -euo pipefail -c "$command" \
  >"$scratch/out" 2>"$scratch/err" || { cat "$scratch/err"; exit 1; }

clip=$(tail -n 1 "$scratch/out")
grep -q '^Price \$' "$scratch/err" || { echo "no price was shown"; cat "$scratch/err"; exit 1; }
grep -q 'lowest known price' "$scratch/err" || { echo "no route was shown"; cat "$scratch/err"; exit 1; }
case "$clip" in "$scratch"/home/kling-videos/*.mp4) ;; *) echo "no clip at the end: $clip"; exit 1 ;; esac
# Looked into by the installation it was made with.
seen=$(.venv/bin/python -c 'import sys; from mcp_server.media.child import main; sys.exit(main(sys.argv[1:]))' look "$clip")
grep -q '"width": 2160, "height": 3840' <<<"$seen" || { echo "not what was ordered: $seen"; exit 1; }
echo "a clip of $(stat -c %s "$clip") bytes after $((SECONDS - began)) s, set-up included"
