#!/usr/bin/env bash
# From a bare Debian 12 to `opspilot demo`: installs what is missing, builds the Python package with its demo, runs it, and has
# what it decided certified anew and judged by launch criteria. Arguments go to `opspilot demo`.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/setup.sh
apt_install build
make_venv .venv-demo scripts/requirements-build.txt
choose_compiler

# Built again only when something that goes into it changed.
stamp=$(find CMakeLists.txt pyproject.toml cmake include src python -type f -not -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum | sha256sum)
if [ "$(cat "$venv/.package" 2>/dev/null)" != "$stamp" ]; then
    say "building the Python package"
    CMAKE_BUILD_PARALLEL_LEVEL=$opspilot_jobs python -m pip install --quiet --no-deps --no-build-isolation \
        --config-settings=build-dir=build/demo --config-settings=cmake.define.OPSPILOT_UNITY=ON . || fail "the package does not build"
    printf '%s' "$stamp" >"$venv/.package"
fi
# Inside the project the demo runs here; called from elsewhere, its output belongs there.
[ "$here" = "$opspilot_root" ] || cd "$here"
out=opspilot-demo previous=
for argument in "$@"; do
    case $argument in
        --json | --help) exec "$venv/bin/opspilot" demo "$@" ;; # one object, or no demo at all
        --out=*) out=${argument#--out=} ;;
        *) [ "$previous" != --out ] || out=$argument ;;
    esac
    previous=$argument
done
"$venv/bin/opspilot" demo "$@"

# Exit code 1 says that something is not proved, which is an answer.
answer() { "$@" || [ $? = 1 ]; }
log=("--log" "$out/decisions.log" "--bundle" "$out/bundle.opspilot" "--attributes" "$out/cases.csv" "--one-per" "case")
say "the certificate once more, from the log of test: opspilot calibrate ${log[*]} --target 'risk<=0.1'"
answer "$venv/bin/opspilot" calibrate "${log[@]}" --target 'risk<=0.1' --html "$out/certificates.html"
say "launch criteria: opspilot gate examples/launch/criteria.json ${log[*]}"
answer "$venv/bin/opspilot" gate "$opspilot_root/examples/launch/criteria.json" "${log[@]}" --html "$out/launch.html"
