#!/usr/bin/env bash
# The long forms of scripts/test.sh: clang-tidy on everything, a clang build, threads, coverage, long Monte Carlo runs, both pybind11
# lines, fuzzing and all benchmarks. Hours, not minutes. OPSPILOT_FUZZ_SECONDS bounds each fuzzer (default 600).
# shellcheck disable=SC2317  # functions are run by name, through step
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 4
. scripts/lib/setup.sh
. scripts/lib/steps.sh

apt_install build test nightly
make_venv .venv-nightly scripts/requirements-build.txt scripts/requirements-test.txt scripts/requirements-nightly.txt
choose_compiler
results=build/nightly-results
rm -rf "$results" && mkdir -p "$results"
set_up=$SECONDS
export OPSPILOT_TEST_TIMEOUT=7200

build() {  # build FOLDER OPTIONS...: configures and builds
    local folder=$1; shift
    cmake -S . -B "$folder" "${cmake_common[@]}" "$@" && cmake --build "$folder" -j "$opspilot_jobs"
}
python_with() {  # python_with FOLDER CMAKE_DIR NAME: the module against one pybind11, imported and tested
    build "$1" -DCMAKE_BUILD_TYPE=Release -DOPSPILOT_WERROR=ON -DOPSPILOT_TESTS=OFF -DOPSPILOT_EXAMPLES=OFF -DOPSPILOT_PYTHON=ON \
        -DPython_EXECUTABLE="$venv/bin/python" -Dpybind11_DIR="$2" && grep -i "pybind11_DIR" "$1/CMakeCache.txt" &&
        rm -rf "$1/package" && cmake --install "$1" --prefix "$1/package" --component python &&
        cp -r python/opspilot/. "$1/package/opspilot/" && PYTHONPATH="$PWD/$1/package" python -m pytest --junitxml="$results/$3.xml" tests/python
}
python_with_debian() {  # pybind11 2.10 knows numpy 1 alone
    sed 's/^numpy==.*/numpy==1.26.4/' scripts/requirements-build.txt scripts/requirements-test.txt >build/requirements-numpy1.txt
    (make_venv .venv-nightly-numpy1 build/requirements-numpy1.txt &&
        python_with build/nightly-pybind11-debian /usr/lib/cmake/pybind11 pybind11-debian)
}
monte_carlo() {  # the cases that Catch2 hides by their tag, in every test program that has some
    local program any=0
    for program in build/nightly/tests/test_*; do
        [[ -x $program && -f $program ]] || continue
        "$program" --list-tests "[nightly]" | grep -qE '^ *0 matching|^0 test cases' && continue
        any=1
        "$program" "[nightly]" || return 1
    done
    [ "$any" = 1 ] || echo "no test is tagged [nightly]"
}
seeds() {  # seeds FORMAT: folders of files that fuzz_FORMAT begins with
    case $1 in
        lightgbm) echo tests/rank/fixtures tests/rank/mutants/lightgbm ;;
        xgboost) echo tests/rank/fixtures/xgboost tests/rank/mutants/xgboost ;;
        catboost) echo tests/rank/fixtures tests/rank/mutants/catboost ;;
        tree_file) echo tests/rank/mutants/trees ;;
    esac
}
fuzz() {  # every fuzz_* program of the clang build
    local program any=0 format corpus
    for program in build/nightly-clang/fuzz/fuzz_*; do
        [[ -x $program && -f $program ]] || continue
        any=1 format=${program##*/fuzz_}
        corpus=build/nightly-corpus/$format
        mkdir -p "$corpus"
        # New inputs go to the first folder; the others are read only.
        # shellcheck disable=SC2046
        "$program" -max_total_time="${OPSPILOT_FUZZ_SECONDS:-600}" -rss_limit_mb=4096 -timeout=20 \
            -artifact_prefix="$results/$format-" "$corpus" $(seeds "$format") || return 1
    done
    [ "$any" = 1 ] || echo "no fuzz target"
}
benchmarks() {
    local program
    for program in build/nightly/benchmarks/bench_*; do
        [[ -x $program && -f $program ]] || continue
        "$program" --benchmark_out="$results/$(basename "$program").json" --benchmark_out_format=json || return 1
    done
}
coverage() {
    build build/nightly-coverage -DCMAKE_BUILD_TYPE=Debug -DOPSPILOT_COVERAGE=ON && run_ctest build/nightly-coverage "$results/coverage.xml" &&
        find build/nightly-coverage -name '*.gcda' -print0 | xargs -0 gcov-12 --no-output --source-prefix "$PWD" --relative-only >"$results/coverage.txt" 2>/dev/null
    python scripts/lib/coverage_table.py "$results/coverage.txt"
}

step "format" check_format
step "ruff" check_ruff
step "mypy" check_types
step "arrows" python scripts/check_arrows.py
quiet_step "build" build build/nightly -DCMAKE_BUILD_TYPE=Release -DOPSPILOT_WERROR=ON -DOPSPILOT_BENCHMARKS=ON
quiet_step "tests" run_ctest build/nightly "$results/release.xml"
step "clang warnings (everything)" python scripts/lib/clang.py warnings build/nightly --all
step "clang-tidy (everything)" python scripts/lib/clang.py tidy build/nightly --all
quiet_step "build with clang" build build/nightly-clang -DCMAKE_BUILD_TYPE=Release -DOPSPILOT_WERROR=ON -DCMAKE_C_COMPILER=clang-19 \
    -DCMAKE_CXX_COMPILER=clang++-19 -DOPSPILOT_FUZZ=ON
quiet_step "tests with clang" run_ctest build/nightly-clang "$results/clang.xml"
quiet_step "shared library" build build/nightly-shared -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON
quiet_step "tests with the shared library" run_ctest build/nightly-shared "$results/shared.xml"
for sanitizer in address,undefined thread; do
    quiet_step "build with $sanitizer" build "build/nightly-$sanitizer" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="-O1 -g1" \
        -DCMAKE_CXX_FLAGS="-O1 -g1" "-DOPSPILOT_SANITIZE=$sanitizer"
    quiet_step "tests with $sanitizer" run_ctest "build/nightly-$sanitizer" "$results/$sanitizer.xml"
done
quiet_step "pybind11 and numpy of Debian" python_with_debian
quiet_step "pybind11 of the Python index" python_with build/nightly-pybind11-index "$(python -m pybind11 --cmakedir)" pybind11-index
step "coverage" coverage
step "Monte Carlo" monte_carlo
step "fuzzing" fuzz
step "benchmarks" benchmarks

summary "$set_up" "C and C++=$results/release.xml" "clang=$results/clang.xml" "shared=$results/shared.xml" \
    "address=$results/address,undefined.xml" "thread=$results/thread.xml" "pybind11 of Debian=$results/pybind11-debian.xml" \
    "pybind11 of the index=$results/pybind11-index.xml" "coverage=$results/coverage.xml"
