#!/usr/bin/env bash
# Install the programs that the tests drive and that no Python package brings: a browser, a library that changes the
# time of day, a load balancer, Node.js and a load generator. With --check install nothing, and fail if one is missing.
set -euo pipefail

# The Debian package of each, and the commands of which one is enough. Debian keeps haproxy out of users' PATH.
programs=(
    "chromium chromium chromium-browser google-chrome google-chrome-stable"
    "faketime faketime"
    "haproxy haproxy /usr/sbin/haproxy /usr/local/sbin/haproxy"
    "nodejs node nodejs"
    "npm npm"
    "wrk wrk"
)

any_command() {
    local name
    for name; do
        command -v "$name" >/dev/null && return
    done
    return 1
}

all=() missing=()
for program in "${programs[@]}"; do
    read -r package commands <<<"$program"
    all+=("$package")
    # shellcheck disable=SC2086  # several words on purpose
    any_command $commands || missing+=("$package")
done

if ((!${#missing[@]})); then
    [[ ${1-} = --check ]] || echo "Installed already: ${all[*]}"
    exit 0
fi
if [[ ${1-} = --check ]]; then
    echo "The tests drive programs that are not installed: ${missing[*]}." >&2
    echo "Run \`make tools\`, which installs them with apt-get, or \`make test-fast\`, which needs none of them." >&2
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here. Install these programs another way: ${missing[*]}" >&2
    exit 1
fi

sudo=()
if ((EUID)); then
    sudo=(sudo)
    # Without a terminal nobody could type the password.
    [[ -t 0 ]] || sudo+=(--non-interactive)
fi
echo "Installing with apt-get: ${missing[*]}"
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --no-install-recommends -qq "${missing[@]}" >/dev/null
