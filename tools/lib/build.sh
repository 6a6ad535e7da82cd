# shellcheck shell=bash
# shellcheck disable=SC2154
# Checks for the programs that a build needs, and a description of the machine. Expects tools/testbed/lib.sh
# to be sourced and $root to be set.

# install_hint DEBIAN-PACKAGE FEDORA-PACKAGE: prints the command that installs the package on this machine.
install_hint() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo='sudo '
    if command -v apt-get >/dev/null; then
        echo "${sudo}apt-get update && ${sudo}apt-get install -y $1"
    elif command -v dnf >/dev/null; then
        echo "${sudo}dnf install -y $2"
    else
        echo "install $1 with this system's package manager"
    fi
}

# Ends with a message unless a build can succeed on this machine.
require_build_tools() {
    local cargo_bin=${CARGO_HOME:-$HOME/.cargo}/bin
    command -v cargo >/dev/null || [ ! -x "$cargo_bin/cargo" ] || PATH=$cargo_bin:$PATH
    command -v cargo >/dev/null ||
        die "cargo not found; install Rust $(rust_wanted) or later (https://rustup.rs)"
    # The crate ring contains C and assembler.
    command -v "${CC:-cc}" >/dev/null ||
        die "no C compiler found; run: $(install_hint 'gcc libc6-dev' 'gcc glibc-devel')"
    certificates_there ||
        die "no certificate store found; run: $(install_hint ca-certificates ca-certificates)"
}

rust_wanted() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml"; }

certificates_there() {
    local file
    for file in "${SSL_CERT_FILE:-}" "${CARGO_HTTP_CAINFO:-}" /etc/ssl/certs/ca-certificates.crt \
        /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem /etc/ssl/ca-bundle.pem; do
        if [ -n "$file" ] && [ -s "$file" ]; then return 0; fi
    done
    return 1
}

# Prints a description of the machine in one line.
machine() {
    local cpu memory
    cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    memory=$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
    printf '%s, %s x %s, %s, kernel %s\n' "$(host_id) $(host_version) $(uname -m)" "$(nproc)" \
        "${cpu:-unknown processor}" "$memory" "$(uname -r)"
}
