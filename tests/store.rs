//! The state directory: run folders, locks, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod sample_plan;

use lifeboat::domain::event::{RunEvent, RunId};
use lifeboat::engine::client::{self, ClientError};
use lifeboat::engine::journal::Journal;
use lifeboat::engine::journal::line::{self, Chain, Stamp};
use lifeboat::engine::store::{RunFolder, Store, StoreError, TargetKind};
use lifeboat::planning::machine::Request;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("state")).unwrap();
    (directory, store)
}

fn new_run(store: &Store) -> (RunFolder, Journal) {
    let (folder, journal, _) = store
        .create_run(
            lifeboat::engine::clock::random_run_id().unwrap(),
            sample_plan::plan(),
            sample_plan::anna(),
            sample_plan::host(),
            None,
        )
        .unwrap();
    (folder, journal)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn folders_are_0700_and_files_0600() {
    let (_directory, store) = store();
    let (folder, _journal) = new_run(&store);
    let steps = folder.path.join("steps");
    for path in [store.root(), &store.root().join("runs"), &store.root().join("locks"), &folder.path, &steps] {
        assert_eq!(mode(path), 0o700, "{}", path.display());
    }
    for path in [folder.journal_path(), folder.lock_path()] {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_new_run_begins_with_its_sealed_plan() {
    let (_directory, store) = store();
    let (folder, journal) = new_run(&store);
    let (run, entries, torn) = folder.load().unwrap();
    assert_eq!((&run.id, run.plan, run.sequence, torn), (&folder.id, sample_plan::plan(), 1, None));
    assert_eq!(entries[0].hash, journal.head());
    assert_eq!(store.folder(&folder.id).unwrap(), folder);
}

#[test]
fn step_folders_count_from_one() {
    let folder = RunFolder { path: PathBuf::from("/state/runs/7Q2K"), id: RunId::parse("7Q2K").unwrap() };
    assert_eq!(folder.step_folder(6, 1), Path::new("/state/runs/7Q2K/steps/07"));
    assert_eq!(folder.step_folder(6, 2), Path::new("/state/runs/7Q2K/steps/07-2"));
    assert_eq!(folder.step_folder(99, 12), Path::new("/state/runs/7Q2K/steps/100-12"));
    let socket = lifeboat::engine::paths::socket_in(Path::new("/run/lifeboat"), &folder.id).unwrap();
    assert_eq!(socket, Path::new("/run/lifeboat").join(folder.request_socket_name()));
}

#[test]
fn runs_come_newest_first_and_damaged_ones_are_not_hidden() {
    let (_directory, store) = store();
    let folders: Vec<RunFolder> = (0..3).map(|_| new_run(&store).0).collect();
    for (index, folder) in folders.iter().enumerate() {
        let when = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 + index as u64);
        std::fs::File::options().write(true).open(folder.lock_path()).unwrap().set_modified(when).unwrap();
    }
    std::fs::write(folders[1].journal_path(), "garbage\n").unwrap();
    std::fs::create_dir(store.root().join("runs/lost+found")).unwrap();
    let listed = store.runs().unwrap();
    assert_eq!(listed, [folders[2].clone(), folders[1].clone(), folders[0].clone()]);
    let error = listed[1].load().map(drop).unwrap_err().to_string();
    assert!(error.contains("damaged at line 1"), "{error}");
    assert!(listed[2].load().is_ok());
}

#[test]
fn an_entry_that_cannot_follow_stops_loading() {
    let (_directory, store) = store();
    let (folder, _journal) = new_run(&store);
    let first = folder.load().unwrap().1.remove(0);
    let stamp = Stamp { at: first.at, monotonic_ns: first.monotonic_ns, boot_id: first.boot_id.clone() };
    let event = RunEvent::StepReady { step: sample_plan::id("start"), attempt: 1, evidence: String::new() };
    let (bytes, _) = line::encode(&Chain::at(&first), stamp, event).unwrap();
    std::fs::File::options().append(true).open(folder.journal_path()).unwrap().write_all(&bytes).unwrap();
    let error = folder.load().map(drop).unwrap_err().to_string();
    assert!(error.contains("entry 2: step 'start' is pending"), "{error}");
}

#[test]
fn one_runner_at_a_time() {
    let (_directory, store) = store();
    let (folder, _) = new_run(&store);
    assert!(!folder.is_runner_alive().unwrap());
    let lock = folder.lock_runner().unwrap().unwrap();
    assert!(folder.is_runner_alive().unwrap());
    assert!(folder.lock_runner().unwrap().is_none());
    drop(lock);
    assert!(!folder.is_runner_alive().unwrap());
    assert!(folder.lock_runner().unwrap().is_some());
}

#[test]
fn what_was_sent_once_is_not_sent_again_where_the_journal_has_an_answer() {
    let (directory, store) = store();
    let (folder, mut journal) = new_run(&store);
    let path = directory.path().join("calls");
    std::fs::write(folder.path.join("socket"), path.to_str().unwrap()).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let lock = folder.lock_runner().unwrap().unwrap();
    let abort = Request::Abort { by: sample_plan::anna(), reason: "enough".to_owned() };
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| client::request(&folder, &abort));
        // The runner takes the call and the socket goes; the next call is refused, and then the answer is in the journal.
        let mut request = String::new();
        BufReader::new(listener.accept().unwrap().0).read_line(&mut request).unwrap();
        assert!(request.contains("enough"), "{request}");
        drop(listener);
        std::thread::sleep(std::time::Duration::from_secs(1));
        let requested = RunEvent::AbortRequested { by: sample_plan::anna(), reason: "enough".to_owned() };
        journal.append(requested).unwrap();
        drop(lock);
        let answered = asked.join().unwrap();
        assert!(matches!(answered, Err(ClientError::NoAnswer(..))), "{answered:?}");
    });
}

#[test]
fn asking_for_a_runner_never_keeps_one_from_starting() {
    let (_directory, store) = store();
    let (folder, _) = new_run(&store);
    let (asking, stop) = (folder.clone(), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    asking.is_runner_alive().unwrap();
                }
            });
        }
        for round in 0..50 {
            assert!(folder.lock_runner().unwrap().is_some(), "round {round}");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_data_directory_has_one_lock_by_whatever_name() {
    let (directory, store) = store();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let alias = directory.path().join("alias");
    symlink(&data, &alias).unwrap();
    let lock = store.lock_target(TargetKind::DataDirectory, &data).unwrap().unwrap();
    assert_eq!(lock.target, data.canonicalize().unwrap());
    for path in [&data, &alias, &data.join("."), &directory.path().join("data/../data")] {
        assert!(store.lock_target(TargetKind::DataDirectory, path).unwrap().is_none(), "{}", path.display());
    }
    assert!(store.lock_target(TargetKind::DrillDirectory, &data).unwrap().is_some(), "drills have their own");
    let below = alias.join("new/pgdata");
    let held = store.lock_target(TargetKind::DrillDirectory, &below).unwrap().unwrap();
    assert_eq!(held.target, data.canonicalize().unwrap().join("new/pgdata"), "it need not exist yet");
    assert!(store.lock_target(TargetKind::DrillDirectory, &data.join("new/pgdata")).unwrap().is_none());
    drop(lock);
    assert!(store.lock_target(TargetKind::DataDirectory, &alias).unwrap().is_some());
}

#[test]
fn a_target_that_names_no_place_is_refused() {
    let (directory, store) = store();
    let dangling = directory.path().join("dangling");
    symlink(directory.path().join("nowhere"), &dangling).unwrap();
    for path in [Path::new("data"), &directory.path().join("missing/../data"), &dangling, &dangling.join("data")] {
        let error = store.lock_target(TargetKind::DataDirectory, path).map(drop).unwrap_err();
        assert!(matches!(error, StoreError::BadTarget { .. }), "{}: {error}", path.display());
    }
}

#[test]
fn too_little_space_is_told_with_its_figures() {
    let (_directory, store) = store();
    let wanted = 900_000_000_000_000_000;
    let made = store.create_run(
        lifeboat::engine::clock::random_run_id().unwrap(),
        sample_plan::plan(),
        sample_plan::anna(),
        sample_plan::host(),
        Some(wanted),
    );
    let error = made.map(drop).unwrap_err().to_string();
    assert!(error.contains("needs 900 PB: 1.0 GB for its journal and outputs and 900 PB for"), "{error}");
    assert!(store.runs().unwrap().is_empty(), "nothing was made");
}

fn refusal(root: &Path) -> String {
    Store::open(root).map(drop).unwrap_err().to_string()
}

#[test]
fn what_is_no_state_directory_of_ours_is_refused_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    assert!(refusal(Path::new("state")).contains("is not an absolute path"));
    std::fs::write(at("file"), "x").unwrap();
    assert!(refusal(&at("file")).contains("is not a directory: move what is there away"));
    assert!(refusal(&at("file/below")).contains("failed: Not a directory"));
    std::fs::create_dir(at("real")).unwrap();
    symlink(at("real"), at("link")).unwrap();
    assert!(refusal(&at("link")).contains("is a symbolic link"));
    std::fs::create_dir(at("open")).unwrap();
    std::fs::set_permissions(at("open"), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refusal(&at("open")).contains("may be written by others (mode 777)"));
    Store::open(&at("state")).unwrap();
    std::fs::remove_dir(at("state/locks")).unwrap();
    symlink(at("real"), at("state/locks")).unwrap();
    assert!(refusal(&at("state")).contains("locks is a symbolic link"));
}

/// Root passes every permission check, so this is shown on directories that even root can't use, and by giving a
/// directory away where we are root.
#[test]
fn a_directory_of_another_owner_or_read_only_is_refused() {
    let text = refusal(Path::new("/proc/self"));
    assert!(text.contains("symbolic link"), "{text}");
    let text = refusal(Path::new("/sys/kernel"));
    let expected = if rustix::process::geteuid().is_root() { "can't be written" } else { "belongs to uid 0" };
    assert!(text.contains(expected), "{text}");
    let (_directory, store) = store();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(store.root(), Some(65_534), None).unwrap();
        let text = refusal(store.root());
        assert!(text.contains("belongs to uid 65534, this process runs as uid 0"), "{text}");
    } else {
        std::fs::set_permissions(store.root(), std::fs::Permissions::from_mode(0o500)).unwrap();
        let text = refusal(store.root());
        assert!(text.contains("can't be written"), "{text}");
    }
}

#[test]
fn looking_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("state");
    assert!(Store::existing(&root).unwrap().is_none());
    assert!(!root.exists());
    std::fs::create_dir(&root).unwrap();
    let store = Store::existing(&root).unwrap().unwrap();
    assert!(store.runs().unwrap().is_empty());
    let error = store.folder(&RunId::parse("7Q2K").unwrap()).unwrap_err().to_string();
    assert!(error.contains("there is no run 7Q2K in"), "{error}");
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
}

#[test]
fn a_lock_file_that_is_a_link_is_not_followed() {
    let (directory, store) = store();
    let (folder, _) = new_run(&store);
    let victim = directory.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    std::fs::remove_file(folder.lock_path()).unwrap();
    symlink(&victim, folder.lock_path()).unwrap();
    assert!(matches!(folder.lock_runner(), Err(StoreError::Link { .. })));
    assert!(folder.is_runner_alive().is_err());
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
}
