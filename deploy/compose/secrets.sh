#!/bin/sh
# Writes a random password for each role of deploy/compose.yaml to deploy/secrets, or to the folder that is
# given; existing files are kept. The containers read the files as users of their own: every user may read
# them, but only the caller may enter the folder.
set -eu
folder=${1:-$(dirname -- "$0")/../secrets}
mkdir -p -- "$folder"
chmod 0700 -- "$folder"
umask 022
for name in postgres owner writer reader grafana; do
    [ -s "$folder/$name" ] || head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$folder/$name"
done
