//! A recovery led through by somebody who answers every gate: what is asked is looked up in the journal, as a person would
//! read it on the screen.

use crate::lab::{self, Lab};
use crate::told::{self, Told};
use lifeboat::domain::plan::StepKind;
use lifeboat::domain::run::Run;
use std::path::PathBuf;

/// A run, and how it was led so far.
pub(crate) struct Driven<'l> {
    lab: &'l Lab,
    pub(crate) folder: PathBuf,
    pub(crate) run: Run,
    pub(crate) told: Told,
}

impl<'l> Driven<'l> {
    /// Begins a run with these arguments.
    #[track_caller]
    pub(crate) fn begin(lab: &'l Lab, arguments: &[&str]) -> Driven<'l> {
        let before = told::runs(lab);
        let told = told::lifeboat(lab, &[&["run"], arguments].concat());
        let folder = told::runs(lab).into_iter().find(|folder| !before.contains(folder));
        let folder = folder.unwrap_or_else(|| panic!("no run was begun: {told:?}"));
        let run = told::fold(&folder).0;
        Driven { lab, folder, run, told }
    }

    pub(crate) fn id(&self) -> String {
        self.run.id.to_string()
    }

    /// Follows it as far as it goes.
    pub(crate) fn attach(&mut self) {
        self.told = told::lifeboat(self.lab, &["attach", &self.id()]);
        self.run = told::fold(&self.folder).0;
    }

    /// Answers gates until the run ends, is at a decision, or is held.
    #[track_caller]
    pub(crate) fn through_gates(&mut self) {
        self.run = told::fold(&self.folder).0;
        while self.run.ended.is_none() && self.run.held().next().is_none() {
            let Some((gate, answer)) = self.run.open_gate().and_then(|(step, _)| match &step.kind {
                StepKind::Gate { answer, .. } => Some((step.id.to_string(), answer.clone())),
                _ => None,
            }) else {
                if self.run.open_decision().is_some() {
                    return;
                }
                self.attach();
                continue;
            };
            let id = self.id();
            lab::assert_done(&self.lab.run_lifeboat(&["approve", &id, &gate, &answer]), &gate);
            self.attach();
        }
    }

    /// The decision waits: chooses, and goes on to where a person is asked next.
    #[track_caller]
    pub(crate) fn decide(&mut self, choice: &[&str]) {
        let open = self.run.open_decision().map(|(step, _)| step.id.to_string());
        let step = open.unwrap_or_else(|| panic!("no decision waits: {}", self.why()));
        let id = self.id();
        lab::assert_done(&self.lab.run_lifeboat(&[&["decide", &id, &step], choice].concat()), "decide");
        self.attach();
        self.through_gates();
    }

    /// What it says of itself, for a test that fails.
    pub(crate) fn why(&self) -> String {
        let failed = self.run.each().filter(|(_, state)| matches!(state.status.word(), "failed" | "held"));
        let failed: Vec<String> = failed.map(|(step, state)| format!("{}: {:?}", step.id, state.result)).collect();
        format!("{} {failed:?}\n{}\n{}", self.run.outcome_word(), self.told.said, self.told.errors)
    }

    #[track_caller]
    pub(crate) fn ended(&self, outcome: &str) {
        assert_eq!(self.run.outcome_word(), outcome, "{}", self.why());
    }

    /// The socket of the server that looks, or stays.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory().join("socket")
    }

    pub(crate) fn directory(&self) -> PathBuf {
        PathBuf::from(&self.run.plan.parameters["directory"])
    }
}
