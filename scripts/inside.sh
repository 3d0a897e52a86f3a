# Read by the scripts that scripts/systemd.sh runs inside of its Debian: how they look, answer and complain.
# STANZA is what gates of the cluster want typed, PORT where it listens, RUN the run that is led.
STANZA=main
PORT=5432

say() { printf '  %s\n' "$*"; }
fail() {
    printf '  NOT SEEN: %s\n' "$*" >&2
    exit 1
}
# Both texts are the same, or it is told which was wanted.
same() { [ "$2" = "$3" ] || fail "$1: '$2', wanted '$3'"; }
has() {
    case $2 in
    *"$3"*) ;;
    *) fail "$1: '$3' is not in: $2" ;;
    esac
}
until_true() {
    what=$1
    shift
    for _ in $(seq 3000); do
        "$@" && return 0
        sleep 0.1
    done
    fail "in vain: $what; $(status 2>&1 || true)"
}
sql() { su postgres -c "psql -p $PORT -qAtX -c \"$1\""; }
control_group() { sed -n 's/^0:://p; s/^[0-9]*:name=systemd://p' "/proc/$1/cgroup" | awk '{ print length, $0 }' | sort -rn | sed -n '1s/^[0-9]* //p'; }

newest() { lifeboat runs --json | jq -r '.runs[0].run'; }
status() { lifeboat status "$RUN"; }
waits_at() { status | grep -q "waits at .* '$1'"; }
held_at() { status | grep -q "$1"; }
value() { lifeboat transcript "$RUN" --format json | jq -r --arg name "$1" '.values[$name]'; }
# The commands are done as they are shown.
as_shown() {
    command=$(value "$1")
    say "as shown: $command"
    sh -c "$command" >/dev/null 2>&1 || fail "it failed: $command"
}
approve() { lifeboat approve "$RUN" "$1" "$2" >/dev/null; }
attach() { lifeboat attach "$RUN" >/tmp/attach.txt 2>&1 || true; }
at() { waits_at "$1" || { tail -n 30 /tmp/attach.txt >&2 && fail "it is not at $1: $(status)"; }; }
