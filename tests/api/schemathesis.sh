#!/usr/bin/env bash
# Runs the API's OpenAPI document against a host that serves on loopback, with requests that schemathesis makes up: no answer
# may be a server error, and each must be one that the document allows. About a minute.
#
#   tests/api/schemathesis.sh COMMAND [ARGUMENT...]    the command that starts connector-host
#
# EXAMPLES requests for each operation (40); VENV is a Python environment to use, instead of one that is made and thrown away.
set -euo pipefail
EXAMPLES=${EXAMPLES:-40}
[ $# -gt 0 ] || { sed -n '2,7p' "$0"; exit 2; }

folder=$(mktemp -d)
serving=
end() {
    [ -z "$serving" ] || { kill "$serving" 2>/dev/null && wait "$serving" 2>/dev/null; } || true
    rm -rf "$folder"
}
trap end EXIT

host=("$@" --data-dir "$folder/data")
[ -n "${VENV:-}" ] || python3 -m venv "$folder/venv"
VENV=${VENV:-$folder/venv}
"$VENV/bin/pip" install --quiet --disable-pip-version-check 'schemathesis>=4,<5'

"${host[@]}" tenants add acme
token=$("${host[@]}" tokens add schemathesis --role root | head -1)
"${host[@]}" serve --listen 127.0.0.1:0 >"$folder/out" 2>"$folder/log" &
serving=$!
until url=$(sed -n 's/^listening on //p' "$folder/out") && [ -n "$url" ]; do
    kill -0 "$serving" || { cat "$folder/log"; exit 1; }
    sleep 0.2
done

# Only the deletion of tokens is not asked for: it would end the test with its own.
cd "$folder"
"$VENV/bin/schemathesis" run "$url/api/openapi.json" \
    --header "authorization: Bearer $token" \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
    --phases examples,coverage,fuzzing --max-examples "$EXAMPLES" --generation-deterministic \
    --exclude-operation-id delete_token --request-timeout 30 --continue-on-failure --no-color ||
    { status=$?; grep -E 'ERROR|panicked' "$folder/log" | tail -20; exit "$status"; }
kill -0 "$serving" || { cat "$folder/log"; exit 1; }
if grep -E 'panicked' "$folder/log"; then exit 1; fi
