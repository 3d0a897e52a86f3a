#!/bin/sh
# Shows on a real systemd, and beside real cluster managers, what no test on the host can: a Debian 12 of its own is made
# with debootstrap, booted with systemd-nspawn without a network, and scripts/systemd-inside.sh and
# scripts/managers-inside.sh are run in it, as root in login sessions.
#
#   scripts/systemd.sh [LIFEBOAT]     the program to try (default: target/debug/lifeboat)
#
# Needs root, debootstrap and systemd-nspawn (packages debootstrap, systemd-container), and a mirror of Debian. All of it
# lies in one temporary directory, which is removed at the end with everything that runs in it; the host's own systemd,
# if there is one, is not asked for anything.
set -eu

say() { printf 'systemd: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
lifeboat=${1:-$here/../target/debug/lifeboat}
mirror=${MIRROR:-http://deb.debian.org/debian}

[ "$(id -u)" -eq 0 ] || fail "only root may boot a container. As root: make prove-systemd"
[ -x "$lifeboat" ] || fail "$lifeboat is not there. First: cargo build"
for program in debootstrap systemd-nspawn nsenter; do
    command -v "$program" >/dev/null 2>&1 ||
        fail "$program is missing. Install it: apt-get install debootstrap systemd-container util-linux"
done

directory=$(mktemp -d "${TMPDIR:-/tmp}/lifeboat-systemd.XXXXXX")
root=$directory/root
container=
leave() {
    if [ -n "$container" ]; then
        # SIGTERM asks its systemd to power off in order; systemd-nspawn ends with it
        kill "$container" 2>/dev/null || true
        for _ in $(seq 100); do
            kill -0 "$container" 2>/dev/null || break
            sleep 0.2
        done
        kill -KILL "$container" 2>/dev/null || true
        wait "$container" 2>/dev/null || true
    fi
    rm -rf "$directory"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

say "a Debian 12 with PostgreSQL 15, pgBackRest and cluster managers, in $directory (two to four minutes)"
managers=patroni,etcd-server,postgresql-15-repmgr,pacemaker,pacemaker-cli-utils,resource-agents
debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,dbus,libpam-systemd,procps,sudo,cron,jq,postgresql-15,pgbackrest,$managers \
    bookworm "$root" "$mirror" >"$directory/debootstrap.log" 2>&1 || {
    tail -n 20 "$directory/debootstrap.log" >&2
    fail "debootstrap failed; its last lines are above"
}
install -m 755 "$lifeboat" "$root/usr/local/bin/lifeboat"
install -m 644 "$here/inside.sh" "$root/usr/local/lib/lifeboat-inside.sh"
for part in systemd managers; do
    install -m 755 "$here/$part-inside.sh" "$root/usr/local/bin/$part-inside"
done
# installed is not at work: each is started where it is looked at
systemctl --quiet --root="$root" disable corosync pacemaker etcd logd patroni >"$directory/disable.log" 2>&1 || {
    cat "$directory/disable.log" >&2
    fail "the cluster managers can't be kept from starting at its boot"
}

say "booting it"
systemd-nspawn --quiet --directory="$root" --machine="lifeboat-$$" --register=no --keep-unit --private-network --boot \
    </dev/null >"$directory/boot.log" 2>&1 &
container=$!
leader=
inside() { nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup -- "$@"; }
for _ in $(seq 900); do
    kill -0 "$container" 2>/dev/null || break
    # the container's first process: systemd-nspawn's child
    leader=$(cat "/proc/$container/task/$container/children" 2>/dev/null | awk '{ print $1 }')
    if [ -n "$leader" ] && inside systemctl is-active --quiet multi-user.target 2>/dev/null; then
        break
    fi
    sleep 0.2
done
[ -n "$leader" ] && inside systemctl is-active --quiet multi-user.target || {
    tail -n 30 "$directory/boot.log" >&2
    fail "it does not boot here; its last lines are above"
}

# Sessions of root's, as a login makes them: what is run from one belongs to session-N.scope.
for part in systemd managers; do
    say "inside: $part"
    inside systemd-run --quiet --wait --pipe --collect --property=PAMName=login --property=User=root \
        --setenv=LC_ALL=C.UTF-8 "/usr/local/bin/$part-inside" || fail "not all of it was seen; what failed is above"
done
say "all of it was seen"
