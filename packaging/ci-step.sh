#!/bin/sh
# Runs one step of a CI job in rxbox, and tells what was denied in the form that the CI shows. The environment says how:
#   RXBOX_RUN        the step, for a shell (required)
#   RXBOX_PROFILE    the profile: a name, or a path with a slash (untrusted)
#   RXBOX_OPTIONS    further options of rxbox, which spaces separate
#   RXBOX_AUDIT      where records of denials go (rxbox-audit.jsonl); what is there is replaced
#   RXBOX_ON_DENIAL  report, or fail: a step that succeeds although something was denied fails (report)
#   RXBOX            the program (rxbox)
# The status is the step's own, or 1.
set -u
: "${RXBOX_RUN:?the step is missing}"
rxbox=${RXBOX:-rxbox}
profile=${RXBOX_PROFILE:-untrusted}
audit=${RXBOX_AUDIT:-rxbox-audit.jsonl}
on_denial=${RXBOX_ON_DENIAL:-report}
case $on_denial in
report | fail) ;;
*)
    echo "RXBOX_ON_DENIAL is report or fail, not $on_denial" >&2
    exit 125
    ;;
esac
command -v jq >/dev/null || {
    echo "jq is missing, by which denials are told" >&2
    exit 125
}
shell=$(command -v bash) || shell=/bin/sh
on_github() { [ "${GITHUB_ACTIONS:-}" = true ]; }

rm -f "$audit"
# What the step prints is no command to the runner.
if on_github; then
    token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    echo "::stop-commands::$token"
fi
# shellcheck disable=SC2086 # options are words
"$rxbox" --quiet --profile "$profile" --audit "$audit" ${RXBOX_OPTIONS:-} -- "$shell" -ec "$RXBOX_RUN"
status=$?
if on_github; then
    printf '\n::%s::\n' "$token"
fi

[ -s "$audit" ] || exit "$status"
denials=$(grep -c '^{"event":"denial"' "$audit")
if on_github; then
    # In the profile's own lines where a rule of it denied something.
    jq -r --arg profile "$profile" '
        def data: gsub("%"; "%25") | gsub("\r"; "%0D") | gsub("\n"; "%0A");
        def property: data | gsub(":"; "%3A") | gsub(","; "%2C");
        select(.event == "denial")
        | (.rule | split(":")) as $rule
        | (if ($profile | contains("/")) and ($profile | split("/") | last) == $rule[0]
           then "file=\($profile | ltrimstr("./") | property),line=\($rule[1])," else "" end) as $place
        | "::error \($place)title=denied by rxbox::"
          + ("\(.verb) \(.object)\(if .to then " to " + .to else "" end) (\(.call), pid \(.pid) \(.program)) by \(.rule)"
             + (if .hint then "; " + .hint else "" end) | data)' "$audit"
elif [ "$denials" -gt 0 ]; then
    echo "rxbox denied:"
    jq -r 'select(.event == "denial") | "  \(.verb) \(.object) (\(.call), \(.program)) by \(.rule)"' "$audit"
fi
if [ "$denials" -gt 0 ]; then
    lacking=$(jq -r 'select(.event == "lacking") | "  \(.list): \(.entry)"' "$audit")
    [ -z "$lacking" ] || printf 'Entries of a profile that would have allowed what no rule allows:\n%s\n' "$lacking"
    if [ "$status" -eq 0 ] && [ "$on_denial" = fail ]; then
        exit 1
    fi
fi
exit "$status"
