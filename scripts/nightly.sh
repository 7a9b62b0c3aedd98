#!/usr/bin/env bash
# The long forms of scripts/test.sh: clang-tidy on everything, a clang build, threads, coverage, long Monte Carlo runs, both pybind11
# lines, fuzzing, all benchmarks and all rivals. Hours, not minutes. OPSPILOT_FUZZ_SECONDS bounds each fuzzer (default 600),
# OPSPILOT_EXPRESSIONS the random expressions that are compared with cel-cpp (default 1000000).
#   nightly.sh [GROUP...]   only these: checks build clang shared sanitizers python coverage montecarlo fuzz benchmarks rivals
#                       expressions fixtures statistics
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
python_with_debian() {  # pybind11 2.10 knows numpy 1 alone, and so does an older pyarrow
    sed 's/^numpy==.*/numpy==1.26.4/; s/^pyarrow==.*/pyarrow==19.0.1/' scripts/requirements-build.txt scripts/requirements-test.txt >build/requirements-numpy1.txt
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
        cel | cel_columns) echo fuzz/seeds/cel ;;
        policy) echo examples/policies fuzz/seeds/policy ;;
        tables) echo examples/policies/tables schemas ;;
    esac
}
build_fuzzers() {
    cmake -S . -B build/nightly-fuzz "${cmake_common[@]}" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 \
        -DOPSPILOT_FUZZ=ON -DOPSPILOT_TESTS=OFF -DOPSPILOT_EXAMPLES=OFF && cmake --build build/nightly-fuzz --target fuzzers -j "$opspilot_jobs"
}
fuzz_one() {  # fuzz_one PROGRAM: one line about it; its whole output in a file
    local name=${1##*/} format log corpus code=0
    format=${name#fuzz_} log=$results/$name.log corpus=build/nightly-corpus/${name#fuzz_}
    mkdir -p "$corpus"
    # New inputs go to the first folder; the others are read only.
    # shellcheck disable=SC2046
    "$1" -max_total_time="${OPSPILOT_FUZZ_SECONDS:-600}" -rss_limit_mb=4096 -timeout=20 -print_final_stats=1 \
        -artifact_prefix="$results/$format-" "$corpus" $(seeds "$format") >"$log" 2>&1 || code=$?
    awk -v name="$name" -v code="$code" '/^#[0-9]+/ { for (i = 1; i < NF; ++i) if ($i == "cov:") cov = $(i + 1) }
        /^Done / { runs = $2; seconds = $5 } /number_of_executed_units/ { units = $2 }
        END { printf "%-18s %10d runs %5d s %6d edges  %s\n", name, runs ? runs : units, seconds, cov, code == 0 ? "no finding" : "FINDING, exit " code }' "$log"
    [ "$code" = 0 ] || tail -n 40 "$log"
    return "$code"
}
fuzz() {  # every fuzz_* program, as many at a time as there are processors
    local program failed=0 waiting=() pid
    for program in build/nightly-fuzz/fuzz/fuzz_*; do
        [[ -x $program && -f $program ]] || continue
        if [ "${#waiting[@]}" -ge "$opspilot_jobs" ]; then
            wait "${waiting[0]}" || failed=1
            waiting=("${waiting[@]:1}")
        fi
        fuzz_one "$program" &
        waiting+=($!)
    done
    for pid in "${waiting[@]}"; do wait "$pid" || failed=1; done
    return "$failed"
}
benchmarks() {
    local program
    for program in build/nightly/benchmarks/bench_*; do
        [[ -x $program && -f $program ]] || continue
        "$program" --benchmark_out="$results/$(basename "$program").json" --benchmark_out_format=json || return 1
    done
}
rivals() {  # beside other libraries, whose versions must suit each other and not ours: an environment of their own
    grep -viE '^(numpy|scipy|lightgbm|scikit-learn|joblib|threadpoolctl)==' scripts/requirements-build.txt >build/requirements-rivals.txt
    (make_venv .venv-rivals build/requirements-rivals.txt benchmarks/requirements-rivals.txt &&
        python -m pip install --quiet --no-deps --no-build-isolation --config-settings=build-dir=build/nightly-rivals . &&
        build build/nightly -DCMAKE_BUILD_TYPE=Release -DOPSPILOT_WERROR=ON -DOPSPILOT_BENCHMARKS=ON >/dev/null &&
        python benchmarks/reference_model.py && python benchmarks/compare_trees.py --json "$results/trees.json" &&
        python benchmarks/compare_single_row.py --json "$results/row.json" && python benchmarks/compare_shap.py &&
        python benchmarks/compare_linear.py && python benchmarks/compare_text.py && python benchmarks/peers_on_mutants.py)
}
expressions() {  # conditions beside other engines: random ones for their values, fifty for their time
    (make_venv .venv-expressions scripts/requirements-build.txt benchmarks/requirements-policy-rivals.txt &&
        python -m pip install --quiet --no-deps --no-build-isolation --config-settings=build-dir=build/nightly-expressions . &&
        python benchmarks/compare_expressions.py --count "${OPSPILOT_EXPRESSIONS:-1000000}" --json "$results/expressions.json" &&
        python benchmarks/compare_policy.py --json "$results/conditions.json")
}
fixtures() {  # what other libraries say today beside what is frozen of them
    (make_venv .venv-fixtures scripts/requirements-fixtures.txt && python scripts/regenerate_fixtures.py --check)
}
statistics() {  # do certificates hold as often as they say, and automate as much as others: worlds with a known truth
    grep -viE '^(numpy|scipy|scikit-learn|joblib|threadpoolctl)==' scripts/requirements-build.txt >build/requirements-statistics.txt
    (make_venv .venv-statistics build/requirements-statistics.txt benchmarks/requirements-certificates.txt &&
        python -m pip install --quiet --no-deps --no-build-isolation --config-settings=build-dir=build/nightly-statistics . &&
        python benchmarks/certificates_simulation.py --sets "${OPSPILOT_SETS:-1000}" --violation-sets "${OPSPILOT_VIOLATION_SETS:-2000}" \
            --json "$results/certificates.json")
}
coverage() {
    build build/nightly-coverage -DCMAKE_BUILD_TYPE=Debug -DOPSPILOT_COVERAGE=ON && run_ctest build/nightly-coverage "$results/coverage.xml" &&
        find build/nightly-coverage -name '*.gcda' -print0 | xargs -0 gcov-12 --no-output --source-prefix "$PWD" --relative-only >"$results/coverage.txt" 2>/dev/null
    python scripts/lib/coverage_table.py "$results/coverage.txt"
}

only=("$@")
parts=()
want() { [ "${#only[@]}" = 0 ] || [[ " ${only[*]} " == *" $1 "* ]]; }

if want checks; then
    step "format" check_format
    step "ruff" check_ruff
    step "mypy" check_types
    step "arrows" python scripts/check_arrows.py
fi
if want build; then
    quiet_step "build" build build/nightly -DCMAKE_BUILD_TYPE=Release -DOPSPILOT_WERROR=ON -DOPSPILOT_BENCHMARKS=ON
    quiet_step "tests" run_ctest build/nightly "$results/release.xml"
    parts+=("C and C++=$results/release.xml")
    step "clang warnings (everything)" python scripts/lib/clang.py warnings build/nightly --all
    step "clang-tidy (everything)" python scripts/lib/clang.py tidy build/nightly --all
fi
if want clang; then
    quiet_step "build with clang" build build/nightly-clang -DCMAKE_BUILD_TYPE=Release -DOPSPILOT_WERROR=ON -DCMAKE_C_COMPILER=clang-19 \
        -DCMAKE_CXX_COMPILER=clang++-19 -DOPSPILOT_LIBCRYPTO=OFF
    quiet_step "tests with clang" run_ctest build/nightly-clang "$results/clang.xml"
    parts+=("clang=$results/clang.xml")
fi
if want shared; then
    quiet_step "shared library" build build/nightly-shared -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON
    quiet_step "tests with the shared library" run_ctest build/nightly-shared "$results/shared.xml"
    parts+=("shared=$results/shared.xml")
fi
if want sanitizers; then
    for sanitizer in address,undefined thread; do
        quiet_step "build with $sanitizer" build "build/nightly-$sanitizer" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="-O1 -g1" \
            -DCMAKE_CXX_FLAGS="-O1 -g1" "-DOPSPILOT_SANITIZE=$sanitizer"
        quiet_step "tests with $sanitizer" run_ctest "build/nightly-$sanitizer" "$results/$sanitizer.xml"
        parts+=("$sanitizer=$results/$sanitizer.xml")
    done
fi
if want python; then
    quiet_step "pybind11 and numpy of Debian" python_with_debian
    quiet_step "pybind11 of the Python index" python_with build/nightly-pybind11-index "$(python -m pybind11 --cmakedir)" pybind11-index
    parts+=("pybind11 of Debian=$results/pybind11-debian.xml" "pybind11 of the index=$results/pybind11-index.xml")
fi
if want coverage; then
    step "coverage" coverage
    parts+=("coverage=$results/coverage.xml")
fi
if want montecarlo; then
    want build || quiet_step "build" build build/nightly -DCMAKE_BUILD_TYPE=Release
    step "Monte Carlo" monte_carlo
fi
if want fuzz; then quiet_step "build of the fuzzers" build_fuzzers && step "fuzzing" fuzz; fi
if want benchmarks; then
    want build || quiet_step "build" build build/nightly -DCMAKE_BUILD_TYPE=Release -DOPSPILOT_BENCHMARKS=ON
    step "benchmarks" benchmarks
fi
if want rivals; then step "rivals" rivals; fi
if want expressions; then step "expressions" expressions; fi
if want fixtures; then step "frozen answers" fixtures; fi
if want statistics; then step "statistics" statistics; fi

summary "$set_up" "${parts[@]}"
