#!/usr/bin/env bash
# Everything a change must pass: formats, linters, types, arrows, a warning-free build, all tests, the same under sanitizers, the
# Python package, and the doors for other projects. Starts from a bare Debian 12. Ends with the line that counts the tests.
# The long forms (all of clang-tidy, threads, coverage, Monte Carlo, fuzzing, benchmarks) are scripts/nightly.sh.
# shellcheck disable=SC2317  # functions are run by name, through step
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 4
. scripts/lib/setup.sh
. scripts/lib/steps.sh

apt_install build test
make_venv .venv-test scripts/requirements-build.txt scripts/requirements-test.txt
choose_compiler
build=build/test database=build/test-database sanitized=build/test-sanitizer results=build/test-results
rm -rf "$results" && mkdir -p "$results"
set_up=$SECONDS

step "format" check_format
step "ruff" check_ruff
step "mypy" check_types
step "arrows" python scripts/check_arrows.py

configure_release() {  # configure_release BUILD OPTIONS...
    local folder=$1; shift
    cmake -S . -B "$folder" "${cmake_common[@]}" -DCMAKE_BUILD_TYPE=Release -DOPSPILOT_WERROR=ON -DOPSPILOT_TESTS=ON -DOPSPILOT_EXAMPLES=ON \
        -DOPSPILOT_BENCHMARKS=OFF -DOPSPILOT_PYTHON=ON -DPython_EXECUTABLE="$venv/bin/python" "$@"
}
build_release() { configure_release "$build" -DOPSPILOT_UNITY=ON && cmake --build "$build" -j "$opspilot_jobs"; }
clang_tidy() {  # by the commands of a build of single sources, which is configured for this alone
    configure_release "$database" >/dev/null && python scripts/lib/clang.py warnings "$database" &&
        python scripts/lib/clang.py tidy "$database" --seconds "${OPSPILOT_TIDY_SECONDS:-60}"
}
conformance() {  # what the tests of CEL printed about the specification's own cases
    grep -ohE 'conformance [a-z]+: [0-9]+ / [0-9]+' "$results/release.xml" | sort -u && return
    # Others have the library without the data sets; that the cases did not run must be seen, and is no fault of the change.
    [ ! -d "${OPSPILOT_DATA:-../shared/data}/cel-conformance" ] && echo "NOT RUN: no cel-conformance in \$OPSPILOT_DATA"
}
if quiet_step "build (g++, warnings are errors)" build_release; then
    step "clang-tidy (changed files)" clang_tidy
    quiet_step "C, C++ and install tests" run_ctest "$build" "$results/release.xml"
    step "CEL conformance" conformance
    quiet_step "Python package" install_package "$build" &&
        step "Python tests" python -m pytest --junitxml="$results/python.xml" -m "not nightly"
fi

# The sanitizer build is made by the other compiler, and inside another project, tests/install/subdirectory: the door that
# find_package does not test.
build_sanitized() {
    CC=clang-19 CXX=clang++-19 cmake -S tests/install/subdirectory -B "$sanitized" "${cmake_common[@]}" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="-O1 -g1" \
        -DCMAKE_CXX_FLAGS="-O1 -g1" -DOPSPILOT_SANITIZE=address,undefined -DOPSPILOT_TESTS=ON -DOPSPILOT_UNITY=ON -DOPSPILOT_WERROR=ON && cmake --build "$sanitized" -j "$opspilot_jobs"
}
quiet_step "build with sanitizers (clang, warnings are errors)" build_sanitized && quiet_step "tests under sanitizers" run_ctest "$sanitized" "$results/sanitizer.xml"

summary "$set_up" "C and C++=$results/release.xml" "under sanitizers=$results/sanitizer.xml" "Python=$results/python.xml"
