#!/bin/sh
# Run by scripts/systemd.sh as root in a login session of a Debian 12, after scripts/systemd-inside.sh. Patroni, repmgr and
# Pacemaker are started for real, each on a cluster of its own with backups: recovery in place is refused before anything
# is touched, in words that say what to do; once that was done as it is said, it goes through, and the manager takes over.
set -eu

. /usr/local/lib/lifeboat-inside.sh

# ---------------------------------------------------------------- clusters

# A cluster of Debian's with archiving; TARGET lies between the rows of `ledger` and their deletion.
cluster() {
    STANZA=$1 PORT=$2
    DATA=/var/lib/postgresql/15/$STANZA CONF=/etc/postgresql/15/$STANZA UNIT=postgresql@15-$STANZA.service
    pg_createcluster 15 "$STANZA" --port "$PORT" --start-conf manual >/dev/null
    printf '[%s]\npg1-path=%s\npg1-port=%s\n' "$STANZA" "$DATA" "$PORT" >>/etc/pgbackrest.conf
    cat >"$CONF/conf.d/archive.conf" <<Y
archive_mode = on
archive_command = 'pgbackrest --stanza=$STANZA archive-push "%p"'
archive_timeout = 10s
Y
}
backed_up() {
    su postgres -c "pgbackrest --stanza=$STANZA stanza-create && pgbackrest --stanza=$STANZA backup" >/dev/null
}
ledger() {
    sql 'CREATE TABLE ledger AS SELECT generate_series(1, 100) AS entry'
    TARGET=$(sql 'SELECT pg_current_wal_insert_lsn()')
    sql 'DELETE FROM ledger'
    sql 'SELECT pg_switch_wal()' >/dev/null
}
postmaster() { head -n 1 "$DATA/postmaster.pid"; }

# ---------------------------------------------------------------- refused

# What may not have changed: the server and since when it runs, its configuration, what starts it, what is written.
untouched() {
    sed -n '1p;3p' "$DATA/postmaster.pid"
    find "$CONF" -type f | sort | xargs md5sum
    systemctl is-enabled "$UNIT" 2>&1 || true
    systemctl is-active "$UNIT" 2>&1 || true
    sql 'SELECT count(*) FROM ledger; SELECT pg_is_in_recovery()'
    find "$DATA/.." -maxdepth 1 -name "*$STANZA*"
}
try() { lifeboat "$@" --stanza "$STANZA" -p "target=lsn:$TARGET" 2>&1; }
# Plan and run are refused, with these words; SAID is what was said.
refused() {
    manager=$1
    shift
    before=$(untouched)
    runs=$(lifeboat runs --json | jq '.runs | length')
    for verb in plan run; do
        if SAID=$(try "$verb" pitr-in-place); then fail "$verb is not refused while $manager is at work: $SAID"; fi
        for words in "$manager is at work on this host, and would act on $DATA" 'Nothing was planned or changed' "$@"; do
            has "$verb beside $manager" "$SAID" "$words"
        done
    done
    same 'runs that were begun' "$(lifeboat runs --json | jq '.runs | length')" "$runs"
    # somebody who names what starts it: then the run's own check refuses
    said=$(try run pitr-in-place -p manager=none) && fail "it is not refused with -p manager=none: $said"
    RUN=$(newest)
    same 'the run with -p manager=none' "$(lifeboat runs --json | jq -r '.runs[0].outcome')" failed
    for words in "$manager is at work on this host" 'Nothing was begun' "$@"; do
        has "-p manager=none beside $manager" "$(printf %s "$said" | tr -s ' \n' ' ')" "$words"
    done
    same 'what was touched' "$(untouched)" "$before"
}
# The command in SAID that begins like this, with its end cut at `)`, `;` or `,`.
told() { printf '%s\n' "$SAID" | grep -o "$1[^);,]*" | sed 's/\.$//; q'; }
as_told() {
    command=$(told "$1")
    [ -n "$command" ] || fail "no command '$1' is in: $SAID"
    say "as told: $command"
    su "${2:-root}" -c "$command" >/tmp/told.txt 2>&1 || fail "it failed: $command: $(cat /tmp/told.txt)"
}

# ---------------------------------------------------------------- once it stands down

# The whole recovery, through what is left: Debian's unit.
recovered() {
    try run pitr-in-place >/tmp/attach.txt || true
    RUN=$(newest)
    at fence
    same 'what starts it' "$(value managed.manager)" systemd
    same 'its unit' "$(value managed.unit)" "$UNIT"
    has 'what is said of the manager' "$(lifeboat transcript "$RUN" | tr -s ' \n' ' ')" "$1"
    approve fence "$STANZA"
    attach
    at stop-unit
    as_shown managed.stop
    as_shown managed.hold
    approve stop-unit stopped
    attach
    at overwrite
    approve overwrite "$STANZA"
    attach
    at inspect
    lifeboat decide "$RUN" inspect promote >/dev/null
    for gate in promote-gate let-back; do
        attach
        at $gate
        approve $gate "$STANZA"
    done
    attach
    at start-unit
    as_shown managed.let-go
    as_shown managed.start
    approve start-unit started
    attach
    same 'the recovery' "$(lifeboat runs --json | jq -r '.runs[0].outcome')" done
    same 'rows in production' "$(sql 'SELECT count(*) FROM ledger')" 100
}
archived() {
    sql 'SELECT pg_switch_wal()' >/dev/null
    [ "$(sql "SELECT last_archived_time > now() - interval '20 s' FROM pg_stat_archiver")" = t ]
}

# ---------------------------------------------------------------- Patroni

cluster one 5441
systemctl start "$UNIT"
sql "CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'rep-pass'"
backed_up
systemctl stop "$UNIT"
systemctl start etcd
printf 'etcd3:\n  host: 127.0.0.1:2379\n' >/etc/patroni/dcs.yml
pg_createconfig_patroni --hostip=127.0.0.1 --network=127.0.0.0/8 --port=$PORT 15 one
systemctl enable --quiet --now patroni@15-one
members() { patronictl -c /etc/patroni/15-one.yml list 2>&1; }
leads() { members | grep -q 'Leader.*running'; }
until_true 'Patroni leads' leads
ledger
has 'the server' "$(control_group "$(postmaster)")" /patroni@15-one.service
on_patroni='process [0-9]* is patroni (patroni@15-one.service)'
refused patroni '(patroni@15-one.service)' '/etc/patroni/15-one.yml names it' \
    'patronictl -c /etc/patroni/15-one.yml pause --wait' 'systemctl stop patroni@15-one.service && systemctl disable patroni@15-one.service'
printf %s "$SAID" | grep -q "$on_patroni" || fail "'$on_patroni' is not in: $SAID"
as_told patronictl postgres
has 'Patroni' "$(members)" 'Maintenance mode: on'
refused patroni 'systemctl stop patroni@15-one.service && systemctl disable patroni@15-one.service'
# it is none of the other cluster's business
lifeboat plan pitr-in-place --stanza main -p target=latest >/dev/null || fail "a plan for another cluster is refused beside Patroni"
patroni=$SAID
as_told 'systemctl stop'
has 'the server that Patroni left running' "$(control_group "$(postmaster)")" /patroni@15-one.service
say "Patroni at work and paused: refused, and nothing touched"
recovered "patroni knows $DATA and does not run here"
SAID=$patroni
as_told 'systemctl enable'
until_true 'Patroni is listed' leads
as_told 'patronictl -c /etc/patroni/15-one.yml resume' postgres
until_true 'Patroni leads again' leads
same 'rows under Patroni' "$(sql 'SELECT count(*) FROM ledger')" 100
until_true 'archiving under Patroni' archived
refused patroni 'patronictl'
say 'Patroni stopped as it was told: recovered in place, and Patroni leads again'
# no longer paused, it stops its server with itself
systemctl disable --quiet --now patroni@15-one etcd

# ---------------------------------------------------------------- repmgr

cluster two 5442
printf "shared_preload_libraries = 'repmgr'\nwal_level = replica\n" >"$CONF/conf.d/repmgr.conf"
printf 'local repmgr repmgr trust\nlocal replication repmgr trust\n' | cat - "$CONF/pg_hba.conf" >/tmp/hba
cat /tmp/hba >"$CONF/pg_hba.conf"
systemctl start "$UNIT"
sql 'CREATE ROLE repmgr SUPERUSER LOGIN'
sql 'CREATE DATABASE repmgr OWNER repmgr'
cat >/etc/repmgr.conf <<Y
node_id=1
node_name=two
conninfo='host=/var/run/postgresql port=$PORT user=repmgr dbname=repmgr'
data_directory='$DATA'
failover=automatic
promote_command='repmgr standby promote -f /etc/repmgr.conf'
follow_command='repmgr standby follow -f /etc/repmgr.conf'
Y
su postgres -c 'repmgr -f /etc/repmgr.conf primary register' >/dev/null 2>&1
backed_up
ledger
printf 'REPMGRD_ENABLED=yes\nREPMGRD_CONF=/etc/repmgr.conf\nREPMGRD_USER=postgres\n' >/etc/default/repmgrd
systemctl restart repmgrd
watches() { su postgres -c 'repmgr -f /etc/repmgr.conf service status --csv' 2>/dev/null | grep -q '^1,two,primary,1,1,'; }
until_true 'repmgrd watches' watches
refused repmgr 'is repmgrd (repmgrd.service)' '/etc/repmgr.conf names it' \
    'repmgr -f /etc/repmgr.conf service pause' 'systemctl stop repmgrd.service && systemctl disable repmgrd.service'
as_told 'repmgr -f' postgres
refused repmgr 'systemctl stop repmgrd.service && systemctl disable repmgrd.service'
repmgr=$SAID
as_told 'systemctl stop'
# the init script of Debian 12 ends a process that is not its own, and says that it has
pgrep -x repmgrd >/dev/null || fail 'the init script stops repmgrd by now: leave the kill out of what is told'
refused repmgr 'kill'
as_told kill
gone_repmgrd() { ! pgrep -x repmgrd >/dev/null; }
until_true 'repmgrd is gone' gone_repmgrd
say 'repmgrd at work and paused: refused, and nothing touched'
recovered "repmgr knows $DATA and does not run here"
SAID=$repmgr
as_told 'systemctl enable'
until_true 'repmgrd watches again' watches
as_told 'repmgr -f /etc/repmgr.conf service unpause' postgres
refused repmgr '/etc/repmgr.conf names it'
say 'repmgrd stopped as it was told: recovered in place, and repmgrd watches again'
systemctl stop repmgrd
systemctl stop "$UNIT"

# ---------------------------------------------------------------- Pacemaker

cluster three 5443
systemctl start "$UNIT"
backed_up
systemctl stop "$UNIT"
systemctl enable --quiet --now corosync pacemaker
online() { crm_mon -1 2>/dev/null | grep -q 'Online:'; }
has_it() { crm_mon -1 2>/dev/null | grep -q 'production.*Started'; }
until_true 'Pacemaker is up' online
crm_attribute --name stonith-enabled --update false
crm_attribute --name no-quorum-policy --update ignore
crm_attribute --name dc-deadtime --update 2s
nvpair() { printf '<nvpair id="%s" name="%s" value="%s"/>' "$1" "$1" "$2"; }
cibadmin --create --scope resources --xml-text "<primitive id='production' class='ocf' provider='heartbeat' type='pgsql'>
<instance_attributes id='production-attributes'>
$(nvpair pgctl /usr/lib/postgresql/15/bin/pg_ctl)$(nvpair psql /usr/bin/psql)$(nvpair pgdata "$DATA")
$(nvpair config "$CONF/postgresql.conf")$(nvpair pgport $PORT)$(nvpair socketdir /var/run/postgresql)
</instance_attributes><operations><op id='production-monitor' name='monitor' interval='5s'/></operations></primitive>"
until_true 'Pacemaker has started it' has_it
ledger
has 'the server' "$(control_group "$(postmaster)")" /pacemaker.service
refused pacemaker "the server's process belongs to pacemaker.service" 'is pacemakerd (pacemaker.service)' \
    'crm_attribute --name maintenance-mode --update true' 'systemctl stop pacemaker.service && systemctl disable pacemaker.service'
as_told 'crm_attribute --name maintenance-mode'
refused pacemaker 'systemctl stop pacemaker.service && systemctl disable pacemaker.service'
pacemaker=$SAID
# its resources are not this user's to read: what is not known to be none of its own is taken for its own
if SAID=$(lifeboat plan pitr-in-place --stanza main -p target=latest 2>&1); then fail "a plan is not refused beside Pacemaker: $SAID"; fi
has 'a plan for another cluster beside Pacemaker' "$SAID" 'which resources it has, this user may not read'
SAID=$pacemaker
as_told 'systemctl stop'
has 'the server that Pacemaker left running' "$(control_group "$(postmaster)")" /pacemaker.service
say 'Pacemaker at work and in maintenance mode: refused, and nothing touched'
recovered "pacemaker knows $DATA and does not run here"
SAID=$pacemaker
as_told 'systemctl enable'
until_true 'Pacemaker is up again' online
as_told 'crm_attribute --name maintenance-mode --delete'
until_true 'Pacemaker has it again' has_it
same 'rows under Pacemaker' "$(sql 'SELECT count(*) FROM ledger')" 100
refused pacemaker 'crm_attribute'
say 'Pacemaker stopped as it was told: recovered in place, and Pacemaker has it again'
systemctl disable --quiet --now pacemaker corosync
