//! The same drill for everybody who may start it: root, the owner of the data, and who becomes that one by `sudo`.
//!
//! Needs root to become all of them. Without it the only one there is drills, as the owner.

use crate::lab::{self, Lab};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output};

const DRILL: [&str; 6] = ["run", "restore-drill", "--approve", "start=main", "--approve", "remove-gate=main"];

#[test]
fn the_same_drill_for_root_for_the_owner_and_through_sudo() {
    let lab = lab::running();
    lab::assert_done(&lab.run_lifeboat(&DRILL), "the drill of the owner");
    assert_all_is_the_owners(&lab);
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = tempfile::Builder::new().prefix("lifeboat-who-").tempdir_in("/tmp").unwrap();
    let program = place.path().join("lifeboat");
    fs::copy(env!("CARGO_BIN_EXE_lifeboat"), &program).unwrap();

    // Root's own folder: nobody else may even look into it.
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let output = clean(Command::new(&program).arg("--settings").arg(lab.layout.settings()).args(DRILL));
    lab::assert_done(&output, "the drill of root");
    assert_all_is_the_owners(&lab);

    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let output = clean(&mut through_sudo(&lab, place.path(), &program));
    lab::assert_done(&output, "the drill through sudo");
    assert_all_is_the_owners(&lab);
    assert_eq!(names(&lab), ["nobody", "postgres", "root"]);
}

/// Starts the drill as `nobody`, whom a rule lets become `postgres`. The rule stands in a mount namespace of its own:
/// the host's stay as they are.
fn through_sudo(lab: &Lab, place: &Path, program: &Path) -> Command {
    let rules = place.join("sudoers.d");
    fs::create_dir(&rules).unwrap();
    let rule = rules.join("lifeboat-test");
    fs::write(&rule, "nobody ALL=(postgres) NOPASSWD: ALL\n").unwrap();
    fs::set_permissions(&rule, fs::Permissions::from_mode(0o440)).unwrap();
    // nobody reads the settings before it becomes somebody else.
    let settings = place.join("lifeboat.toml");
    fs::copy(lab.layout.settings(), &settings).unwrap();
    fs::set_permissions(&settings, fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--", "sh", "-c"]);
    command.args(["mount --bind \"$0\" /etc/sudoers.d && exec \"$@\"", rules.to_str().unwrap()]);
    command.args(["setpriv", "--reuid=nobody", "--regid=nogroup", "--init-groups", "--"]);
    command.arg(program).arg("--settings").arg(settings).args(DRILL);
    command
}

fn clean(command: &mut Command) -> Output {
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/").output().unwrap()
}

/// State, outputs and sockets have one owner, whoever started the run.
fn assert_all_is_the_owners(lab: &Lab) {
    let owner = fs::metadata(lab.layout.production()).unwrap().uid();
    let mut folders = vec![lab.layout.directory.join("state")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let (path, found) = entry.map(|entry| (entry.path(), entry.metadata().unwrap())).unwrap();
            assert_eq!(found.uid(), owner, "{}", path.display());
            if found.is_dir() {
                folders.push(path);
            } else {
                files += 1;
            }
        }
    }
    assert!(files > 10);
}

/// Who asked for the runs, by their journals.
fn names(lab: &Lab) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(lab.layout.directory.join("state/runs"))
        .unwrap()
        .map(|entry| {
            let journal = fs::read_to_string(entry.unwrap().path().join("journal.jsonl")).unwrap();
            let first: serde_json::Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
            first["event"]["by"]["name"].as_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    names
}
