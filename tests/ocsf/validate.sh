#!/usr/bin/env bash
# Checks OCSF documents against the official schema, as the PyPI package ocsf-json-schema carries it.
#
#   tests/ocsf/validate.sh [--installed] [FILE...]    without a file: those in host/server/src/formats/golden
#
# The packages are installed once, into target/ocsf, and need no network from then on. With --installed they
# are not; exit code 77 says that they are not there.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
venv=$root/target/ocsf
install=yes
if [ "${1:-}" = --installed ]; then install=no && shift; fi
absent() { echo "$1"; exit 77; }
[ $# -gt 0 ] || set -- "$root"/host/server/src/formats/golden/*.ocsf.json

if ! cmp -s "$root/tests/ocsf/requirements.txt" "$venv/requirements.txt"; then
    [ $install = yes ] || absent "the packages of tests/ocsf/requirements.txt are not installed: tests/ocsf/validate.sh does it"
    rm -rf "$venv"
    python3 -m venv "$venv" &&
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$root/tests/ocsf/requirements.txt" ||
        absent "python3, its venv or the packages of tests/ocsf/requirements.txt are not to be had"
    cp "$root/tests/ocsf/requirements.txt" "$venv/"
fi
exec "$venv/bin/python" "$root/tests/ocsf/validate.py" "$@"
