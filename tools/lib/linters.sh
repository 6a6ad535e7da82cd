# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154
# The linters of the tools' own scripts, in the cache at a fixed version. Expects tools/testbed/lib.sh to be
# sourced and $cache to be set.

ruff_version=0.14.6
shellcheck_version=0.11.0.1

# pypi_program PACKAGE VERSION PROGRAM: prints the path of a program whose wheel on PyPI contains the binary;
# installs it into the cache first if necessary. Fails with pip's message.
pypi_program() {
    local home=$cache/tools/$1-$2
    if [ ! -x "$home/bin/$3" ]; then
        require_python
        (
            flock 8
            [ ! -x "$home/bin/$3" ] || exit 0
            rm -rf "$home.new" "$home"
            python3 -m pip --isolated install --quiet --disable-pip-version-check --no-deps \
                --only-binary :all: --target "$home.new" "$1==$2" >&2
            mv "$home.new" "$home"
        ) 8>"$cache/locks/$1" || return 1
    fi
    printf '%s\n' "$home/bin/$3"
}

# Prints the shell scripts of the repository.
shell_files() {
    local file
    find tools deploy .ci -type f -size -200k | sort | while IFS= read -r file; do
        case $(head -n 1 "$file" | tr -d '\0') in
            '#!'*sh | '# shellcheck shell='*) printf '%s\n' "$file" ;;
        esac
    done
}
