#!/bin/sh
# Makes the file system of the image: the programs, the shared libraries that they need, certificates, and the
# names of the user. There is no shell and no package manager. Used by deploy/Containerfile.
#
#   root.sh PROGRAMS ROOT STATE
#
# PROGRAMS is the folder of holdfast and walctl, ROOT the folder of the files of root, and STATE that of the
# directory `holdfast`, which belongs to the user of the image.
set -eu
programs=$1 root=$2 state=$3
umask 022

mkdir -p "$root/usr/bin" "$root/etc/ssl/certs" "$root/tmp" "$state/holdfast"
chmod 1777 "$root/tmp"
chmod 0750 "$state/holdfast"
for name in holdfast walctl; do
    cp -- "$programs/$name" "$root/usr/bin/"
    # Lines such as `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`; none if the program is static.
    libraries=$(ldd "$programs/$name" 2>/dev/null | sed -n 's|^[^/]*\(/[^ ]*\) (0x.*|\1|p')
    for library in $libraries; do
        mkdir -p "$root$(dirname -- "$library")"
        cp -L -- "$library" "$root$library"
    done
done
# The certificates are needed for TLS to the database and to Sentry.
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
cat >"$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/:/none
holdfast:x:10001:10001:Holdfast:/var/lib/holdfast:/none
PASSWD
printf 'root:x:0:\nholdfast:x:10001:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
