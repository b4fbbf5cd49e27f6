#!/usr/bin/env bash
# Prints the path of a Chromium for the browser tests: $CHROMIUM, one that is installed, or Debian's package, installed now.
set -euo pipefail

if [ -n "${CHROMIUM:-}" ]; then
    command -v "$CHROMIUM" && exit
    echo "CHROMIUM=$CHROMIUM is not a program." >&2
    exit 1
fi

# The one without a window to draw does the same with a fifth less of the processor.
find_one() { command -v chromium-headless-shell || command -v chromium || command -v chromium-browser || command -v google-chrome; }
find_one && exit

if [ "$(id -u)" -eq 0 ]; then
    as_root=(env)
elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n env)
else
    as_root=()
fi

if command -v apt-get >/dev/null && [ ${#as_root[@]} -gt 0 ]; then
    echo "Installing Debian's Chromium for the browser tests …" >&2
    install() { "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >&2; }
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 &&
        { install chromium-headless-shell || install chromium; } && # an older Debian has the latter only
        find_one && exit
fi

cat >&2 <<'MESSAGE'
The browser tests need Chromium, and this account cannot install it.
Install it (Debian: sudo apt-get install chromium; macOS: brew install --cask chromium), or set CHROMIUM to a
Chromium or Chrome that is already here. Without a browser: make test-fast
MESSAGE
exit 1
