//! What a drill told: its exit status and words, and its journal folded again.

use crate::lab::{self, Lab};
use lifeboat::domain::event::{RunEvent, RunId};
use lifeboat::domain::plan::StepId;
use lifeboat::domain::run::{Run, StepState};
use lifeboat::engine::journal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Both gates of the shipped drill, answered beforehand.
pub(crate) const APPROVED: [&str; 4] = ["--approve", "start=main", "--approve", "remove-gate=main"];

/// A program's end.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) exit: i32,
    /// Standard output.
    pub(crate) said: String,
    /// Standard error.
    pub(crate) errors: String,
}

impl Told {
    pub(crate) fn of(output: &Output) -> Told {
        Told {
            exit: output.status.code().unwrap_or(-1),
            said: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// It ended with this status and its errors hold all of these words.
    #[track_caller]
    pub(crate) fn refused(&self, exit: i32, words: &[&str]) {
        assert_eq!(self.exit, exit, "{self:?}");
        let unwrapped = self.errors.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(unwrapped.contains(word), "'{word}' is not in: {unwrapped}");
        }
    }
}

/// A drill that was begun, by its journal.
#[derive(Debug)]
pub(crate) struct Drill {
    pub(crate) told: Told,
    pub(crate) run: Run,
    /// Its folder below the state directory.
    pub(crate) folder: PathBuf,
    /// The ids of all gates that opened, with how often.
    pub(crate) gates: Vec<String>,
}

impl Drill {
    /// The run in this folder.
    pub(crate) fn of(told: Told, folder: PathBuf) -> Drill {
        let (run, gates) = fold(&folder);
        Drill { told, run, folder, gates }
    }

    /// The one step and its state.
    #[track_caller]
    pub(crate) fn state(&self, step: &str) -> &StepState {
        self.run.step(&StepId::new(step).unwrap()).unwrap_or_else(|| panic!("no step {step}")).1
    }

    /// Why a step failed or was refused.
    #[track_caller]
    pub(crate) fn reason(&self, step: &str) -> String {
        let state = self.state(step);
        let reason = state.result.as_ref().and_then(|result| result.reason.clone());
        reason.unwrap_or_else(|| panic!("{step} is {}: {:?}\n{:?}", state.status.word(), state.remarks, self.told))
    }

    /// The first step that failed, with its reason.
    pub(crate) fn first_failure(&self) -> Option<(String, String)> {
        self.run.each().find(|(_, state)| state.status.word() == "failed").map(|(step, state)| {
            let reason = state.result.as_ref().and_then(|result| result.reason.clone());
            (step.id.to_string(), reason.unwrap_or_else(|| state.remarks.join("; ")))
        })
    }

    /// The run failed, at this step first, with a reason that holds these words; it says so in every form.
    #[track_caller]
    pub(crate) fn failed_at(&self, step: &str, words: &[&str]) {
        let (first, reason) = self.first_failure().unwrap_or_else(|| panic!("nothing failed: {:?}", self.told));
        assert_eq!(first, step, "{reason}");
        for word in words {
            assert!(reason.contains(word), "'{word}' is not in: {reason}");
        }
        assert_eq!((self.run.outcome_word(), self.told.exit), ("failed", 1), "{:?}", self.told);
    }

    /// Ended as it should.
    #[track_caller]
    pub(crate) fn done(&self) {
        let failure = self.first_failure();
        assert_eq!((self.run.outcome_word(), self.told.exit), ("done", 0), "{failure:?} {:?}", self.told);
    }

    /// The drill's directory, as the plan has it.
    pub(crate) fn directory(&self) -> PathBuf {
        PathBuf::from(&self.run.plan.parameters["directory"])
    }

    /// Reads the journal again.
    pub(crate) fn reload(&mut self) {
        let (run, gates) = fold(&self.folder);
        (self.run, self.gates) = (run, gates);
    }
}

pub(crate) fn fold(folder: &Path) -> (Run, Vec<String>) {
    let entries = journal::read(&folder.join("journal.jsonl")).unwrap().entries;
    let gates = entries.iter().filter_map(|entry| match &entry.event {
        RunEvent::GateOpened { step, .. } => Some(step.to_string()),
        _ => None,
    });
    (Run::fold(&entries).unwrap(), gates.collect())
}

/// `lifeboat` with the lab's settings.
pub(crate) fn lifeboat(lab: &Lab, arguments: &[&str]) -> Told {
    Told::of(&lab.run_lifeboat(arguments))
}

/// `lifeboat` with other settings.
pub(crate) fn lifeboat_with(settings: &Path, arguments: &[&str]) -> Told {
    Told::of(&lab::lifeboat().arg("--settings").arg(settings).args(arguments).output().unwrap())
}

/// Runs the shipped drill (or one that overrides it), both gates answered, to its end.
#[track_caller]
pub(crate) fn drill(lab: &Lab, more: &[&str]) -> Drill {
    drill_with(lab, &lab.layout.settings(), &[&APPROVED[..], more].concat())
}

/// Begins a drill with these settings and options and follows it as far as it goes.
#[track_caller]
pub(crate) fn drill_with(lab: &Lab, settings: &Path, options: &[&str]) -> Drill {
    let before = runs(lab);
    let told = lifeboat_with(settings, &[&["run", "restore-drill", "--json"][..], options].concat());
    let new: Vec<PathBuf> = runs(lab).into_iter().filter(|folder| !before.contains(folder)).collect();
    assert_eq!(new.len(), 1, "no run was begun: {told:?}");
    Drill::of(told, new[0].clone())
}

/// All runs' folders. A test begins one drill at a time in a lab.
pub(crate) fn runs(lab: &Lab) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(lab.layout.state().join("runs")) else { return Vec::new() };
    let ours = |path: &PathBuf| RunId::parse(path.file_name().unwrap().to_str().unwrap()).is_ok();
    listing.map(|entry| entry.unwrap().path()).filter(ours).collect()
}

/// Everything below a directory: names with link targets and, for what holds text, digests. Nothing is followed.
pub(crate) fn tree(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(listing) = fs::read_dir(&folder) else { continue };
        for entry in listing.filter_map(Result::ok) {
            let path = entry.path();
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let name = path.strip_prefix(directory).unwrap().display().to_string();
            if metadata.file_type().is_symlink() {
                found.push(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
            } else if metadata.is_dir() {
                found.push(format!("{name}/"));
                folders.push(path);
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// A directory of the owner's.
pub(crate) fn make_directory(path: &Path) {
    lab::assert_done(&lab::as_owner("mkdir").args(["-p", "-m", "700"]).arg(path).output().unwrap(), "mkdir");
}

/// Replaces text in a file of the lab, which keeps its owner.
#[track_caller]
pub(crate) fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "'{from}' is not in {}", file.display());
    fs::write(file, text.replace(from, to)).unwrap();
}

/// A small file system of its own; it goes with the value.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// Mounts `megabytes` of memory at a fresh directory.
    pub(crate) fn memory(at: &Path, megabytes: u32) -> Mounted {
        make_directory(at);
        let owner = fs::metadata(at).map(|found| std::os::unix::fs::MetadataExt::uid(&found)).unwrap();
        let options = format!("size={megabytes}m,mode=0700,uid={owner}");
        let output = privileged("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output().unwrap();
        lab::assert_done(&output, "mount");
        Mounted(at.to_owned())
    }
}

impl Mounted {
    /// Shows one directory at the place of another.
    pub(crate) fn bound(from: &Path, at: &Path) -> Mounted {
        let output = privileged("mount").arg("--bind").arg(from).arg(at).output().unwrap();
        lab::assert_done(&output, "mount --bind");
        Mounted(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: whatever still works there is ended by the lab.
        let _ = privileged("umount").arg("-l").arg(&self.0).output();
    }
}

fn privileged(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}
