# The steps that test.sh and nightly.sh are made of. Sourced after setup.sh.
# shellcheck shell=bash disable=SC2154  # the script that sources this sets $results

failed_steps=()
step_times=()

# step NAME COMMAND...: runs it, takes its time, and remembers a failure; the run goes on, so that one run shows all there is.
step() {
    local name=$1 start=$SECONDS; shift
    say "$name"
    if "$@"; then
        step_times+=("$(printf '%5d s  %s' $((SECONDS - start)) "$name")")
    else
        step_times+=("$(printf '%5d s  %s: FAILED' $((SECONDS - start)) "$name")")
        failed_steps+=("$name")
        echo "FAILED: $name"
        return 1
    fi
}

# quiet_step: the same, showing the output only when it fails.
quiet_step() {
    local name=$1 log; shift
    log=$results/$(tr -cs 'a-zA-Z0-9\n' '-' <<<"$name").log
    step "$name" shown_on_failure "$log" "$@"
}
shown_on_failure() {
    local log=$1; shift
    "$@" >"$log" 2>&1 && return 0
    grep -nE '(^FAILED| error|Error |\*\*\*)' "$log" | cut -c1-300 | head -n 40
    echo "... the end of $log:"
    tail -n 60 "$log" | cut -c1-300
    return 1
}

cpp_files() {
    { git ls-files --cached --others --exclude-standard -- '*.hpp' '*.h' '*.cpp' '*.c' 2>/dev/null ||
        find include src capi python tests examples benchmarks -name '*.[hc]pp' -o -name '*.[hc]'; } | grep -v 'tests/scripts/bad_tree/'
}
check_format() {
    local wrong
    wrong=$(cpp_files | xargs clang-format-19 --dry-run --Werror 2>&1 | grep -oE '^[^ :]+:[0-9]+' | sort -t: -k1,1 -u)
    [ -z "$wrong" ] || printf '%s\n' "$wrong" "clang-format-19 -i on these files" >&2
    ruff format --check --quiet --output-format concise . && [ -z "$wrong" ]
}
check_ruff() { ruff check --quiet .; }
check_types() { mypy && mypy --strict scripts/*.py scripts/lib/*.py; }

# run_ctest BUILD JUNIT: all tests of a build. Parallel, and with room for what a test prints: the counter reads it.
run_ctest() {
    ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 \
        ctest --test-dir "$1" --output-on-failure --no-tests=error -j "$opspilot_jobs" --timeout "${OPSPILOT_TEST_TIMEOUT:-600}" \
        --test-output-size-passed 1000000 --test-output-size-failed 1000000 --output-junit "$PWD/$2"
}

# install_package BUILD: the wheel out of an existing build folder, so that the library is not compiled twice.
install_package() {
    python -m pip install --quiet --no-deps --no-build-isolation --config-settings=build-dir="$1" .
}

# summary SET_UP NAME=JUNIT...: times, failures and the count, which comes last; ends the script.
summary() {
    local set_up=$1 code=0; shift
    say "times (set-up ${set_up} s, then $((SECONDS - set_up)) s)"
    printf '%s\n' "${step_times[@]}"
    if [ "${#failed_steps[@]}" -gt 0 ]; then
        printf 'FAILED: %s\n' "${failed_steps[@]}"
        code=1
    fi
    echo
    [ "$#" = 0 ] || python scripts/lib/count_tests.py "$@" || code=1
    exit "$code"
}
