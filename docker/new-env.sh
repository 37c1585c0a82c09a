#!/bin/sh
# Writes the file that compose.yaml reads its settings from: .env.example, with each empty secret drawn at random.
# It never touches a file that is there. Usage: sh docker/new-env.sh [FILE]
set -eu
example=$(dirname "$0")/../.env.example
target=${1:-.env}

if [ -e "$target" ]; then
    echo "$target is there already, and stays as it is." >&2
    exit 1
fi

drawn() {
    case $1 in
        *_FERNET_KEY) head -c 32 /dev/urandom | base64 | tr '+/' '-_' ;;
        *) od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n' ;;
    esac
}

umask 077
partial=$target.partial
while IFS= read -r line; do
    case $line in
        [A-Z]*=) echo "$line$(drawn "${line%=}")" ;;
        *) echo "$line" ;;
    esac
done < "$example" > "$partial"
mv "$partial" "$target"
