#!/usr/bin/env bash
# Runs the API's OpenAPI document against a host that serves on loopback, with requests that schemathesis makes up: no answer
# may be a server error, and each must be one that the document allows. About three minutes.
#
#   tests/api/schemathesis.sh COMMAND [ARGUMENT...]    the command that starts connector-host
set -euo pipefail
EXAMPLES=${EXAMPLES:-12}
[ $# -gt 0 ] || { sed -n '2,5p' "$0"; exit 2; }

folder=$(mktemp -d)
serving=
end() {
    [ -z "$serving" ] || { kill "$serving" 2>/dev/null && wait "$serving" 2>/dev/null; } || true
    rm -rf "$folder"
}
trap end EXIT

host=("$@" --data-dir "$folder/data")
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'schemathesis>=4,<5'

"${host[@]}" tenants add acme
token=$("${host[@]}" tokens add schemathesis --role root | head -1)
"${host[@]}" serve --listen 127.0.0.1:0 >"$folder/out" 2>"$folder/log" &
serving=$!
until url=$(sed -n 's/^listening on //p' "$folder/out") && [ -n "$url" ]; do
    kill -0 "$serving" || { cat "$folder/log"; exit 1; }
    sleep 0.2
done

# The one thing that would end the test is not asked for: a token that deletes itself. Quotes around a password make a
# sign-in slow on purpose, so that it is tried less often.
cat >"$folder/schemathesis.toml" <<TOML
generation.max-examples = $EXAMPLES
generation.deterministic = true
request-timeout = 20.0
[phases.stateful]
enabled = false
[[operations]]
include-operation-id = "delete_token"
enabled = false
TOML
cd "$folder"
"$folder/venv/bin/schemathesis" --config-file "$folder/schemathesis.toml" run "$url/api/openapi.json" \
    --header "authorization: Bearer $token" \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
    --no-color || { status=$?; tail -20 "$folder/log"; exit "$status"; }
kill -0 "$serving" || { cat "$folder/log"; exit 1; }
if grep -E 'panicked' "$folder/log"; then exit 1; fi
