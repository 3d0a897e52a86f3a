//! `scripts/needs.sh`: what it says and starts where something is missing.
//!
//! The installer is a stand-in here that notes how it was called; nothing is installed by a test.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A machine of programs: only what is put into it is found.
struct Machine(TempDir);

impl Machine {
    /// Everything the script itself calls, but nothing of what it looks for.
    fn bare() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for tool in ["sh", "env"] {
            symlink(Path::new("/usr/bin").join(tool), machine.0.path().join(tool)).unwrap();
        }
        for present in ["cargo", "cc", "setpriv", "initdb", "mkdir", "rm"] {
            machine.program(present, "");
        }
        machine
    }

    fn program(&self, name: &str, body: &str) -> &Self {
        let path = self.0.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// An installer that notes each call, and whose packages bring a program of their name.
    fn installer(&self) -> &Self {
        let home = self.0.path().display();
        self.program(
            "apt-get",
            &format!("echo \"$DEBIAN_FRONTEND apt-get $*\" >>{home}/calls\nfor last; do :; done\n[ \"$last\" = update ] || : >{home}/$last"),
        )
    }

    fn user(&self, id: u32) -> &Self {
        self.program("id", &format!("echo {id}"))
    }

    /// Exit status and message.
    fn needs(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new("/bin/sh")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/needs.sh"))
            .args(arguments)
            .env_clear()
            .env("PATH", self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.0.path().join("calls")).unwrap_or_default()
    }
}

#[test]
fn where_nothing_is_missing_nothing_is_started() {
    let machine = Machine::bare();
    machine.user(0).installer().program("pgbackrest", "");
    assert_eq!(machine.needs(&[]), (Some(0), String::new()));
    assert_eq!(machine.calls(), "");
}

#[test]
fn a_missing_package_is_installed_after_the_lists_are_fetched() {
    let machine = Machine::bare();
    machine.user(0).installer();
    let (status, message) = machine.needs(&["jq"]);
    assert_eq!(status, Some(0), "{message}");
    assert!(message.contains("installed: pgbackrest jq"), "{message}");
    assert_eq!(
        machine.calls(),
        "noninteractive apt-get update\nnoninteractive apt-get install -y --no-install-recommends pgbackrest jq\n"
    );
}

#[test]
fn without_root_it_goes_through_sudo() {
    let machine = Machine::bare();
    machine.user(1000).installer().program("sudo", "[ \"$1\" = -n ] && shift\nexec \"$@\"").program("true", "");
    let (status, message) = machine.needs(&[]);
    assert_eq!(status, Some(0), "{message}");
    assert!(machine.calls().contains("noninteractive apt-get install"), "{}", machine.calls());
}

#[test]
fn where_nothing_can_be_installed_it_says_what_to_do() {
    let machine = Machine::bare();
    machine.user(0);
    let (status, message) = machine.needs(&[]);
    assert_eq!(status, Some(1));
    assert!(message.contains("no Debian or Ubuntu") && message.contains("pgbackrest"), "{message}");

    let machine = Machine::bare();
    machine.user(1000).installer();
    let (status, message) = machine.needs(&[]);
    assert_eq!(status, Some(1));
    assert!(message.contains("neither root nor sudo"), "{message}");
    assert!(message.contains("apt-get install pgbackrest sudo"), "{message}");

    let machine = Machine::bare();
    machine.user(1000).installer().program("sudo", "exit 1");
    let (status, message) = machine.needs(&[]);
    assert_eq!(status, Some(1));
    assert!(message.contains("sudo wants a password"), "{message}");
    assert_eq!(machine.calls(), "");
}

#[test]
fn a_failing_installer_is_not_taken_for_done() {
    let machine = Machine::bare();
    machine.user(0).program("apt-get", "[ \"$1\" = update ] || exit 100");
    let (status, message) = machine.needs(&[]);
    assert_eq!(status, Some(1));
    assert!(message.contains("could not install: pgbackrest"), "{message}");
}

#[test]
fn without_cargo_it_says_where_rust_comes_from() {
    let machine = Machine::bare();
    machine.user(0).installer().program("pgbackrest", "");
    fs::remove_file(machine.0.path().join("cargo")).unwrap();
    let (status, message) = machine.needs(&[]);
    assert_eq!(status, Some(1));
    assert!(message.contains("rustup.rs"), "{message}");
}

/// `needs.sh` where PostgreSQL is not installed: an empty file system lies over where Debian puts it, in a mount namespace
/// of its own (a user's as well as root's). The installer notes what of its switch for a first cluster it sees.
fn needs_without_postgresql(machine: &Machine, arguments: &[&str]) -> (Option<i32>, String) {
    fs::remove_file(machine.0.path().join("initdb")).unwrap();
    for real in ["mkdir", "rm"] {
        fs::remove_file(machine.0.path().join(real)).unwrap();
        symlink(Path::new("/usr/bin").join(real), machine.0.path().join(real)).unwrap();
    }
    let home = machine.0.path().display();
    machine.program(
        "apt-get",
        &format!(
            "echo \"apt-get $*\" >>{home}/calls\n[ \"$1\" = update ] && exit 0\n\
             /bin/cat /etc/postgresql-common/createcluster.d/lifeboat.conf >>{home}/calls\n\
             /bin/mkdir -p /usr/lib/postgresql/15/bin\n/bin/cp {home}/cc /usr/lib/postgresql/15/bin/initdb"
        ),
    );
    let script = "mount -t tmpfs none /usr/lib/postgresql && mount -t tmpfs none /etc/postgresql-common && \
                  PATH=$MACHINE /bin/sh \"$@\"; code=$?; ls -A /etc/postgresql-common/createcluster.d >&2; exit $code";
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/needs.sh"))
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("MACHINE", machine.0.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_first_server_is_installed_without_a_cluster_of_its_own() {
    let machine = Machine::bare();
    machine.user(0).program("pgbackrest", "");
    let (status, message) = needs_without_postgresql(&machine, &[]);
    assert_eq!(status, Some(0), "{message}");
    assert!(message.ends_with("needs: installed: postgresql\n"), "the switch is gone again: {message}");
    assert_eq!(
        machine.calls(),
        "apt-get update\napt-get install -y --no-install-recommends postgresql\ncreate_main_cluster = false\n"
    );
}

#[test]
fn without_postgresql_root_and_sudo_it_says_what_root_has_to_type() {
    let machine = Machine::bare();
    machine.user(1000);
    let (status, message) = needs_without_postgresql(&machine, &["jq"]);
    assert_eq!(status, Some(1), "{message}");
    assert!(message.contains("neither root nor sudo is here"), "{message}");
    assert!(message.contains("As root, run: apt-get install postgresql pgbackrest sudo jq"), "{message}");
    assert_eq!(machine.calls(), "", "nothing was tried");
}
