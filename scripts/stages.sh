# The stages of ./check, for it to source after setup.sh.
# shellcheck shell=sh

out=target/check
mkdir -p "$out"
# One at a time in one checkout: two would replace each other's programs while they run.
if command -v flock >/dev/null 2>&1; then
    exec 9>"$out/lock"
    flock -n 9 || { say "Another ./check runs here; waiting for its end."; flock 9; }
fi
table=$out/stages
# Where nextest leaves what passing tests said.
report=$target/nextest/default/junit.xml
: >"$table"
passed=0
failed=0

# stage NAME COMMAND…: runs COMMAND, shows and keeps what it says. A failure does not stop the stages after it.
stage() {
    stage_name=$1
    stage_log=$out/$stage_name.log
    shift
    printf '\n=== %s\n' "$stage_name"
    stage_began=$(date +%s)
    rm -f "$report"
    { "$@" 2>&1 9>&- || echo "$?" >"$out/failed"; } | tee "$stage_log" 9>&-
    stage_result=ok
    if [ -e "$out/failed" ]; then stage_result=FAILED; fi
    rm -f "$out/failed"
    if skips; then
        echo "Something was skipped above, which ./check does not allow."
        stage_result=FAILED
    fi
    count "$stage_log"
    note_stage "$stage_name" $(($(date +%s) - stage_began)) "$stage_result"
}

# Data of others that may not be passed on is mandatory only where CI says so; nothing else may be missing.
skips() {
    skips_found=$(cat "$stage_log" "$report" 2>/dev/null | grep 'SKIPPED:')
    if ! data_is_here && [ "${CI:-}" != true ]; then
        skips_found=$(printf '%s' "$skips_found" | grep -v RANPROOF_DATA)
    fi
    [ -n "$skips_found" ] && printf '%s\n' "$skips_found" | sort -u
}

data_is_here() { [ -d "${RANPROOF_DATA:-../shared/data}" ]; }

# Adds up what a test runner says of itself; a stage without one counts as one.
count() {
    count_line=$(sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
        / tests? run: / { runner = 1; for (i = 2; i <= NF; i++) add($(i - 1), $i) }
        /^test result: / { runner = 1; for (i = 2; i <= NF; i++) add($(i - 1), $i) }
        function add(number, word) {
            if (word ~ /^passed/) p += number
            if (word ~ /^(failed|timed)/) f += number
        }
        END { print runner + 0, p + 0, f + 0 }')
    # shellcheck disable=SC2086
    set -- $count_line
    if [ "$1" = 1 ]; then
        passed=$((passed + $2))
        failed=$((failed + $3))
        if [ "$stage_result" = FAILED ] && [ "$3" = 0 ]; then failed=$((failed + 1)); fi
        if [ "$3" != 0 ]; then stage_result=FAILED; fi
    elif [ "$stage_result" = ok ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}

note_stage() {
    awk -v name="$1" -v seconds="$2" -v result="$3" \
        'BEGIN { printf "%-14s %5.1f min  %s\n", name, seconds / 60, result }' >>"$table"
}

summary() {
    printf '\nMinutes per stage:\n'
    cat "$table"
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" = 0 ] && ! grep -q FAILED "$table"
}

# named_tests EXPRESSION WORD…: the tests that EXPRESSION selects for nextest, or WORD… for cargo.
named_tests() {
    named_expression=$1
    shift
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked --workspace --no-fail-fast --config-file scripts/nextest.toml \
            -E "$named_expression"
    else
        cargo test --locked --workspace --no-fail-fast "$@" -- --show-output
    fi
}

room_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        named_tests 'not (binary(netconfd) | binary(story) | binary(federation) | test(corpus) | test(kill) | binary(kill))'
    else
        cargo test --locked --workspace --no-fail-fast -- --show-output --skip corpus --skip kill
    fi
}

corpus_tests() {
    if data_is_here || [ "${CI:-}" = true ]; then
        named_tests 'test(corpus)' corpus
    else
        echo "Not run: no data of others beside this repository (RANPROOF_DATA). The tests stage ran their small twins."
    fi
}

# Each rule pack has tests; a rule without a case that fires and one that stays silent is a fault.
policy_tests() {
    for policy_folder in policies/packs/*/; do
        echo "$policy_folder"
        "$target/debug/ranproof" policy test "$policy_folder" --json >"$out/policy.json" || return 1
        cat "$out/policy.json"
        "$venv/bin/python" - "$out/policy.json" <<'CHECK' || return 1
import json, sys
report = json.load(open(sys.argv[1]))
enough = report["rules"] > 0 and report["cases"] >= 2 * report["rules"]
sys.exit(0 if report["failed"] == 0 and enough else 1)
CHECK
    done
    [ -s "$out/policy.json" ]
}

tell_story() {
    rm -f "$out/story.json"
    ./demo --once --json --yes --dir "$out/demo" >"$out/story.json" || return 1
    "$venv/bin/python" tests/independent/check_story.py "$out/story.json" || return 1
    named_tests 'binary(story)' --test story
}

# What the story left behind, checked without our library and against every kind of damage.
check_evidence() {
    evidence_cases=1000
    if [ "$mode" = long ]; then evidence_cases=20000; fi
    "$venv/bin/python" tests/independent/verify_tlog_proof.py --self-test || return 1
    "$venv/bin/python" tests/independent/verify_tlog_proof.py --story "$out/story.json" || return 1
    "$venv/bin/python" tests/independent/flip_bytes.py --story "$out/story.json" \
        --program "$target/debug/ranproof-verify" --cases "$evidence_cases"
}

check_pages() {
    "$venv/bin/python" tests/browser/run.py --program "$target/debug/ranproof" --output target/screenshots \
        --dir "$out/pages" --axe "$tools/npm/browser/node_modules/axe-core/axe.min.js"
}

check_dashboards() {
    "$venv/bin/python" tests/dashboards/run.py --program "$target/debug/ranproof" \
        --modules "$tools/npm/dashboards" --dir "$out/dashboards"
}

# A station must cost at most a part of what the pipelines take in the same run. About half of the ratios in
# docs/performance.md, since others may use the machine.
check_bench() {
    for bench_peer in station:120 typical:150 tuned:4; do
        "$target/debug/ranproof" bench station --json --peer "benches/peers/${bench_peer%:*}.py" >"$out/bench.json" ||
            return 1
        cat "$out/bench.json"
        "$venv/bin/python" - "$out/bench.json" "${bench_peer#*:}" <<'CHECK' || return 1
import json, sys
report, least = json.load(open(sys.argv[1])), float(sys.argv[2])
print(f"ratio {report['ratio']:.1f}, at least {least:g} wanted")
sys.exit(0 if report["ratio"] >= least else 1)
CHECK
    done
    "$target/debug/ranproof" bench poll --stations 100 --json >"$out/poll.json" || return 1
    cat "$out/poll.json"
    "$venv/bin/python" - "$out/poll.json" <<'CHECK' || return 1
import json, sys
report = json.load(open(sys.argv[1]))
print(f"ncclient takes {report['ratio']:.1f} times our CPU for one session, at least 4 wanted")
sys.exit(0 if report["ratio"] >= 4 and report["again"]["unchanged"] == 100 else 1)
CHECK
    # No peer does this: the figures are for whoever reads the log.
    "$target/debug/ranproof" bench round --stations 200 || return 1
    cargo build --release --locked --manifest-path benches/peers/rego/Cargo.toml --target-dir target/peers || return 1
    "$target/debug/ranproof-benches" --strict --rego target/peers/release/rego-peer
}

# Every process that a stage started carries the mark in its environment, whatever its parent is now.
nothing_left_running() {
    left_result=0
    for left_folder in /proc/[0-9]*; do
        tr '\0' '\n' <"$left_folder/environ" 2>/dev/null | grep -qx "RANPROOF_CHECK=$RANPROOF_CHECK" || continue
        # What shows and keeps this stage's words is no leftover.
        [ "$(cat "$left_folder/comm" 2>/dev/null)" = tee ] && continue
        echo "still running: ${left_folder#/proc/} $(tr '\0' ' ' <"$left_folder/cmdline")"
        left_result=1
    done 2>/dev/null
    [ "$left_result" = 1 ] || echo "Nothing that was started here is still running."
    return "$left_result"
}
