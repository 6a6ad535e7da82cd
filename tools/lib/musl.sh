# shellcheck shell=bash
# shellcheck disable=SC2154
# The parts of a build for musl. Where rustup's targets cannot be downloaded, the standard library is built
# from Debian's package rust-src of the same version, and linked with Debian's musl and LLVM's libunwind,
# which are unpacked into the cache (nothing is installed on the host). Expects tools/testbed/lib.sh to be
# sourced and $cache to be set.

# musl_build MACHINE TARGET_DIR: builds the programs for MACHINE-unknown-linux-musl (x86_64 or aarch64) below
# TARGET_DIR. Fails with a message if a part is missing.
musl_build() {
    local target=$1-unknown-linux-musl parts compiler
    local build=(cargo build --release --locked --target "$target" --target-dir "$2"
        --bin holdfast --bin walctl --bin bmpgen)
    if [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
        env -u SOURCE_DATE_EPOCH CC="${CC:-musl-gcc}" "${build[@]}"
        return
    fi
    parts=$(musl_parts "$1") || return 1
    compiler=$(musl_compiler "$1") || return 1
    # Cargo takes the sources of the standard library from this folder instead of the toolchain's. The paths
    # of this machine are replaced, so that builds in different folders are equal.
    env -u SOURCE_DATE_EPOCH RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT="$parts/library" \
        "CC_${target//-/_}=$compiler" "CFLAGS_${target//-/_}=$(musl_flags "$1" "$parts" "$compiler")" \
        "CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")_LINKER=$compiler" \
        RUSTFLAGS="-L native=$parts/lib $(remapped_paths "$parts")" \
        "${build[@]}" -Zbuild-std=std,panic_unwind
}

# remapped_paths [PARTS]: flags of rustc that replace the paths of this machine in programs and debug symbols.
remapped_paths() {
    local pair
    for pair in "${CARGO_HOME:-$HOME/.cargo}=/cargo" ${1:+"$1=/rust"} "$root=/holdfast"; do
        printf -- '--remap-path-prefix=%s ' "$pair"
    done
}

# The same for the C compiler.
remapped_c_paths() {
    printf -- '-ffile-prefix-map=%s=%s ' "$root" /holdfast "${CARGO_HOME:-$HOME/.cargo}" /cargo
}

# musl_flags MACHINE PARTS COMPILER: the flags with which C code sees the headers of musl instead of glibc's.
musl_flags() {
    printf -- '-nostdinc -isystem %s -isystem %s ' "$2/include" "$("$3" -print-file-name=include)"
    remapped_c_paths
}

# musl_compiler MACHINE: prints the C compiler, which is also the linker.
musl_compiler() {
    local name=gcc
    [ "$1" = "$(uname -m)" ] || name=$1-linux-gnu-gcc
    command -v "$name" ||
        { say "$name not found; run: $(install_hint "gcc-${1//_/-}-linux-gnu libc6-dev" gcc)"; return 1; }
}

# musl_parts MACHINE: prints the folder of the parts, which are unpacked at the first use: the sources of the
# standard library (library), and musl's headers and objects (include, lib).
musl_parts() {
    local version dir
    version=$(rustc --version | awk '{ print $2 }')
    dir=$cache/musl-$1-$version-r1
    (
        exec 8>"$cache/locks/musl"
        flock 8
        [ ! -e "$dir/ready" ] || exit 0
        say "unpacking the parts of a musl build into $dir (once)"
        rm -rf "$dir"
        mkdir -p "$dir/lib" "$dir/parts" &&
            musl_sources "$dir" "$version" && musl_objects "$1" "$dir" && touch "$dir/ready"
        rm -rf "$dir/parts"
    ) >&2
    [ -e "$dir/ready" ] || { rm -rf "$dir"; return 1; }
    printf '%s\n' "$dir"
}

# musl_sources DIR VERSION: unpacks the sources of the standard library.
musl_sources() {
    local apt=$1/parts/rust package suite
    for suite in trixie trixie-backports sid; do
        private_apt "$apt" Debian /usr/share/keyrings/debian-archive-keyring.gpg $suite main || continue
        package=$(apt-cache -c "$apt/apt.conf" madison rust-src |
            awk -v v="$2" 'index($3, v "+") == 1 { print $3; exit }')
        [ -n "$package" ] || continue
        (cd "$apt" && apt-get -q -c apt.conf download "rust-src=$package" >download.log 2>&1) || return 1
        dpkg-deb -x "$apt"/rust-src_*.deb "$apt/root" || return 1
        mv "$apt/root/usr/src/rustc-$2/library" "$1/library"
        return
    done
    say "Debian's archive has no rust-src of version $2, that of rustc"
    return 1
}

# musl_objects MACHINE DIR: unpacks musl and libunwind.
musl_objects() {
    local apt=$2/parts/musl compiler name from
    compiler=$(musl_compiler "$1") || return 1
    private_apt "$apt" Debian /usr/share/keyrings/debian-archive-keyring.gpg bookworm main \
        "$(debian_architecture "$1")" || return 1
    # Not their dependencies, which are shared libraries.
    (cd "$apt" && apt-get -q -c apt.conf download musl-dev libunwind-14-dev >download.log 2>&1) || return 1
    for name in "$apt"/*.deb; do dpkg-deb -x "$name" "$apt/root" || return 1; done
    mv "$apt/root/usr/include/$1-linux-musl" "$2/include" || return 1
    from=$apt/root/usr/lib/$1-linux-musl
    cp "$from"/{rcrt1,crt1,Scrt1,crti,crtn}.o "$from/libc.a" "$2/lib/" || return 1
    for name in crtbegin crtbeginS crtbeginT crtend crtendS; do
        cp "$("$compiler" -print-file-name="$name.o")" "$2/lib/" || return 1
    done
    cp "$apt/root/usr/lib/llvm-14/lib/libunwind.a" "$2/lib/" || return 1
    # libunwind was built with the checks of glibc's headers, of which musl lacks this function.
    # shellcheck disable=SC2046  # flags, one word each
    "$compiler" -O2 $(musl_flags "$1" "$2" "$compiler") -x c -c -o "$apt/fprintf_chk.o" - <<'C' || return 1
#include <stdarg.h>
#include <stdio.h>
int __fprintf_chk(FILE *file, int flag, const char *format, ...) {
    va_list list;
    (void)flag;
    va_start(list, format);
    int count = vfprintf(file, format, list);
    va_end(list);
    return count;
}
C
    ar r "$2/lib/libunwind.a" "$apt/fprintf_chk.o" 2>/dev/null
}

# debian_architecture MACHINE: Debian's name of an architecture.
debian_architecture() {
    case $1 in
        x86_64) echo amd64 ;;
        aarch64) echo arm64 ;;
        *) echo "$1" ;;
    esac
}
