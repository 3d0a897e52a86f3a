#!/bin/sh
# Installs what Lifeboat's practice cluster, tests and benches need, where it is missing: PostgreSQL, pgBackRest,
# setpriv, and whatever is named as an argument (jq for the benches; debootstrap and systemd-nspawn).
#
# Nothing is installed, and no package list is fetched, when all of it is there. An existing PostgreSQL cluster is
# never touched, and none is made: the distribution's `main` is switched off while the server package is installed.
set -eu

say() { printf 'needs: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

# Debian's programs for administrators are not in everybody's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

have_server() {
    for initdb in /usr/lib/postgresql/*/bin/initdb; do
        [ -x "$initdb" ] && return 0
    done
    command -v initdb >/dev/null 2>&1
}

missing=
need() { missing="$missing $1"; }
have_server || need postgresql
command -v pgbackrest >/dev/null 2>&1 || need pgbackrest
command -v setpriv >/dev/null 2>&1 || need util-linux
command -v cc >/dev/null 2>&1 || need "gcc libc6-dev"
if [ "$(id -u)" -ne 0 ]; then
    # PostgreSQL's files belong to `postgres`; without root Lifeboat becomes that user with sudo.
    command -v sudo >/dev/null 2>&1 || need sudo
fi
for extra in "$@"; do
    case $extra in
    systemd-nspawn) package=systemd-container ;;
    *) package=$extra ;;
    esac
    command -v "$extra" >/dev/null 2>&1 || need "$package"
done
command -v cargo >/dev/null 2>&1 ||
    fail "cargo was not found. Install Rust 1.88 or newer (https://rustup.rs), open a new shell, and try again."
[ -n "$missing" ] || exit 0

say "missing:$missing"
command -v apt-get >/dev/null 2>&1 ||
    fail "this is no Debian or Ubuntu (there is no apt-get). Install these with your package manager and try again:$missing"
if [ "$(id -u)" -eq 0 ]; then
    as_root() { env "$@"; }
elif command -v sudo >/dev/null 2>&1; then
    as_root() { sudo env "$@"; }
    # A terminal is asked for a password; without one there is nobody to ask.
    [ -t 0 ] || sudo -n true 2>/dev/null ||
        fail "sudo wants a password and there is no terminal. As root, run: apt-get install$missing"
else
    fail "neither root nor sudo is here. As root, run: apt-get install$missing"
fi

install() {
    as_root DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2 ||
        fail "apt-get could not install: $*. Its reason is above; what would do it by hand: apt-get install $*"
}

as_root DEBIAN_FRONTEND=noninteractive apt-get update >&2 ||
    fail "apt-get update failed; its reason is above. Without package lists nothing can be installed:$missing"

case " $missing " in
*" postgresql "*)
    # A fresh server package makes and starts a cluster `main`; here none is wanted.
    switch=/etc/postgresql-common/createcluster.d/lifeboat.conf
    as_root mkdir -p "${switch%/*}"
    as_root sh -c "echo 'create_main_cluster = false' >$switch"
    trap 'as_root rm -f "$switch"' EXIT
    trap 'exit 1' HUP INT TERM
    ;;
esac
# shellcheck disable=SC2086 # a list of package names
install $missing
have_server || fail "PostgreSQL was installed, but there is no /usr/lib/postgresql/*/bin/initdb"
say "installed:$missing"
