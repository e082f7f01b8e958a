#!/usr/bin/env bash
# Checks ECS documents against the official list of fields, as the npm package @elastic/ecs carries it.
#
#   tests/ecs/validate.sh [--installed] [FILE...]    without a file: those in host/server/src/formats/golden
#
# The package is installed once, into target/ecs, and needs no network from then on. With --installed it
# is not; exit code 77 says that it is not there.
set -euo pipefail
version=9.4.0
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$root/target/ecs/$version
install=yes
if [ "${1:-}" = --installed ]; then install=no && shift; fi
absent() { echo "$1"; exit 77; }
[ $# -gt 0 ] || set -- "$root"/host/server/src/formats/golden/*.ecs.json

if ! [ -e "$folder/node_modules/@elastic/ecs/package.json" ]; then
    [ $install = yes ] || absent "@elastic/ecs $version is not installed: tests/ecs/validate.sh does it"
    mkdir -p "$folder"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" "@elastic/ecs@$version" && node --version >/dev/null ||
        absent "node, npm or @elastic/ecs $version is not to be had"
fi
NODE_PATH=$folder/node_modules exec node "$root/tests/ecs/validate.js" acme_scanner "$@"
