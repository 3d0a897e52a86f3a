//! Following a run on a terminal or into a log: events as lines, gates asked or left waiting.

use super::gate::{self, Typed};
use super::{Context, Exit, terminal};
use crate::domain::event::{RunOutcome, Via};
use crate::domain::plan::StepId;
use crate::domain::run::Run;
use crate::engine::client::{self, ClientError, Following};
use crate::engine::progress::ProgressReader;
use crate::engine::store::RunFolder;
use crate::planning::machine::Request;
use crate::report;
use anyhow::Context as _;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// A dead runner is started again this often by one process.
const RESTARTS: u32 = 3;
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How a run is followed.
#[derive(Debug, Default)]
pub struct Manner {
    /// Answers given beforehand, by gate.
    pub answers: BTreeMap<StepId, String>,
    /// Nothing is printed but the result (`--json`).
    pub quiet: bool,
    /// Gates are left waiting even on a terminal.
    pub never_ask: bool,
}

/// Reads `STEP=ANSWER` pairs.
///
/// # Errors
/// When one is not such a pair, names no gate of the plan, or is given twice.
pub fn answers(pairs: &[String], run: Option<&Run>) -> anyhow::Result<BTreeMap<StepId, String>> {
    let mut answers = BTreeMap::new();
    for pair in pairs {
        let (step, answer) =
            pair.split_once('=').with_context(|| format!("--approve {pair}: write it as STEP=ANSWER"))?;
        let step = StepId::new(step).with_context(|| format!("--approve {pair}"))?;
        if let Some(run) = run {
            anyhow::ensure!(
                run.step(&step).is_some_and(|(step, _)| step.kind.word() == "gate"),
                "--approve {pair}: the plan has no gate '{step}'"
            );
        }
        anyhow::ensure!(answers.insert(step, answer.to_owned()).is_none(), "--approve {pair}: given twice");
    }
    Ok(answers)
}

struct Follow<'a> {
    context: &'a Context,
    folder: &'a RunFolder,
    manner: &'a Manner,
    tried: BTreeSet<u64>,
    progress: Option<ProgressReader>,
    on_line: bool,
}

/// Follows a run until it ends, waits for a person who is not there, or is unknown.
///
/// # Errors
/// When the journal can't be read, or no runner can be kept alive.
pub fn follow(context: &Context, folder: &RunFolder, manner: &Manner) -> anyhow::Result<(Run, Exit)> {
    let (mut following, entries) = Following::start(folder)?;
    let mut follow = Follow { context, folder, manner, tried: BTreeSet::new(), progress: None, on_line: false };
    for entry in &entries {
        follow.say(report::lines::of(&following.run.plan, entry))?;
    }
    let mut restarts = 0;
    loop {
        let run = &following.run;
        if let Some((outcome, _)) = run.ended {
            follow.say(report::lines::proven(&following.run, &context.program()))?;
            let exit = match outcome {
                RunOutcome::Done => Exit::Done,
                RunOutcome::Failed => Exit::Failed,
                RunOutcome::Aborted => Exit::Aborted,
            };
            return Ok((following.run, exit));
        }
        if run.unknown().next().is_some() && !run.aborting {
            follow.say(report::lines::unknown(run))?;
            return Ok((following.run, Exit::Unknown));
        }
        if !folder.is_runner_alive()? {
            anyhow::ensure!(
                restarts < RESTARTS,
                "the run's runner ended {RESTARTS} times; its log is beside the journal"
            );
            restarts += 1;
            client::ensure_runner(folder, &context.socket(&folder.id)?)?;
        }
        if run.open_gate().is_some_and(|(_, gate)| !follow.tried.contains(&gate.sequence)) {
            follow.clear_progress()?;
            if let Some(exit) = follow.gate(&mut following)? {
                return Ok((following.run, exit));
            }
            continue;
        }
        let limit = if follow.shows_progress() { LOOK_EVERY } else { LOOK_EVERY * 2 };
        let entries = following.wait(Some(limit))?;
        for entry in &entries {
            follow.say(report::lines::of(&following.run.plan, entry))?;
        }
        follow.draw_progress(&following.run)?;
    }
}

impl Follow<'_> {
    /// Answers an open gate, or says why the run waits: then with the exit status.
    fn gate(&mut self, following: &mut Following) -> anyhow::Result<Option<Exit>> {
        let run = &following.run;
        let Some((step, gate)) = run.open_gate() else { return Ok(None) };
        let (step, gate) = (step.clone(), gate.clone());
        self.tried.insert(gate.sequence);
        self.say(report::gate::lines(run, &step, &gate))?;
        if let Some(answer) = self.manner.answers.get(&step.id) {
            match self.approve(&step.id, gate.sequence, gate.seal, answer, Via::CommandLine) {
                Ok(()) => return Ok(None),
                Err(ClientError::Refused(why)) => self.say(vec![format!("   not approved: {why}")])?,
                Err(error) => return Err(error.into()),
            }
        }
        let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
        if !interactive || self.manner.never_ask || self.manner.quiet {
            self.say(report::lines::waiting(run, &step))?;
            return Ok(Some(Exit::Waiting));
        }
        let crate::domain::plan::StepKind::Gate { answer: wanted, .. } = &step.kind else { return Ok(None) };
        self.say(vec![format!("   Type {wanted} to go on. Esc leaves it waiting.")])?;
        loop {
            let typed = gate::ask("   > ", || {
                following.wait(Some(Duration::ZERO))?;
                Ok(following.run.ended.is_none()
                    && following.run.open_gate().is_some_and(|(_, open)| open.sequence == gate.sequence))
            })?;
            match typed {
                Typed::Left => {
                    self.say(report::lines::waiting(&following.run, &step))?;
                    return Ok(Some(Exit::Waiting));
                }
                Typed::Gone => {
                    self.say(vec!["   the gate does not wait any more".to_owned()])?;
                    return Ok(None);
                }
                Typed::Answer(answer) => {
                    match self.approve(&step.id, gate.sequence, gate.seal, &answer, Via::Terminal) {
                        Ok(()) => return Ok(None),
                        Err(ClientError::Refused(why)) => self.say(vec![format!("   not approved: {why}")])?,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
    }

    fn approve(
        &self,
        step: &StepId,
        sequence: u64,
        seal: crate::domain::digest::Digest,
        answer: &str,
        via: Via,
    ) -> Result<(), ClientError> {
        let by = self.context.operator();
        let request = Request::Approve { step: step.clone(), sequence, seal, answer: answer.to_owned(), by, via };
        client::request(self.folder, &request).map(|_| ())
    }

    fn say(&mut self, lines: Vec<String>) -> anyhow::Result<()> {
        if self.manner.quiet || lines.is_empty() {
            return Ok(());
        }
        self.clear_progress()?;
        let mut out = io::stdout().lock();
        for line in lines {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn shows_progress(&self) -> bool {
        !self.manner.quiet && io::stdout().is_terminal()
    }

    fn draw_progress(&mut self, run: &Run) -> anyhow::Result<()> {
        if !self.shows_progress() {
            return Ok(());
        }
        let reader = ProgressReader::continued(self.progress.take(), run, self.folder);
        self.progress = reader;
        let progress = self.progress.as_mut().and_then(|reader| reader.progress(run));
        let Some(progress) = progress else { return self.clear_progress() };
        let line = report::status::line(&progress);
        let line = report::text::fitting(&line, terminal::columns().saturating_sub(1));
        let mut out = io::stdout().lock();
        write!(out, "\r\x1b[K{line}")?;
        out.flush()?;
        self.on_line = true;
        Ok(())
    }

    fn clear_progress(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.on_line) {
            let mut out = io::stdout().lock();
            write!(out, "\r\x1b[K")?;
            out.flush()?;
        }
        Ok(())
    }
}
