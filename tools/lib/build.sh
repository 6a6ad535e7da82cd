# shellcheck shell=bash
# What check, demo and bench need before they can build: one line that says how to mend what is missing.
# Expects tools/testbed/lib.sh to be read first (say, die, cache_dir).

# install_hint PACKAGE-ON-DEBIAN PACKAGE-ON-FEDORA: the command for this machine.
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

# Ends with one line when a build cannot work here.
require_build_tools() {
    command -v cargo >/dev/null || [ ! -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ] || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    command -v cargo >/dev/null || die "no cargo here; install Rust $(rust_wanted) or later (https://rustup.rs), then run this again"
    # ring has C and assembler in it.
    command -v "${CC:-cc}" >/dev/null || die "no C compiler here; run: $(install_hint 'gcc libc6-dev' 'gcc glibc-devel')"
    certificates_there || die "no certificate store here; run: $(install_hint ca-certificates ca-certificates)"
}

rust_wanted() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml"; }

certificates_there() {
    local file
    for file in "${SSL_CERT_FILE:-}" "${CARGO_HTTP_CAINFO:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
        /etc/ssl/cert.pem /etc/ssl/ca-bundle.pem; do
        if [ -n "$file" ] && [ -s "$file" ]; then return 0; fi
    done
    return 1
}

# The machine in one line, for figures that are worth nothing without it.
machine() {
    local cpu memory
    cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    memory=$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
    printf '%s, %s x %s, %s, kernel %s\n' "$(host_id) $(host_version) $(uname -m)" "$(nproc)" "${cpu:-unknown processor}" "$memory" "$(uname -r)"
}
