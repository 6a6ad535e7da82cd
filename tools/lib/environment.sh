# shellcheck shell=bash
# Removes from the environment whatever would change a tool's result: settings of other programs that the
# caller happens to have, and locale and time zone. tools/testbed/lib.sh reads this file first, and so does
# every tool.
#
# Kept are PATH, HOME, TMPDIR, proxies and certificates, the choice of a Rust toolchain, DATABASE_URL, and
# each tool's own variables (HOLDFAST_CACHE, FUZZ_SECONDS, …).

clean_environment() {
    local name root settings
    root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
    # The collector's own settings. The tests and the tools start it with settings of their own.
    settings=" $(sed -n 's/^#\{0,1\}\([A-Z][A-Z0-9_]*\)=.*/\1/p' "$root/.env.example" | tr '\n' ' ')"
    while IFS= read -r name; do
        case $name in
            DATABASE_URL) ;;
            # libpq: another server, role, database, options or password file.
            PG*) unset "$name" ;;
            # Network access of Git and Cargo, and Cargo's folders.
            GIT_SSL_* | GIT_PROXY_* | CARGO_HOME | CARGO_HTTP_* | CARGO_NET_* | CARGO_REGISTR* | \
                CARGO_SOURCE_* | CARGO_BUILD_JOBS | CARGO_TERM_*) ;;
            # Another repository or index; another target, profile or set of compiler flags.
            GIT_* | CARGO_* | RUSTC | RUSTFLAGS | RUSTDOCFLAGS | RUST_LOG | RUST_BACKTRACE | RUST_TEST_*)
                unset "$name" ;;
            # Another set of Python modules.
            PYTHON* | VIRTUAL_ENV) unset "$name" ;;
            # Options that programs read from the environment; a service manager's sockets.
            BASH_ENV | ENV | CDPATH | POSIXLY_CORRECT | TAR_OPTIONS | GZIP | ZSTD_* | GREP_OPTIONS | \
                NODE_OPTIONS | NODE_PATH | WIRESHARK_* | NOTIFY_SOCKET | WATCHDOG_*) unset "$name" ;;
            LANG | LANGUAGE | LC_*) unset "$name" ;;
            *) case $settings in *" $name "*) unset "$name" ;; esac ;;
        esac
    done < <(compgen -e)
    export LC_ALL=C TZ=UTC
    # Against a `build.target-dir` in the user's Cargo configuration: the tools start programs from this
    # folder.
    export CARGO_TARGET_DIR=$root/target
    # The import root of tools/holdfast_tools; no packages of the user, and no compiled files in the clone.
    export PYTHONPATH=$root/tools PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1
}
clean_environment
