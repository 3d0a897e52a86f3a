//! An in-place recovery of a practice cluster as an engineer leads it: gates are answered, ways on are chosen and held
//! steps decided by the program's own commands; what happened is read from the journal, what is there by SQL.

use crate::kills_support::{self as kills, Drill};
use crate::lab::{self, Lab, PATIENCE};
use lifeboat::domain::event::{Resolution, RunEvent, RunId};
use lifeboat::domain::lsn::Lsn;
use lifeboat::domain::status::StepStatus;
use std::fs;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

/// A practice cluster whose server runs and whose newest set holds this copy's own configuration.
pub(crate) fn practice() -> Lab {
    let lab = lab::running();
    // The sets of the fixture hold the paths of the directory in which it was built.
    backup(&lab);
    lab
}

/// A set more in the first repository.
pub(crate) fn backup(lab: &Lab) {
    lab.pgbackrest(&["--repo=1", "--type=incr", "backup"]);
}

/// The restore point behind the position of [`marks`].
pub(crate) const DISCARDED: &str = "behind-the-target";

/// Makes a table with one row that is to be kept and one that is not; gives the position between them. Both are
/// archived.
pub(crate) fn marks(lab: &Lab) -> Lsn {
    lab.sql("CREATE TABLE marks (mark text)");
    lab.sql("INSERT INTO marks VALUES ('before')");
    let target = Lsn::parse(&lab.sql("SELECT pg_current_wal_insert_lsn()")).unwrap();
    lab.sql("INSERT INTO marks VALUES ('after')");
    lab.sql(&format!("SELECT pg_create_restore_point('{DISCARDED}')"));
    lab.wait_archived();
    target
}

/// What a run comes to when nothing but its gates is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// It waits at its decision.
    Decision,
    /// This step failed and is held.
    Held(String),
    /// Nobody saw how this step ended.
    Unknown(String),
    /// Its runner is gone and it has not ended.
    Left,
    /// It has ended, with this word.
    Ended(&'static str),
}

/// A run of `pitr-in-place`.
pub(crate) struct Recovery<'l> {
    pub(crate) lab: &'l Lab,
    pub(crate) drill: Drill,
}

impl Recovery<'_> {
    /// Begins one, up to its first gate.
    pub(crate) fn begin<'l>(lab: &'l Lab, known: &[RunId], arguments: &[&str]) -> Recovery<'l> {
        let output = run(lab, arguments);
        assert_eq!(output.status.code(), Some(3), "{}", kills::text(&output));
        Recovery { lab, drill: Drill::begun(lab, known) }
    }

    /// Begins one with its client still there.
    pub(crate) fn spawn<'l>(lab: &'l Lab, arguments: &[&str]) -> (Recovery<'l>, Child) {
        let client = kills::spawn(lab, "run.txt", &[&["run", "pitr-in-place"], arguments].concat());
        (Recovery { lab, drill: Drill::begun(lab, &[]) }, client)
    }

    pub(crate) fn id(&self) -> &str {
        self.drill.folder.id.as_str()
    }

    /// Answers gates until something else is wanted of a person, or it has ended.
    pub(crate) fn lead(&mut self) -> Way {
        let (mut deadline, mut read) = (Instant::now() + PATIENCE, 0);
        loop {
            self.drill.read_on(Duration::ZERO);
            if let Some(way) = self.asks() {
                return way;
            }
            if let Some((gate, _)) = self.drill.run().open_gate() {
                let gate = gate.id.to_string();
                lab::assert_done(&self.command(&["approve", self.id(), &gate, "main"]), &gate);
            } else {
                self.drill.read_on(Duration::from_millis(200));
            }
            if self.drill.entries.len() > read {
                (deadline, read) = (Instant::now() + PATIENCE, self.drill.entries.len());
            }
            assert!(Instant::now() < deadline, "it hangs: {:?}", self.drill.last(3));
        }
    }

    /// What it waits for, apart from its gates; none while it works.
    pub(crate) fn asks(&self) -> Option<Way> {
        let run = self.drill.run();
        if run.ended.is_some() {
            return Some(Way::Ended(run.outcome_word()));
        }
        if let Some((step, _)) = run.unknown().next() {
            return Some(Way::Unknown(step.id.to_string()));
        }
        if let Some((step, _)) = run.held().next() {
            return Some(Way::Held(step.id.to_string()));
        }
        if run.open_decision().is_some() {
            return Some(Way::Decision);
        }
        (run.runners > 0 && !self.drill.folder.is_runner_alive().unwrap()).then_some(Way::Left)
    }

    /// Leads it to this place, or fails with what it came to instead.
    pub(crate) fn comes_to(&mut self, wanted: &Way) {
        let found = self.lead();
        assert!(found == *wanted, "{found:?}, not {wanted:?}: {}\n{}", self.reasons(), self.transcript(&[]));
    }

    /// Chooses the way on.
    pub(crate) fn decide(&mut self, choice: &[&str]) {
        let output = self.command(&[&["decide", self.id(), "inspect"], choice].concat());
        lab::assert_done(&output, "lifeboat decide");
        self.drill.read_on(Duration::ZERO);
    }

    /// Decides about a step that is held or unknown.
    pub(crate) fn resolve(&mut self, step: &str, answer: &str) {
        lab::assert_done(&self.command(&["resolve", self.id(), step, answer]), "lifeboat resolve");
        self.drill.read_on(Duration::ZERO);
    }

    /// The program, with the practice cluster's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        self.lab.run_lifeboat(arguments)
    }

    /// The reasons of all that failed.
    pub(crate) fn reasons(&self) -> String {
        let each = self.drill.run().each();
        each.filter_map(|(step, state)| {
            let reason = state.result.as_ref().and_then(|result| result.reason.clone())?;
            Some(format!("{}: {reason} {}\n", step.id, state.remarks.join("; ")))
        })
        .collect()
    }

    /// The status of a step.
    pub(crate) fn status(&self, step: &str) -> StepStatus {
        self.drill.run().steps[self.drill.position(step)].status
    }

    /// A captured value.
    pub(crate) fn value(&self, name: &str) -> &str {
        &self.drill.run().values[name]
    }

    /// The transcript as text.
    pub(crate) fn transcript(&self, arguments: &[&str]) -> String {
        kills::text(&self.command(&[&["transcript", self.id()], arguments].concat()))
    }

    /// Its chain of hashes and its outputs are as they were written, and it is told in every form.
    pub(crate) fn assert_transcript(&self) {
        let output = self.command(&["transcript", self.id(), "--verify"]);
        lab::assert_done(&output, "lifeboat transcript --verify");
        for format in ["text", "markdown", "html", "json"] {
            let told = self.transcript(&["--format", format]);
            for told_of in [self.id(), "inspect", "recovery_target_lsn"] {
                assert!(told.contains(told_of), "{format} does not tell of {told_of}: {told}");
            }
        }
    }

    /// No step that can't be taken back was begun twice, but where a person asked for it.
    pub(crate) fn assert_nothing_destroyed_twice(&self) {
        for step in self.drill.run().plan.steps.iter().filter(|step| step.destructive) {
            let asked = self.drill.entries.iter().filter(|entry| match &entry.event {
                RunEvent::StepResolved { step: resolved, answer, .. } => {
                    *resolved == step.id && *answer == Resolution::Again
                }
                RunEvent::DecisionMade { choice, .. } => choice.as_str() == "back" && step.id.as_str() == "restore",
                _ => false,
            });
            let began = self.drill.entries.iter().filter(|entry| match &entry.event {
                RunEvent::StepStarted { step: started, attempt } => {
                    let folder = self.drill.step_folder(started.as_str(), *attempt);
                    *started == step.id && folder.join("started.json").exists()
                }
                _ => false,
            });
            let (began, most) = (began.count(), 1 + asked.count());
            assert!(began <= most, "{} ran {began} times, and {most} were allowed", step.id);
        }
    }

    /// It pauses, still in recovery, at or before the target; replayed is what a restart would replay.
    pub(crate) fn assert_pauses_before(&self, target: Lsn) {
        let at = ask(self.lab, "SELECT pg_last_wal_replay_lsn()");
        let state = ask(self.lab, "SELECT concat(pg_is_in_recovery(), ' ', pg_get_wal_replay_pause_state())");
        assert_eq!(state, "t paused");
        assert!(Lsn::parse(&at).unwrap() <= target, "it is at {at}, behind {target}");
    }
}

/// Runs `lifeboat run pitr-in-place` without a terminal, to its end.
pub(crate) fn run(lab: &Lab, arguments: &[&str]) -> Output {
    lab.run_lifeboat(&[&["run", "pitr-in-place"], arguments].concat())
}

/// The arguments that name an exact position, left out itself.
pub(crate) fn before(target: Lsn) -> String {
    format!("target={target}")
}

/// Asks whatever server runs on production's data directory, wherever it listens.
pub(crate) fn ask(lab: &Lab, text: &str) -> String {
    let output = asked(lab, text);
    lab::assert_done(&output, text);
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The same, with how it ended.
pub(crate) fn asked(lab: &Lab, text: &str) -> Output {
    let pid = fs::read_to_string(lab.layout.production().join("postmaster.pid")).unwrap();
    let lines: Vec<&str> = pid.lines().collect();
    lab::as_owner(lab.marker.bin_directory.join("psql"))
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", lines[4], "-p", lines[3]])
        .args(["-U", "postgres", "-d", "shop", "-c", text])
        .output()
        .unwrap()
}

/// The process id of the server on production's data directory.
pub(crate) fn postmaster(lab: &Lab) -> u32 {
    let pid = fs::read_to_string(lab.layout.production().join("postmaster.pid")).unwrap();
    pid.lines().next().unwrap().parse().unwrap()
}

/// What `pg_controldata` says of production's data directory under this name.
pub(crate) fn control(lab: &Lab, name: &str) -> String {
    let output =
        lab::as_owner(lab.marker.bin_directory.join("pg_controldata")).arg(lab.layout.production()).output().unwrap();
    lab::assert_done(&output, "pg_controldata");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    line[name.len()..].trim().to_owned()
}

/// Production is what it has to be: started by what manages it, alone, with nothing of the recovery in its settings,
/// writing, and archiving into both repositories.
pub(crate) fn assert_handed_back(recovery: &Recovery<'_>, timeline: u32) {
    let lab = recovery.lab;
    // It outlives the run: nothing of that lives any more, and the server does.
    lab::wait_until("the runner has ended", || recovery.drill.runner().is_none());
    let released: Vec<_> =
        recovery.drill.marked().into_iter().filter(|(_, command)| !command.contains("postgres")).collect();
    assert_eq!(released, []);
    let line = fs::read_to_string(lab.layout.production().join("postmaster.opts")).unwrap();
    assert_eq!(line.split_whitespace().count(), 3, "started plainly: {line}");
    assert_eq!(lab.sql("SELECT pg_is_in_recovery()"), "f");
    let now = lab.sql("SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int");
    assert_eq!(now, timeline.to_string());
    let left = "SELECT count(*) FROM pg_settings WHERE (name LIKE 'recovery\\_target%' OR name IN ('restore_command',
        'recovery_end_command', 'primary_conninfo')) AND source NOT IN ('default', 'override')";
    assert_eq!(lab.sql(left), "0");
    let own = fs::read_to_string(lab.layout.production().join("postgresql.auto.conf")).unwrap();
    let told: Vec<&str> = own.lines().filter(|line| !line.starts_with('#') && line.contains("recovery")).collect();
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(lab.sql("SELECT count(*) FROM pg_ls_dir('.') AS name WHERE name LIKE '%.signal'"), "0");
    let segment = lab.sql("SELECT pg_walfile_name(pg_current_wal_lsn())");
    assert!(segment.starts_with(&format!("{timeline:08X}")), "{segment}");
    lab.wait_archived();
    for repository in ["--repo=1", "--repo=2"] {
        let listing = lab.pgbackrest(&[repository, "repo-ls", "archive/main", "--recurse"]);
        assert!(listing.contains(&segment), "{segment} in {repository}: {listing}");
    }
}
