# shellcheck shell=bash
# Functions shared by all tools: messages, the cache folder, ports, Python modules, and the unpacking of
# distribution packages into a folder of the cache (without root; nothing is installed on the host).
#
# Packages are unpacked because Debian 12 has no TimescaleDB and only old routers, and installing from a newer
# release would upgrade the host's libc. Unpacked programs get the unpacked ELF interpreter and library path,
# and leave the host as it is. They are also preferred to installed programs of the same name, whose version
# differs by machine.

# shellcheck source=../lib/environment.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../lib/environment.sh"

umask 022 # the database server's user reads the cache, too

# Prints a message on standard error. Standard output carries only the result (a URL, a list).
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# Prints the usage text: the comment at the head of the script.
usage_text() { sed -n '2,/^[^#]/{/^[^#]/d;s/^# \{0,1\}//p;}' "$0"; }

# Prints the cache folder, which holds unpacked packages and database clusters. It lies outside the clone, so
# that clones share it, and outside root's home, which the database server's user may not enter.
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
    mkdir -p "$dir/instances" "$dir/locks" ||
        die "cannot create $dir; set HOLDFAST_CACHE to a folder that you own"
    dir=$(CDPATH='' cd -- "$dir" && pwd -P)
    # Anyone can create folders in /var/tmp. Programs are only run from a folder of the caller's.
    [ -O "$dir" ] || die "$dir belongs to another user; set HOLDFAST_CACHE to a folder that you own"
    printf '%s\n' "$dir"
}

# Ends with a message unless the modules of tools/holdfast_tools can be run.
require_python() { command -v python3 >/dev/null || die "python3 not found; run: apt-get install python3"; }

# Prints a free TCP port. Linux hands out odd ports for bind(0) and prefers even ports for connect(), so that
# a client that keeps connecting to this port while the server is down rarely connects to itself.
free_port() {
    if command -v python3 >/dev/null; then
        python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
    elif command -v perl >/dev/null; then
        perl -MIO::Socket::INET -e \
            'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1)->sockport, "\n"'
    else
        die "neither python3 nor perl found; run: apt-get install python3"
    fi
}

# until_true SECONDS COMMAND...: repeats the command until it succeeds; fails at the deadline.
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

# as_user USER COMMAND...: runs a command as that user (the caller if USER is empty), with an empty
# environment, in a folder that the user may enter, and without the descriptors of a script's locks.
as_user() {
    local run=(env -i PATH=/usr/bin:/bin TZ=UTC LC_ALL=C)
    if [ -n "$1" ]; then
        run=(setpriv --reuid="$1" --regid="$(id -g "$1")" --clear-groups "${run[@]}")
    fi
    shift
    (cd / && exec "${run[@]}" "$@" 9>&- 8>&- </dev/null)
}

# Identity of the host: "debian 12", "ubuntu 24.04", …
host_id() { (. /etc/os-release 2>/dev/null && printf '%s' "${ID:-unknown}"); }
host_version() { (. /etc/os-release 2>/dev/null && printf '%s' "${VERSION_ID:-0}"); }
host_codename() { (. /etc/os-release 2>/dev/null && printf '%s' "${VERSION_CODENAME:-none}"); }

# archive_uri ORIGIN [APT...]: prints the URI of that origin's package archive among the machine's own
# sources. Origin and label are compared because the first entry of a sources file may be a third party's or
# the security archive.
archive_uri() {
    local origin=$1 apt=("${@:2}")
    # shellcheck disable=SC2016  # apt's own placeholders
    "${apt[@]}" indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' 2>/dev/null |
        awk -F'|' -v o="$origin" '$1 == o && $2 == o && $3 == "main" { print $4; exit }'
}

# private_apt DIR ORIGIN KEYRING CODENAME COMPONENTS [ARCHITECTURE]: sets up a separate apt under DIR with one
# source and an empty status file, for which "install" lists the packages that an empty machine would get. The
# host's transport settings (proxy, certificates) apply; its hooks do not.
private_apt() {
    local dir=$1 origin=$2 keyring=$3 codename=$4 components=$5 uri
    local architecture=${6:-$(dpkg --print-architecture)}
    command -v apt-get >/dev/null || { say "apt-get not found"; return 1; }
    [ -r "$keyring" ] ||
        { say "keyring $keyring not found; run: apt-get install $(basename "${keyring%.gpg}")"; return 1; }
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/parts"
    : >"$dir/status"
    cat >"$dir/apt.conf" <<CONF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
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
        # A slim image has no package lists, and the origins are in the lists. Fetch those of the machine's
        # own sources into DIR (without root).
        mkdir -p "$dir/own/lists/partial"
        local own=(apt-get -o Dir::State="$dir/own" -o Dir::State::lists="$dir/own/lists"
            -o APT::Sandbox::User= -o Dir::Cache="$dir/cache")
        "${own[@]}" update >&2 || { say "apt-get update failed"; return 1; }
        uri=$(archive_uri "$origin" "${own[@]}")
    fi
    [ -n "$uri" ] || { say "this machine's package sources contain no archive of $origin"; return 1; }
    printf 'deb [signed-by=%s] %s %s %s\n' "$keyring" "$uri" "$codename" "$components" >"$dir/sources.list"
    printf 'Dir::Etc::SourceList "%s/sources.list";\n' "$dir" >>"$dir/apt.conf"
    apt-get -q -c "$dir/apt.conf" update >"$dir/update.log" 2>&1 ||
        { tail -n 3 "$dir/update.log" >&2; return 1; }
}

# unpack_packages DIR ROOT LEAVE_OUT PACKAGE...: unpacks the packages and their dependencies into ROOT, except
# those whose names match the regular expression LEAVE_OUT.
unpack_packages() {
    local dir=$1 root=$2 leave_out=$3 deb list
    shift 3
    # The .deb files are not kept: the unpacked tree is the cache.
    list=$(apt-get -q -c "$dir/apt.conf" -s install "$@" 2>"$dir/plan.log" |
        awk '/^Inst / { print $2 }' | grep -Ev "^($leave_out)\$") ||
        { tail -n 3 "$dir/plan.log" >&2; return 1; }
    mkdir -p "$dir/debs" "$root"
    # shellcheck disable=SC2086  # package names, one word each
    (cd "$dir/debs" && apt-get -q -c "$dir/apt.conf" download $list >"$dir/download.log" 2>&1) ||
        { tail -n 3 "$dir/download.log" >&2; return 1; }
    for deb in "$dir"/debs/*.deb; do dpkg-deb -x "$deb" "$root" || return 1; done
    rm -rf "$dir/debs"
}

# patch_programs ROOT FILE...: makes unpacked programs use the unpacked loader and libraries. LD_LIBRARY_PATH
# is not sufficient: the host's older loader cannot start them, and initdb and pg_ctl start `postgres`
# directly. The run path is written as DT_RPATH, which also applies to the dependencies of libraries (FRR and
# PulseAudio have theirs in subfolders). Paths are absolute, so that ROOT cannot be moved afterwards.
patch_programs() {
    local root=$1 loader libs name program
    shift
    loader=$(find "$root" -name 'ld-linux*.so.*' -print -quit)
    [ -n "$loader" ] || { say "no ELF loader found in $root"; return 1; }
    # Debian 12 still has some libraries below /lib.
    libs=$(printf '%s:' "$root"/usr/lib/*-linux-gnu "$root"/lib/*-linux-gnu)
    libs=${libs%%:"$root"/lib/\**} libs=${libs%:}
    local patchelf=("$loader" --library-path "$libs" "$root/usr/bin/patchelf")
    for program in "$@"; do
        # The loader's file name depends on the architecture and is read from the program (PT_INTERP). A
        # plug-in has no loader, but may have a run path that would take precedence over the program's.
        if name=$("${patchelf[@]}" --print-interpreter "$program" 2>/dev/null); then
            loader=$(find "$root" -name "$(basename "$name")" -print -quit)
            "${patchelf[@]}" --set-interpreter "$loader" "$program" || return 1
        fi
        "${patchelf[@]}" --force-rpath --set-rpath "$libs:${libs%%:*}/frr:${libs%%:*}/pulseaudio" \
            "$program" || return 1
    done
}
