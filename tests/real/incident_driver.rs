//! What the tests share that recover the practice cluster in place: the accident, and a run led from gate to gate.

use crate::lab::{self, Lab};
use crate::told::{self, Drill, Told};
use lifeboat::domain::plan::StepId;
use lifeboat::engine::store::RunFolder;
use std::fs;
use std::path::{Path, PathBuf};

/// The rows that have to be back.
pub(crate) const ROWS: &str = "100";

/// What asks for them at the pause.
pub(crate) const PROBE: &str = "probe=SELECT count(*) FROM ledger";

/// The two gates before the pause, answered beforehand.
const TO_THE_PAUSE: [&str; 4] = ["--approve", "fence=main", "--approve", "overwrite=main"];

/// A practice cluster whose ledger was emptied by mistake; its server runs.
pub(crate) struct Incident {
    pub(crate) lab: Lab,
    /// The end of the last commit that is to be kept.
    pub(crate) target: String,
}

impl Incident {
    /// With something done before the rows are written.
    pub(crate) fn after(first: impl FnOnce(&Lab)) -> Incident {
        let lab = lab::running();
        first(&lab);
        lab.sql("CREATE TABLE ledger AS SELECT generate_series(1, 50) AS entry");
        lab.wait_archived();
        lab.sql("INSERT INTO ledger SELECT generate_series(51, 100)");
        let target = lab.sql("SELECT pg_current_wal_insert_lsn()");
        lab.sql("DELETE FROM ledger");
        lab.wait_archived();
        Incident { lab, target }
    }

    pub(crate) fn new() -> Incident {
        Incident::after(|_| {})
    }

    /// Begins a recovery to right before the accident and follows it to its pause, or as far as it goes.
    #[track_caller]
    pub(crate) fn recover(&self, more: &[&str]) -> Drill {
        self.recover_with(&self.lab.layout.settings(), &[&TO_THE_PAUSE[..], more].concat())
    }

    /// The same with other settings, and no gate answered beforehand.
    #[track_caller]
    pub(crate) fn recover_with(&self, settings: &Path, more: &[&str]) -> Drill {
        let before = told::runs(&self.lab);
        let told = self.ask(settings, more);
        let new: Vec<_> = told::runs(&self.lab).into_iter().filter(|folder| !before.contains(folder)).collect();
        assert_eq!(new.len(), 1, "no run was begun: {told:?}");
        Drill::of(told, new[0].clone())
    }

    /// Asks for a recovery, which may be refused before there is a run.
    pub(crate) fn ask(&self, settings: &Path, more: &[&str]) -> Told {
        let target = format!("target={}", self.target);
        let own = if more.iter().any(|option| option.starts_with("target=")) { vec![] } else { vec!["-p", &target] };
        told::lifeboat_with(settings, &[&["run", "pitr-in-place", "--json"], &own[..], more].concat())
    }

    /// Asks production in the database `postgres`.
    pub(crate) fn sql_in_postgres(&self, text: &str) -> String {
        let lab = &self.lab;
        let output = lab::as_owner(lab.marker.bin_directory.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-c", text])
            .args(["-h", lab.layout.sockets().to_str().unwrap(), "-p", &lab.marker.port.to_string()])
            .output()
            .unwrap();
        lab::assert_done(&output, text);
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// One answer, which has to be taken.
    #[track_caller]
    pub(crate) fn answer(&self, words: &[&str]) {
        let answered = told::lifeboat(&self.lab, words);
        assert_eq!(answered.exit, 0, "{words:?}: {answered:?}");
    }

    /// Follows it to the next gate, decision or held step, or to its end.
    #[track_caller]
    pub(crate) fn follow(&self, drill: &mut Drill) {
        drill.told = told::lifeboat(&self.lab, &["attach", drill.run.id.as_str()]);
        drill.reload();
    }

    /// Answers every gate on the way and follows it to a decision, a held step, or its end.
    #[track_caller]
    pub(crate) fn go_on(&self, drill: &mut Drill) {
        self.follow(drill);
        while let Some((gate, _)) = drill.run.open_gate() {
            let gate = gate.id.to_string();
            self.answer(&["approve", drill.run.id.as_str(), &gate, "main"]);
            self.follow(drill);
        }
    }

    /// A held step again, up to the gate that follows it.
    #[track_caller]
    pub(crate) fn resolve_to_gate(&self, drill: &mut Drill, step: &str) {
        self.answer(&["resolve", drill.run.id.as_str(), step, "again"]);
        self.follow(drill);
    }

    /// The shipped runbook with waits that a test can afford.
    pub(crate) fn shorten(&self) {
        let folder = self.lab.layout.directory.join("runbooks");
        told::make_directory(&folder);
        let mut text = include_str!("../../runbooks/pitr-in-place.toml").to_owned();
        for (long, short) in [("limit = \"5m\"", "limit = \"4s\""), ("--archive-timeout=120", "--archive-timeout=5")] {
            assert!(text.contains(long), "{long}");
            text = text.replace(long, short);
        }
        fs::write(folder.join("pitr-in-place.toml"), text).unwrap();
    }

    /// Has a held step done again, and goes on.
    #[track_caller]
    pub(crate) fn again(&self, drill: &mut Drill, step: &str) {
        self.resolve(drill, step, "again");
    }

    #[track_caller]
    pub(crate) fn resolve(&self, drill: &mut Drill, step: &str, answer: &str) {
        self.answer(&["resolve", drill.run.id.as_str(), step, answer]);
        self.go_on(drill);
    }

    /// Chooses a way on, and goes on.
    #[track_caller]
    pub(crate) fn decide(&self, drill: &mut Drill, choice: &[&str]) {
        self.answer(&[&["decide", drill.run.id.as_str(), "inspect"], choice].concat());
        self.go_on(drill);
    }

    /// The old cluster comes back as it was when it was stopped: after the accident, with nothing lost.
    #[track_caller]
    pub(crate) fn give_up(&self, drill: &mut Drill) {
        self.decide(drill, &["give-up"]);
        self.gave_up(drill);
    }

    /// What was asked for is not what came: it says aborted.
    #[track_caller]
    pub(crate) fn gave_up(&self, drill: &Drill) {
        assert_eq!((drill.run.outcome_word(), drill.told.exit), ("aborted", 4), "{:?}", drill.told);
        assert_eq!(self.lab.sql("SELECT count(*) FROM ledger"), "0", "as it was after the accident");
    }

    /// Promotes what is at the pause and gives it back to its users.
    #[track_caller]
    pub(crate) fn promote(&self, drill: &mut Drill) {
        self.decide(drill, &["promote"]);
        drill.done();
        assert_eq!(self.lab.sql("SELECT count(*) FROM ledger"), ROWS);
    }
}

/// It is at its pause, with every row that has to be there.
#[track_caller]
pub(crate) fn paused(drill: &Drill) {
    let waits = drill.run.open_decision().map(|(step, _)| step.id.to_string());
    let held: Vec<_> =
        drill.run.held().map(|(step, _)| (step.id.to_string(), said_of(drill, step.id.as_str()))).collect();
    assert_eq!(waits.as_deref(), Some("inspect"), "{held:?} {:?} {:?}", drill.first_failure(), drill.told);
    assert_eq!(drill.told.exit, 3, "{:?}", drill.told);
    if let Some(answer) = drill.run.values.get("probe.answer") {
        assert_eq!(answer, &format!("count␊{ROWS}"));
    }
}

/// It is held at this step with a reason that holds these words, and says in words for a person that it waits.
#[track_caller]
pub(crate) fn held(drill: &Drill, step: &str, words: &[&str]) {
    let first = drill.run.held().next().map(|(step, _)| step.id.to_string());
    assert_eq!(first.as_deref(), Some(step), "{:?} {:?}", drill.first_failure(), drill.told);
    let reason = said_of(drill, step);
    for word in words {
        assert!(reason.contains(word), "'{word}' is not in: {reason}");
    }
    assert_eq!((drill.run.outcome_word(), drill.told.exit), ("waiting", 3), "{:?}", drill.told);
}

/// What is known of a step: its reason, its findings with what to do, and what its program wrote.
#[track_caller]
pub(crate) fn said_of(drill: &Drill, step: &str) -> String {
    let result = drill.state(step).result.as_ref();
    let mut said = result.and_then(|result| result.reason.clone()).unwrap_or_default();
    for finding in result.iter().flat_map(|result| &result.findings).filter(|finding| !finding.holds) {
        said.push_str(&format!("\n{} | {}", finding.what, finding.remedy));
    }
    let position = drill.run.plan.position(&StepId::new(step).unwrap()).unwrap();
    let folder = RunFolder { id: drill.run.id.clone(), path: drill.folder.clone() };
    let output = folder.step_folder(position, drill.state(step).attempt).join("output");
    said.push_str(&fs::read_to_string(output).map(|text| format!("\n{text}")).unwrap_or_default());
    said
}

/// The archived files of a repository whose names begin like this.
#[track_caller]
pub(crate) fn archived(lab: &Lab, repository: u32, begin: &str) -> Vec<PathBuf> {
    let folder = if repository == 1 { lab.layout.first_repository() } else { lab.layout.second_repository() };
    let archive = folder.join("archive/main");
    let named = |name: &String| !name.ends_with('/') && name.rsplit('/').next().unwrap().starts_with(begin);
    let found: Vec<_> = told::tree(&archive).into_iter().filter(named).map(|name| archive.join(name)).collect();
    assert!(!found.is_empty(), "{begin} is not in {}", archive.display());
    found
}
