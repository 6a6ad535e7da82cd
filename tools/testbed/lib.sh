# shellcheck shell=bash
# Shared by the scripts of tools/testbed: messages, the cache folder, ports, and unpacking
# distribution packages into a folder of our own (no root, nothing installed on the host).
#
# Why unpack: Debian 12 has no TimescaleDB and only old routers, and pinning a newer release on the
# host would upgrade its libc. Unpacked packages with a patched ELF interpreter and rpath leave the
# host alone.

umask 022 # what lies in the cache is read by the database's user too

# Messages go to stderr: stdout carries only the answer (a URL, a list).
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# The folder for packages and clusters. It is outside the clone so that clones share it, and not in
# root's home, which the database's user may not traverse.
cache_dir() {
    local dir uid
    uid=$(id -u)
    if [ -n "${HOLDFAST_CACHE:-}" ]; then
        dir=$HOLDFAST_CACHE
    elif [ "$uid" = 0 ]; then
        dir=/var/cache/holdfast
    else
        dir=/var/tmp/holdfast-$uid
    fi
    mkdir -p "$dir/instances" "$dir/locks" || die "cannot create $dir; set HOLDFAST_CACHE=/a/folder/you/own"
    dir=$(cd "$dir" && pwd -P)
    # /var/tmp is everybody's: a folder that somebody else prepared is not ours to run programs from.
    [ -O "$dir" ] || die "$dir belongs to another user; set HOLDFAST_CACHE=/a/folder/you/own"
    printf '%s\n' "$dir"
}

# A port that the kernel says is free. Linux hands odd ports to bind(0) and prefers even ones for
# connect(), so a client that keeps on dialling this port while the server is down does not, as a
# rule, end up connected to itself.
free_port() {
    if command -v python3 >/dev/null; then
        python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
    elif command -v perl >/dev/null; then
        perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1)->sockport, "\n"'
    else
        die "neither python3 nor perl here; run: apt-get install python3"
    fi
}

# until_true SECONDS COMMAND...: polls until the command succeeds; fails at the deadline.
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

# Identity of the host: "debian 12", "ubuntu 24.04", …
host_id() { (. /etc/os-release 2>/dev/null && printf '%s' "${ID:-unknown}"); }
host_version() { (. /etc/os-release 2>/dev/null && printf '%s' "${VERSION_ID:-0}"); }
host_codename() { (. /etc/os-release 2>/dev/null && printf '%s' "${VERSION_CODENAME:-none}"); }

# archive_uri ORIGIN: the package archive of that origin among the machine's own sources. The first
# entry of a sources file may be a third party's or the security archive, hence by origin and label.
archive_uri() {
    local origin=$1 apt=("${@:2}")
    # shellcheck disable=SC2016  # apt's own placeholders
    "${apt[@]}" indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' 2>/dev/null |
        awk -F'|' -v o="$origin" '$1 == o && $2 == o && $3 == "main" { print $4; exit }'
}

# private_apt DIR ORIGIN KEYRING CODENAME COMPONENTS: an apt of our own under DIR with one source
# and an empty status file: "install" then lists what an empty machine would get. It keeps the
# host's transport settings (proxy, certificates) and drops its hooks.
private_apt() {
    local dir=$1 origin=$2 keyring=$3 codename=$4 components=$5 uri
    command -v apt-get >/dev/null || { say "no apt-get on this machine"; return 1; }
    [ -r "$keyring" ] || { say "no keyring $keyring; run: apt-get install $(basename "${keyring%.gpg}")"; return 1; }
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/parts"
    : >"$dir/status"
    cat >"$dir/apt.conf" <<CONF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architectures { "$(dpkg --print-architecture)"; };
Dir::State "$dir";
Dir::State::status "$dir/status";
Dir::State::lists "$dir/lists";
Dir::Cache "$dir/cache";
Dir::Etc::SourceParts "$dir/parts";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "$dir/parts";
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
APT::Update::Error-Mode "any";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
CONF
    uri=$(archive_uri "$origin" apt-get)
    if [ -z "$uri" ]; then
        # A slim image has no package lists yet, and without them apt does not know the origins:
        # fetch the lists of the machine's own sources, into our folder (no root needed).
        mkdir -p "$dir/own/lists/partial"
        local own=(apt-get -o Dir::State="$dir/own" -o Dir::State::lists="$dir/own/lists" -o APT::Sandbox::User= -o Dir::Cache="$dir/cache")
        "${own[@]}" update >&2 || { say "apt-get update failed"; return 1; }
        uri=$(archive_uri "$origin" "${own[@]}")
    fi
    [ -n "$uri" ] || { say "no archive of $origin among this machine's package sources"; return 1; }
    printf 'deb [signed-by=%s] %s %s %s\n' "$keyring" "$uri" "$codename" "$components" >"$dir/sources.list"
    printf 'Dir::Etc::SourceList "%s/sources.list";\n' "$dir" >>"$dir/apt.conf"
    apt-get -q -c "$dir/apt.conf" update >"$dir/update.log" 2>&1 || { tail -n 3 "$dir/update.log" >&2; return 1; }
}

# unpack_packages DIR ROOT LEAVE_OUT PACKAGE...: unpacks the packages and what they depend on into
# ROOT, without those that match the regular expression LEAVE_OUT.
unpack_packages() {
    local dir=$1 root=$2 leave_out=$3 deb list
    shift 3
    # Download and unpack in one go: the .deb files are not kept (the unpacked tree is the cache).
    list=$(apt-get -q -c "$dir/apt.conf" -s install "$@" 2>"$dir/plan.log" | awk '/^Inst / { print $2 }' | grep -Ev "^($leave_out)\$") ||
        { tail -n 3 "$dir/plan.log" >&2; return 1; }
    mkdir -p "$dir/debs" "$root"
    # shellcheck disable=SC2086  # package names, one word each
    (cd "$dir/debs" && apt-get -q -c "$dir/apt.conf" download $list >"$dir/download.log" 2>&1) ||
        { tail -n 3 "$dir/download.log" >&2; return 1; }
    for deb in "$dir"/debs/*.deb; do dpkg-deb -x "$deb" "$root" || return 1; done
    rm -rf "$dir/debs"
}

# patch_programs ROOT FILE...: makes unpacked programs start with the unpacked loader and libraries.
# LD_LIBRARY_PATH is not enough: the host's older loader cannot start them, and initdb and pg_ctl
# start `postgres` directly. The rpath is the old forced kind (DT_RPATH), because that one also
# counts for the libraries' own libraries (FRR keeps its own in a subfolder). Paths are absolute, so ROOT cannot be moved afterwards.
patch_programs() {
    local root=$1 loader libs name program
    shift
    loader=$(find "$root" -name 'ld-linux*.so.*' -print -quit)
    [ -n "$loader" ] || { say "no loader below $root"; return 1; }
    libs=$(dirname "$(find "$root/usr/lib" -name libc.so.6 -print -quit)")
    local patchelf=("$loader" --library-path "$libs" "$root/usr/bin/patchelf")
    for program in "$@"; do
        # The loader's file name differs by architecture: ask the program itself (PT_INTERP). A
        # plug-in has none, but may have a run path of its own that would hide the program's.
        if name=$("${patchelf[@]}" --print-interpreter "$program" 2>/dev/null); then
            loader=$(find "$root" -name "$(basename "$name")" -print -quit)
            "${patchelf[@]}" --set-interpreter "$loader" "$program" || return 1
        fi
        "${patchelf[@]}" --force-rpath --set-rpath "$libs:$libs/frr" "$program" || return 1
    done
}
