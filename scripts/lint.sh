#!/usr/bin/env bash
# Every check that runs nothing of the product. All of them run, so that one failure does not hide the next.
set -uo pipefail
cd "$(dirname "$0")/.."

failed=()
check() {
    echo "── $*"
    "$@" || failed+=("$*")
}

check ruff check --output-format concise .
check ruff format --check .
check mypy
check lint-imports --no-logo
check hadolint Dockerfile

if docker compose version >/dev/null 2>&1; then
    check docker compose --file compose.yaml config --quiet
else
    echo "── docker compose config: skipped, no docker compose client here"
fi

if [ ${#failed[@]} -gt 0 ]; then
    printf '\nFailed:\n' >&2
    printf '  %s\n' "${failed[@]}" >&2
    exit 1
fi
