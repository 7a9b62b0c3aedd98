# Set-up shared by demo.sh, test.sh and nightly.sh: Debian packages, a virtual environment, the compiler. Sourced, not run.
# shellcheck shell=bash disable=SC2034  # the scripts that source this use its variables
# On a bare Debian 12 as root nothing is needed beforehand; where everything is installed it runs as any user.

opspilot_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
opspilot_jobs=${OPSPILOT_JOBS:-$(nproc)}

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 4; }

# retry COUNT COMMAND...: networks and mirrors have bad moments.
retry() {
    local count=$1 try; shift
    for ((try = 1; try <= count; ++try)); do
        "$@" && return 0
        [ "$try" = "$count" ] || { echo "failed ($try of $count), again in $((try * 5)) s: $*" >&2; sleep $((try * 5)); }
    done
    return 1
}

# apt_install GROUP...: installs the packages of those groups that are missing, and asks the package manager for nothing else.
apt_install() {
    local group wanted=() missing=() package
    for group in "$@"; do
        read -r -a line <<<"$(sed -n "s/^$group: //p" "$opspilot_root/scripts/apt-packages.txt" | tr '\n' ' ')"
        [ "${#line[@]}" -gt 0 ] || fail "no group '$group' in scripts/apt-packages.txt"
        wanted+=("${line[@]}")
    done
    command -v dpkg-query >/dev/null || { echo "not a Debian system: taking the tools as they are" >&2; return 0; }
    for package in "${wanted[@]}"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || fail "missing packages; as root: apt-get install --no-install-recommends ${missing[*]}"
    say "installing ${#missing[@]} packages"
    export DEBIAN_FRONTEND=noninteractive
    local options=(-qq -o Acquire::Retries=5 -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
    retry 5 apt-get "${options[@]}" update || fail "apt-get update failed"
    retry 4 apt-get "${options[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get could not install: ${missing[*]}"
}

# make_venv DIRECTORY REQUIREMENTS...: a virtual environment with exactly these pinned packages, made again when they change.
make_venv() {
    local directory=$opspilot_root/$1 stamp file; shift
    stamp=$(cd "$opspilot_root" && cat "$@" | sha256sum; /usr/bin/env python3 --version)
    if [ "$(cat "$directory/.stamp" 2>/dev/null)" != "$stamp" ]; then
        say "virtual environment ${directory#"$opspilot_root"/}"
        rm -rf "$directory"
        python3 -m venv "$directory" || fail "python3 -m venv failed"
        local arguments=()
        for file in "$@"; do arguments+=(-r "$opspilot_root/$file"); done
        retry 4 "$directory/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --retries 8 --timeout 60 \
            "${arguments[@]}" || fail "pip could not install $*"
        printf '%s' "$stamp" >"$directory/.stamp"
    fi
    venv=$directory
    PATH=$directory/bin:$PATH
    export PATH venv VIRTUAL_ENV=$directory PIP_DISABLE_PIP_VERSION_CHECK=1
}

# The compiler of the reference build, and a compiler cache where there is one.
choose_compiler() {
    CC=${CC:-$(command -v gcc-12 || command -v gcc)}
    CXX=${CXX:-$(command -v g++-12 || command -v g++)}
    export CC CXX
    cmake_common=(-G Ninja)
    if command -v ccache >/dev/null; then
        cmake_common+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
        export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
    fi
}
