#!/usr/bin/env bash
# Creates the virtual environment and installs CIFS Lab with the versions of constraints.txt.
#     scripts/setup.sh [.venv]
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}

usable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    for python in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
        usable "$python" && break
        python=
    done
    if [ -z "$python" ]; then
        echo "CIFS Lab needs Python 3.11 or newer with its venv module, and found none as ${PYTHON:-python3.11, python3.12, python3.13 or python3}." >&2
        echo "Install it (Debian and Ubuntu: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3.11 …" >&2
        exit 1
    fi
    echo "Creating $venv with $("$python" --version) …"
    "$python" -m venv --clear "$venv"
fi

echo "Installing CIFS Lab and what it needs into $venv (the first time takes some minutes) …"
"$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar "$([ -t 1 ] && echo on || echo off)" \
    --no-compile --constraint constraints.txt --editable '.[dev]'
# pip compiles on one core. Some packages carry files that are for no Python, or for another.
"$venv/bin/python" -m compileall -qq -j 0 "$venv/lib" || true
