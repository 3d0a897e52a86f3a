#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

fn run(name: &str) -> RunId {
    RunId::parse(name).unwrap()
}

/// A drill directory of run 7Q2K in a fresh directory.
fn made() -> (tempfile::TempDir, DrillDirectory) {
    let parent = tempfile::tempdir().unwrap();
    let drill = prepare(&run("7Q2K"), &parent.path().join("a/drill")).unwrap();
    (parent, drill)
}

#[test]
fn a_directory_is_made_closed_and_marked() {
    let (_parent, drill) = made();
    for path in [&drill.root, &drill.data(), &drill.tablespaces(), &drill.spool(), &drill.lock(), &drill.socket()] {
        let found = fs::symlink_metadata(path).unwrap();
        assert!(found.is_dir() && found.mode() & 0o777 == 0o700, "{}", path.display());
    }
    assert_eq!(fs::read_to_string(drill.root.join(MARKER)).unwrap(), "7Q2K\n");
    let conf = fs::read_to_string(drill.configuration()).unwrap();
    assert!(conf.contains("listen_addresses = ''\n") && conf.contains("archive_mode = off\n"));
    assert!(!conf.contains("include"));
    let hba = fs::read_to_string(drill.root.join("conf/pg_hba.conf")).unwrap();
    let lines: Vec<&str> = hba.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["local all all trust"]);
    assert_eq!(fs::metadata(drill.configuration()).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn preparing_again_completes_and_keeps_the_data() {
    let (_parent, drill) = made();
    fs::write(drill.data().join("PG_VERSION"), "15\n").unwrap();
    fs::remove_dir(drill.spool()).unwrap();
    prepare(&run("7Q2K"), &drill.root).unwrap();
    assert!(drill.spool().is_dir() && drill.data().join("PG_VERSION").exists());
    let error = prepare(&run("8Q2K"), &drill.root).unwrap_err().to_string();
    assert!(error.contains("belongs to the run 7Q2K"), "{error}");
}

#[test]
fn an_empty_directory_is_taken_and_one_with_content_is_not() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("drill");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(path.join("precious"), "x").unwrap();
    let error = prepare(&run("7Q2K"), &path).unwrap_err().to_string();
    assert!(error.contains("holds precious"), "{error}");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    fs::remove_file(path.join("precious")).unwrap();
    prepare(&run("7Q2K"), &path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn links_in_the_path_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    fs::create_dir(parent.path().join("real")).unwrap();
    symlink("real", parent.path().join("link")).unwrap();
    for path in ["link", "link/drill"] {
        let error = prepare(&run("7Q2K"), &parent.path().join(path)).unwrap_err();
        assert!(matches!(error, DrillDirectoryError::Symlink { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(parent.path().join("real")).unwrap().count(), 0);
    for path in ["drill", "/", "/srv/../tmp/drill"] {
        assert!(matches!(prepare(&run("7Q2K"), Path::new(path)), Err(DrillDirectoryError::Path { .. })), "{path}");
    }
    // a link that stands where a file of ours belongs is replaced, its target left alone
    let drill = prepare(&run("7Q2K"), &parent.path().join("drill")).unwrap();
    let target = parent.path().join("target");
    fs::write(&target, "mine").unwrap();
    fs::remove_file(drill.configuration()).unwrap();
    symlink(&target, drill.configuration()).unwrap();
    prepare(&run("7Q2K"), &drill.root).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
    fs::remove_dir(drill.spool()).unwrap();
    symlink(parent.path(), drill.spool()).unwrap();
    assert!(matches!(prepare(&run("7Q2K"), &drill.root), Err(DrillDirectoryError::Symlink { .. })));
}

#[test]
fn removal_leaves_nothing_and_follows_no_link() {
    let (parent, drill) = made();
    let outside = parent.path().join("outside");
    fs::create_dir_all(outside.join("deep")).unwrap();
    fs::write(outside.join("deep/production"), "rows").unwrap();
    fs::create_dir_all(drill.data().join("pg_tblspc")).unwrap();
    symlink(&outside, drill.data().join("pg_tblspc/16400")).unwrap();
    symlink(outside.join("deep/production"), drill.data().join("file-link")).unwrap();
    symlink("..", drill.data().join("up")).unwrap();
    fs::create_dir_all(drill.tablespaces().join("ts1/PG_15_202209061/5")).unwrap();
    fs::write(drill.tablespaces().join("ts1/PG_15_202209061/5/16386"), vec![1u8; 8192]).unwrap();
    fs::write(drill.data().join("postmaster.pid"), "99999999\n").unwrap();
    let removed = remove_marked(&run("7Q2K"), &drill.root).unwrap();
    assert!(removed.bytes >= 8192 && removed.entries > 15, "{removed:?}");
    assert!(!drill.root.exists() && drill.root.parent().unwrap().exists());
    assert_eq!(fs::read_to_string(outside.join("deep/production")).unwrap(), "rows");
    // a second time there is nothing to do
    assert_eq!(remove_marked(&run("7Q2K"), &drill.root).unwrap(), Removed::default());
}

#[test]
fn without_this_runs_marker_nothing_is_removed() {
    let (parent, drill) = made();
    fs::write(drill.data().join("file"), "x").unwrap();
    let refused = |why: &str| {
        let error = remove_marked(&run("7Q2K"), &drill.root).unwrap_err();
        assert!(matches!(error, DrillDirectoryError::NotOurs { .. }) && error.to_string().contains(why), "{error}");
        assert!(drill.data().join("file").exists());
    };
    fs::write(drill.root.join(MARKER), "8Q2K\n").unwrap();
    refused("names the run 8Q2K, not 7Q2K");
    fs::remove_file(drill.root.join(MARKER)).unwrap();
    refused("has no .lifeboat-run");
    // a marker somewhere else, linked to
    let elsewhere = parent.path().join("marker");
    fs::write(&elsewhere, "7Q2K\n").unwrap();
    symlink(&elsewhere, drill.root.join(MARKER)).unwrap();
    refused("has no .lifeboat-run");
}

#[test]
fn a_link_to_a_marked_directory_is_not_followed() {
    let (parent, drill) = made();
    let link = parent.path().join("link");
    symlink(&drill.root, &link).unwrap();
    assert!(matches!(remove_marked(&run("7Q2K"), &link), Err(DrillDirectoryError::Symlink { .. })));
    assert!(drill.root.join(MARKER).exists());
}

#[test]
fn a_live_server_keeps_its_directory() {
    let (_parent, drill) = made();
    let mut child = std::process::Command::new("sleep").arg("60").current_dir(drill.data()).spawn().unwrap();
    fs::write(drill.data().join("postmaster.pid"), format!("{}\n", child.id())).unwrap();
    let error = remove_marked(&run("7Q2K"), &drill.root).unwrap_err();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(error, DrillDirectoryError::Live { pid, .. } if pid == child.id()), "{error}");
    assert!(drill.configuration().exists());
    remove_marked(&run("7Q2K"), &drill.root).unwrap();
    assert!(!drill.root.exists());
}

#[test]
fn a_mount_point_inside_keeps_the_directory() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: a mount can't be made here");
        return;
    }
    let (parent, drill) = made();
    let outside = parent.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("production"), "rows").unwrap();
    let mount = drill.tablespaces().join("ts1");
    fs::create_dir(&mount).unwrap();
    // a bind mount has the same device number: only the list of mounts tells
    let bound = std::process::Command::new("mount").arg("--bind").args([&outside, &mount]).status().unwrap();
    if !bound.success() {
        eprintln!("mounting is not permitted here");
        return;
    }
    let error = remove_marked(&run("7Q2K"), &drill.root);
    let unmounted = std::process::Command::new("umount").arg(&mount).status().unwrap();
    assert!(unmounted.success());
    assert!(matches!(error, Err(DrillDirectoryError::Mount { mount: found, .. }) if found == mount));
    assert_eq!(fs::read_to_string(outside.join("production")).unwrap(), "rows");
    assert!(drill.root.join(MARKER).exists());
}

#[test]
fn awkward_paths_are_quoted_for_postgresql() {
    assert_eq!(quoted(Path::new("/srv/it's\\x")).unwrap(), "'/srv/it''s\\\\x'");
    assert!(quoted(Path::new("/srv/a\nb")).is_err());
    let drill = DrillDirectory::at("/srv/a, b");
    let [(_, conf), ..] = conf::files(&run("7Q2K"), &drill).unwrap();
    assert!(conf.contains("unix_socket_directories = '\"/srv/a, b/socket\"'\n"), "{conf}");
}
