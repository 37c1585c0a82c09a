#!/bin/sh
# Judges compose.yaml with Docker Compose's own parser, in each of its shapes, and the Dockerfile with hadolint.
# Neither needs an engine. Usage: sh docker/check.sh FOLDER_OF_THE_TOOLS
set -eu
cd "$(dirname "$0")/.."
tools=$1
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

sh docker/new-env.sh "$made/env"
for profiles in "" standby zookeeper; do
    if ! COMPOSE_PROFILES=$profiles "$tools/docker-compose" --env-file "$made/env" config --quiet 2> "$made/told" ||
        [ -s "$made/told" ]; then
        cat "$made/told" >&2
        exit 1
    fi
done
"$tools/hadolint" Dockerfile
