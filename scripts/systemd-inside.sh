#!/bin/sh
# Run by scripts/systemd.sh as root in a login session of a fresh Debian 12 under systemd. Tries Lifeboat there:
# a run outlives its session; a cluster of a unit is stopped, held, recovered in place and handed back; the timers and
# cron jobs are held and armed again by the very commands that Lifeboat shows; so is what an aborted run leaves held.
set -eu

. /usr/local/lib/lifeboat-inside.sh
UNIT=postgresql@15-main.service

# ---------------------------------------------------------------- the host

mkdir -p /etc/systemd/logind.conf.d /etc/lifeboat
printf '[Login]\nKillUserProcesses=yes\nKillExcludeUsers=\n' >/etc/systemd/logind.conf.d/kill.conf
systemctl restart systemd-logind
install -d -o postgres -g postgres /var/lib/lifeboat
cat >/etc/pgbackrest.conf <<'X'
[global]
repo1-path=/var/lib/pgbackrest
repo1-retention-full=2
start-fast=y
[main]
pg1-path=/var/lib/postgresql/15/main
X
cat >/etc/postgresql/15/main/conf.d/archive.conf <<'X'
archive_mode = on
archive_command = 'pgbackrest --stanza=main archive-push "%p"'
archive_timeout = 10s
X
printf '[pgbackrest]\nstanza = "main"\n[drill]\ndatabase = "postgres"\n' >/etc/lifeboat/lifeboat.toml
printf '0 3 * * * postgres pgbackrest --stanza=main --type=diff backup\n' >/etc/cron.d/pgbackrest
printf '0 4 * * * pgbackrest --stanza=main expire\n' | crontab -u postgres -
for name in expire unused; do
    printf '[Timer]\nOnCalendar=hourly\n[Install]\nWantedBy=timers.target\n' >/etc/systemd/system/$name.timer
    printf '[Service]\nUser=postgres\nExecStart=/usr/bin/pgbackrest --stanza=main expire\n' \
        >/etc/systemd/system/$name.service
done
systemctl daemon-reload
systemctl enable --quiet --now expire.timer
systemctl restart $UNIT
su postgres -c 'pgbackrest --stanza=main stanza-create && pgbackrest --stanza=main backup' >/dev/null
sql 'CREATE TABLE ledger AS SELECT generate_series(1, 100) AS entry'
has 'this script belongs to a session' "$(control_group $$)" /session-
say 'a cluster under its unit, with backups, a cron file, a crontab, a timer'

# ---------------------------------------------------------------- a run outlives its session

runner() { pgrep -f "internal runner --folder .*/$RUN" | head -n 1; }
# As this user in a session of its own, which stays after the command.
in_session() {
    systemd-run --quiet --collect --unit=other --property=PAMName=login --property="User=$1" --setenv=LC_ALL=C.UTF-8 \
        --property=StandardOutput=null --property=StandardError=null sh -c "$2; exec sleep 600"
}
session_of() { control_group "$(systemctl show --property=MainPID --value other)" | sed -n 's/.*session-\(.*\)\.scope.*/\1/p'; }
has_session() { [ -n "$(session_of)" ]; }
ends_session() {
    until_true 'the other session' has_session
    session=$(session_of)
    loginctl terminate-session "$session"
    until_true 'its end' gone other
}
past_start() { ! waits_at start; }
gone() { ! systemctl is-active --quiet "$1"; }

has_run() { RUN=$(newest) && [ "$RUN" != "$1" ] && waits_at start; }
in_session root 'lifeboat run restore-drill'
until_true 'a drill at its first gate' has_run null
has 'its runner' "$(control_group "$(runner)")" /system.slice/run-
has 'what it says at the gate' "$(value survives-logout)$(lifeboat transcript "$RUN")" 'yes: it belongs to no login session'
before=$(runner)
ends_session
same 'the runner after the end of its session' "$(runner)" "$before"
in_session root "lifeboat approve $RUN start main; lifeboat attach $RUN"
until_true 'the answer of the second session' past_start
ends_session
until_true 'the drill has ended its work' waits_at remove-gate
same 'the runner after the second session' "$(runner)" "$before"
lifeboat approve "$RUN" remove-gate main >/dev/null
lifeboat attach "$RUN" >/dev/null
same 'the drill' "$(lifeboat runs --json | jq -r '.runs[0].outcome')" done
say 'a drill outlived two sessions that were ended (KillUserProcesses=yes), in a scope of its own'

# A user who may become postgres: told at the gate that logging out ends it, until lingering is on.
useradd --create-home --shell /bin/sh anna
echo 'anna ALL=(postgres) NOPASSWD: ALL' >/etc/sudoers.d/anna
last=$RUN
in_session anna 'lifeboat run restore-drill'
until_true "anna's drill at its first gate" has_run "$last"
has 'its runner' "$(control_group "$(runner)")" /session-
has 'what it says at the gate' "$(lifeboat transcript "$RUN" | tr -s ' \n' ' ')" 'enable-linger anna'
lifeboat abort "$RUN" >/dev/null
ends_session
loginctl enable-linger anna
last=$RUN
in_session anna 'lifeboat run restore-drill'
until_true "anna's second drill at its first gate" has_run "$last"
has 'its runner' "$(control_group "$(runner)")" "/user@$(id -u anna).service/"
before=$(runner)
ends_session
same "anna's runner after the end of her session" "$(runner)" "$before"
lifeboat abort "$RUN" >/dev/null
say 'a user is told, and with lingering on her drill outlived her session as well'

# ---------------------------------------------------------------- in place, through the unit

# Whatever anybody tries in the middle starts no server.
nothing_starts_it() {
    pid=$(head -n 1 /var/lib/postgresql/15/main/postmaster.pid 2>/dev/null || true)
    systemctl start $UNIT 2>/dev/null || true
    systemctl restart postgresql.service 2>/dev/null || true
    pg_ctlcluster 15 main start 2>/dev/null && fail "$1: pg_ctlcluster started it as root"
    su postgres -c 'pg_ctlcluster 15 main start' 2>/dev/null && fail "$1: pg_ctlcluster started it"
    same "$1: the server" "$(head -n 1 /var/lib/postgresql/15/main/postmaster.pid 2>/dev/null || true)" "$pid"
    same "$1: the unit" "$(systemctl show --property=MainPID --value $UNIT)" 0
}
enabled=$(systemctl is-enabled $UNIT)
start_conf=$(cat /etc/postgresql/15/main/start.conf)
jobs() { cat /etc/cron.d/pgbackrest && crontab -u postgres -l && systemctl is-enabled expire.timer && systemctl is-active expire.timer; }
armed=$(jobs)
TARGET=$(sql 'SELECT pg_current_wal_insert_lsn()')
sql 'DELETE FROM ledger'
sql 'SELECT pg_switch_wal()' >/dev/null

# ---------------------------------------------------------------- aborted in the middle

# Everything is held by the commands that are shown, and the run waits at the gate that asks for it.
all_held() {
    lifeboat run pitr-in-place -p "target=lsn:$TARGET" >/tmp/attach.txt 2>&1 || true
    RUN=$(newest)
    at fence
    as_shown timers.hold
    approve fence main
    attach
    at stop-unit
    as_shown managed.stop
    as_shown managed.hold
}
still_held() { held=$(sed -n '/Still so on this host/,/^──/p' /tmp/attach.txt); }
aborted() {
    lifeboat abort "$RUN" >/tmp/attach.txt 2>&1 || true
    same 'the run' "$(lifeboat runs --json | jq -r '.runs[0].outcome')" aborted
    still_held
    for words in 'start.conf says disabled' "systemd does not start $UNIT" 'no server runs on' \
        '/etc/cron.d/pgbackrest line 1' '/var/spool/cron/crontabs/postgres line 1' 'backup and expire jobs'; do
        has 'what stays held' "$(printf %s "$held" | tr -s ' \n' ' ')" "$words"
    done
    nothing_starts_it 'after the abort'
}
# The commands that it printed, one a line.
to_let_go() { printf '%s\n' "$held" | sed -n 's/^     as root: //p; /^     mv /s/^ *//p; /^     [^ ]*lifeboat run /s/^ *//p'; }
as_printed() {
    while read -r command; do
        say "as printed: $command"
        sh -c "$command" >/dev/null 2>&1 </dev/null || fail "it failed: $command"
    done </tmp/let-go.txt
}
# Nothing is held any more: read back where it lies, and by Lifeboat.
nothing_held() {
    same "$1: start.conf" "$(cat /etc/postgresql/15/main/start.conf)" "$start_conf"
    [ ! -e /etc/postgresql/15/main/start.conf.before-recovery ] || fail "$1: start.conf.before-recovery is left"
    same "$1: the unit" "$(systemctl is-enabled $UNIT) $(systemctl is-active $UNIT)" "$enabled active"
    same "$1: the jobs" "$(jobs)" "$armed"
    has "$1: the server" "$(control_group "$(head -n 1 /var/lib/postgresql/15/main/postmaster.pid)")" "/$UNIT"
    same "$1: rows" "$(sql 'SELECT count(*) FROM ledger')" 0
    RUN=$2
    attach
    case $(cat /tmp/attach.txt) in *'Still so'*) fail "$1: it says that something is held: $(cat /tmp/attach.txt)" ;; esac
}

all_held
aborted
to_let_go >/tmp/let-go.txt
same 'the commands' "$(wc -l </tmp/let-go.txt)" 4
as_printed
nothing_held 'let go' "$RUN"
say 'aborted with all of it held: the commands that are printed let it go'

all_held
approve stop-unit stopped
attach
at overwrite
aborted
last=$RUN
say "as printed: $(to_let_go | head -n 1)"
sh -c "$(to_let_go | head -n 1)" >/tmp/attach.txt 2>&1 </dev/null || true
RUN=$(newest)
[ "$RUN" != "$last" ] || fail "no undo was begun: $(cat /tmp/attach.txt)"
at fence
approve fence main
attach
at stop-unit
as_shown managed.hold
approve stop-unit stopped
attach
at undo
approve undo main
attach
at start-unit
as_shown managed.let-go
as_shown managed.start
approve start-unit started
attach
same 'the undo' "$(lifeboat runs --json | jq -r '.runs[0].outcome')" done
# the undo has found no timer that was off before it: the aborted run knows it
RUN=$last
attach
still_held
to_let_go >/tmp/let-go.txt
same 'the commands after the undo' "$(wc -l </tmp/let-go.txt)" 1
has 'the command after the undo' "$(cat /tmp/let-go.txt)" 'systemctl enable --now expire.timer'
as_printed
nothing_held 'undone' "$last"
say 'aborted with the cluster kept aside: the undo and the command that are printed let all of it go'

# ---------------------------------------------------------------- to the end

lifeboat run pitr-in-place -p "target=lsn:$TARGET" -p 'probe=SELECT count(*) FROM ledger' >/tmp/attach.txt 2>&1 || true
RUN=$(newest)
at fence
same 'its manager' "$(value managed.manager)" systemd
same 'its unit' "$(value managed.unit)" $UNIT
for job in '/etc/cron.d/pgbackrest line 1' '/var/spool/cron/crontabs/postgres line 1' expire.timer; do
    has 'the jobs' "$(value timers.jobs)" "$job"
done
case $(value timers.jobs) in *unused.timer*) fail 'a timer that never ran is to be armed at the end' ;; esac
approve fence main
attach
held_at 'jobs-held' || fail "an answer that holds no job is believed: $(status)"
as_shown timers.hold
same 'what is left of the cron file' "$(grep -vc '^#' /etc/cron.d/pgbackrest || true)" 0
same 'what is left of the crontab' "$(crontab -u postgres -l | grep -vc '^#' || true)" 0
systemctl is-active --quiet expire.timer && fail 'the timer still runs'
lifeboat resolve "$RUN" jobs-held again >/dev/null
attach
at stop-unit
approve stop-unit stopped
attach
held_at 'held-unit' || fail "an answer without the deed is believed: $(status)"
as_shown managed.stop
as_shown managed.hold
lifeboat resolve "$RUN" held-unit again >/dev/null
attach
at overwrite
nothing_starts_it 'before the restore'
approve overwrite main
attach
at inspect
same 'rows at the pause' "$(value probe.answer)" 'count␊100'
nothing_starts_it 'at the pause'
# somebody who lifts the mask alone starts nothing either
systemctl unmask --quiet --runtime $UNIT
nothing_starts_it 'without the mask'
systemctl mask --quiet --runtime $UNIT
lifeboat decide "$RUN" inspect promote >/dev/null
for gate in promote-gate let-back; do
    attach
    at $gate
    approve $gate main
done
attach
at start-unit
same 'start.conf' "$(cat /etc/postgresql/15/main/start.conf)" "$start_conf"
as_shown managed.let-go
# past the unit: systemd would take it for stopped
systemd-run --quiet --scope setpriv --reuid=postgres --regid=postgres --init-groups pg_ctlcluster 15 main start
approve start-unit started
attach
has 'what is found' "$(cat /tmp/attach.txt)" "does not belong to $UNIT"
pg_ctlcluster 15 main stop
as_shown managed.start
lifeboat resolve "$RUN" back again >/dev/null
attach
same 'the recovery' "$(lifeboat runs --json | jq -r '.runs[0].outcome')" done
same 'rows in production' "$(sql 'SELECT count(*) FROM ledger')" 100
has 'the server' "$(control_group "$(head -n 1 /var/lib/postgresql/15/main/postmaster.pid)")" "/$UNIT"
same 'the unit' "$(systemctl is-active $UNIT)" active
same 'enabled as before' "$(systemctl is-enabled $UNIT)" "$enabled"
has 'the closing list' "$(tr -s ' \n' ' ' </tmp/attach.txt)" 'Timers and cron, as root:'
as_shown timers.re-arm
same 'the jobs, armed again' "$(jobs)" "$armed"
say 'in place through the unit: stopped, held, tried in the middle, handed back; the jobs are as they were'

# ---------------------------------------------------------------- the way back, with a unit of the administrator's own

# A runtime mask does not cover a file in /etc.
sed 's,%i,15-main,g; s,%I,15/main,g' /lib/systemd/system/postgresql@.service >/etc/systemd/system/$UNIT
systemctl daemon-reload
lifeboat run pitr-undo >/tmp/attach.txt 2>&1 || true
RUN=$(newest)
at fence
as_shown timers.hold
approve fence main
attach
at stop-unit
as_shown managed.stop
as_shown managed.hold
approve stop-unit stopped
attach
at undo
nothing_starts_it 'before the kept cluster is back'
approve undo main
attach
at start-unit
as_shown managed.let-go
as_shown managed.start
approve start-unit started
attach
same 'the undo' "$(lifeboat runs --json | jq -r '.runs[0].outcome')" done
same 'rows after the undo' "$(sql 'SELECT count(*) FROM ledger')" 0
has 'the server' "$(control_group "$(head -n 1 /var/lib/postgresql/15/main/postmaster.pid)")" "/$UNIT"
say 'undone through a unit of the administrator'"'"'s own, held by a drop-in'
