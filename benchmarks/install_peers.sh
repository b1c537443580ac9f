#!/bin/sh
# Installs the libraries that `make bench` stands beside, each in an environment of
# its own (they ask for different versions of the same packages): .venv-peers/.
set -eu
cd "$(dirname "$0")/.."
for library in pipecat fastrtc; do
    python="${PYTHON:-python3}"
    environment=".venv-peers/$library"
    "$python" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet \
        --requirement "benchmarks/peers-$library.txt"
done
