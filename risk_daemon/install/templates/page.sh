#!/bin/sh
# Pages somebody when a guard has ended: risk-daemon-page RESULT:STATUS [UNIT], as systemd has them in $SERVICE_RESULT
# and $EXIT_STATUS. Shares nothing with the guard: POSIX sh and what a bare system has. Run by
# risk-daemon-page@.service.
#
# Who is paged is said in /etc/risk-daemon/page.env (root's, mode 600), for an instance in /etc/risk-daemon-NAME/; every
# line may be left out:
#     PAGE_COMMAND=/usr/local/bin/pager --to oncall     run with the sentence as its last word; no shell looks at it
#     PAGE_URL=https://ntfy.sh/a-topic-of-yours         the sentence is posted to it by curl
#     PAGE_QUIET_S=300                                  one page of a kind in so many seconds; a trip is never held back
# The sentence goes to the journal and to every terminal in any case. Ends with 1 if somebody could not be paged.

set -u
what=${1:-unknown}
guard=${2:-risk-daemon}

case $what in
    exit-code:1) told='TRIGGERED, every cancel proven. It stays down until a person resets it' ;;
    exit-code:4) told='TRIGGERED AND NOT PROVEN: orders may still be open. systemd starts it again, it goes on cancelling' ;;
    exit-code:70) told='ended by a bug. The lock is shut, systemd starts it again' ;;
    exit-code:75) told='at its first start a venue could not be reached. systemd starts it again' ;;
    exit-code:78) told='refused to run (configuration, usage, state or credentials). It stays down' ;;
    exit-code:216 | exit-code:217) told='has no user to run as (216, 217: see systemd.exec(5)). It stays down' ;;
    exit-code:2[0-4][0-9]) told="could not be started by systemd (status ${what#*:}: see systemd.exec(5)). systemd tries again" ;;
    watchdog:*) told='hung, and was ended by the watchdog. systemd starts it again' ;;
    oom-kill:*) told='was killed for want of memory. systemd starts it again' ;;
    timeout:*) told='did not stop in time and was killed' ;;
    signal:* | core-dump:*) told="was killed by signal ${what#*:}. systemd starts it again" ;;
    failed) told='is down, and systemd does not start it again' ;;
    success:*) told="was ended by signal ${what#*:}. It stays down" ;;
    *) told="ended ($what)" ;;
esac
sentence="$guard on $(uname -n): the guard $told. While it is down the gate is shut and NOTHING IS GUARDED."

# <2>: critical, as the journal reads it.
printf '<2>%s\n' "$sentence" >&2
if command -v wall >/dev/null; then wall "$sentence" 2>/dev/null; fi

by_command() {
    # Unquoted: its words. Globs stay as they are.
    set -f
    # shellcheck disable=SC2086
    timeout 60 $PAGE_COMMAND "$sentence"
}

by_url() {
    # On standard input, so that an address with a secret in it is in no list of processes.
    printf 'url = "%s"\ndata-binary = "%s"\n' "$PAGE_URL" "$sentence" |
        curl --fail --silent --show-error --max-time 30 --output /dev/null --config -
}

tried() {
    tries=0
    until "$1"; do
        tries=$((tries + 1))
        if [ "$tries" -ge 5 ]; then
            printf '<2>risk-daemon-page: NOBODY WAS PAGED %s\n' "$1" >&2
            return 1
        fi
        sleep "$((tries * ${PAGE_RETRY_S:-5}))"
    done
}

failed=0
if [ -n "${PAGE_COMMAND:-}" ]; then tried by_command || failed=1; fi
if [ -n "${PAGE_URL:-}" ]; then tried by_url || failed=1; fi

# What is started again every two seconds would page as often: while this sleeps, another start of it is this one.
case $what in
    exit-code:1 | exit-code:78 | failed | success:*) ;;
    *) if [ "$failed" -eq 0 ]; then sleep "${PAGE_QUIET_S:-300}"; fi ;;
esac
exit "$failed"
