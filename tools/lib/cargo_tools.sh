# shellcheck shell=bash
# shellcheck disable=SC2154
# Cargo programs at fixed versions, built once into the cache. Expects tools/testbed/lib.sh to be sourced and
# $cache to be set.

# cargo_tool NAME VERSION: prints the path of the program, which is built into the cache first if necessary
# (one to three minutes).
cargo_tool() {
    local name=$1 version=$2 home=$cache/tools/$1-$2
    if [ ! -x "$home/bin/$name" ]; then
        (
            flock 8
            [ ! -x "$home/bin/$name" ] || exit 0
            say "building $name $version into $cache/tools (once)"
            # Without optimization: the build takes longer than all runs.
            CARGO_TARGET_DIR=$home.build CARGO_PROFILE_DEV_DEBUG=0 \
                cargo install --quiet --locked --debug --version "$version" --root "$home" \
                "$name" >&2 || exit 1
            rm -rf "$home.build"
        ) 8>"$cache/locks/$name" || return 1
    fi
    printf '%s\n' "$home/bin/$name"
}
