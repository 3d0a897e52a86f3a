//! Following a run on a terminal or into a log: events as lines, gates asked or left waiting.

use super::gate::{self, Typed};
use super::seat::{self, Claim, TakeOver};
use super::terminal::{self, Letters};
use super::{Context, Exit};
use crate::domain::event::{Entry, Resolution, RunOutcome, Via};
use crate::domain::plan::{Plan, Step, StepId, StepKind};
use crate::domain::run::{GateState, Run};
use crate::domain::text::clean;
use crate::engine::client::{self, ClientError, Following};
use crate::engine::progress::ProgressReader;
use crate::engine::seat::Seat;
use crate::engine::still_held::still_held;
use crate::engine::store::RunFolder;
use crate::planning::machine::{self, Request};
use crate::report;
use crate::report::lines::Detail;
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
    /// Every start is told, and everything that checks found.
    pub verbose: bool,
    /// Whether to answer although somebody else drives it.
    pub how: TakeOver,
}

/// Reads `STEP=ANSWER` pairs.
///
/// # Errors
/// When one is not such a pair, names no gate of the plan, or is given twice.
pub fn answers(pairs: &[String], plan: &Plan) -> anyhow::Result<BTreeMap<StepId, String>> {
    let is_gate = |step: &&Step| matches!(step.kind, StepKind::Gate { .. });
    let mut answers = BTreeMap::new();
    for pair in pairs {
        let (step, answer) =
            pair.split_once('=').with_context(|| format!("--approve {pair}: write it as STEP=ANSWER"))?;
        let step = StepId::new(step).with_context(|| format!("--approve {pair}"))?;
        if !plan.steps.iter().filter(is_gate).any(|gate| gate.id == step) {
            let gates: Vec<&str> = plan.steps.iter().filter(is_gate).map(|gate| gate.id.as_str()).collect();
            anyhow::bail!("--approve {pair}: the plan has no gate '{step}'; its gates are: {}", gates.join(", "));
        }
        anyhow::ensure!(answers.insert(step, answer.to_owned()).is_none(), "--approve {pair}: given twice");
    }
    Ok(answers)
}

struct Follow<'a> {
    context: &'a Context,
    folder: &'a RunFolder,
    manner: &'a Manner,
    call: String,
    letters: Letters,
    tried: BTreeSet<u64>,
    progress: Option<ProgressReader>,
    on_line: bool,
    /// Ours, once this process has answered on a terminal.
    seat: Option<Seat>,
}

/// Follows a run until it ends, waits for a person who is not there, or is unknown.
///
/// # Errors
/// When the journal can't be read, or no runner can be kept alive.
pub fn follow(context: &Context, folder: &RunFolder, manner: &Manner) -> anyhow::Result<(Run, Exit)> {
    let (mut following, entries) = Following::start(folder)?;
    let (call, letters) = (context.program(), Letters::of(context));
    terminal::watch_signals(format!(
        "Run {} does not need this terminal: it goes on, or waits at its gate. Come back to it:\n   {call} attach {}",
        folder.id, folder.id
    ))?;
    let tried = BTreeSet::new();
    let mut follow =
        Follow { context, folder, manner, call, letters, tried, progress: None, on_line: false, seat: None };
    follow.say_entries(&following.run.plan, &entries)?;
    let mut restarts = 0;
    loop {
        let run = &following.run;
        if let Some((outcome, _)) = run.ended {
            if outcome != RunOutcome::Done {
                follow.say(report::lines::still_held(&still_held(run, &follow.call), terminal::width()))?;
            }
            follow.say(report::lines::end(run, &follow.call, terminal::width()))?;
            let exit = match outcome {
                RunOutcome::Done => Exit::Done,
                RunOutcome::Failed => Exit::Failed,
                RunOutcome::Aborted => Exit::Aborted,
            };
            return Ok((following.run, exit));
        }
        if run.unknown().next().is_some() && !run.aborting {
            follow.say(report::lines::unknown(run, &follow.call, terminal::width()))?;
            return Ok((following.run, Exit::Unknown));
        }
        if !folder.is_runner_alive()? {
            anyhow::ensure!(
                restarts < RESTARTS,
                "the run's runner ended {RESTARTS} times, and last said: {}\nthe run goes on with: lifeboat attach {}",
                client::last_words(folder).unwrap_or_else(|| "nothing".to_owned()),
                folder.id
            );
            restarts += 1;
            client::ensure_runner(folder, &context.socket(&folder.id)?)?;
        }
        // What waits in a run that is being ended asks nobody any more.
        if !run.aborting && asks(run).is_some_and(|(sequence, _)| !follow.tried.contains(&sequence)) {
            follow.clear_progress()?;
            if let Some(exit) = follow.person(&mut following)? {
                return Ok((following.run, exit));
            }
            continue;
        }
        let limit = if follow.shows_progress() { LOOK_EVERY } else { LOOK_EVERY * 2 };
        let entries = following.wait(Some(limit))?;
        follow.say_entries(&following.run.plan, &entries)?;
        follow.draw_progress(&following.run)?;
    }
}

/// What a run waits for a person with, and the entry it began with.
fn asks(run: &Run) -> Option<(u64, Asks)> {
    if let Some((_, state)) = run.held().next() {
        return Some((state.begun, Asks::Held));
    }
    let gate = run.open_gate().map(|(_, gate)| (gate.sequence, Asks::Gate));
    gate.or_else(|| run.open_decision().map(|(_, gate)| (gate.sequence, Asks::Decision)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Gate,
    Decision,
    Held,
}

impl Follow<'_> {
    fn person(&mut self, following: &mut Following) -> anyhow::Result<Option<Exit>> {
        match asks(&following.run) {
            None => Ok(None),
            Some((_, Asks::Gate)) => self.gate(following),
            Some((sequence, asked)) => self.way_on(following, sequence, asked),
        }
    }

    /// A decision or a held step: asks for the way on.
    fn way_on(&mut self, following: &mut Following, sequence: u64, asked: Asks) -> anyhow::Result<Option<Exit>> {
        self.tried.insert(sequence);
        let (run, columns) = (&following.run, terminal::width());
        let (lines, left) = match (run.held().next(), run.open_decision()) {
            (Some(_), _) => (report::lines::held(run, &self.call, columns), Vec::new()),
            (None, Some((step, gate))) => {
                (report::gate::lines(run, step, gate, columns), report::lines::waiting(run, step, &self.call, columns))
            }
            (None, None) => return Ok(None),
        };
        self.say(lines)?;
        if !self.is_interactive() {
            self.say(left)?;
            return Ok(Some(Exit::Waiting));
        }
        self.say_driver()?;
        self.say(vec![
            match asked {
                Asks::Held => "   Type again, done or abort (or a way on, with its target), and Enter. Esc leaves it.",
                _ => "   Type a way on (with its target, where it asks for one) and Enter. Esc leaves it waiting.",
            }
            .to_owned(),
        ])?;
        loop {
            let mut heard = Vec::new();
            let typed = gate::ask("   > ", self.letters, || {
                heard.extend(following.wait(Some(Duration::ZERO))?);
                let same = asks(&following.run) == Some((sequence, asked));
                Ok(following.run.ended.is_none() && same)
            })?;
            self.say_entries(&following.run.plan, &heard)?;
            let typed = match typed {
                Typed::Left => {
                    self.say(left)?;
                    return Ok(Some(Exit::Waiting));
                }
                Typed::Gone => return Ok(None),
                Typed::Answer(typed) => typed,
            };
            let request = match self.request(&following.run, &typed) {
                Ok(request) => request,
                Err(why) => {
                    self.say_refused("nothing was decided", &why)?;
                    continue;
                }
            };
            if let Some(why) = self.driven()? {
                self.say_refused("nothing was decided", &why)?;
                self.say(left)?;
                return Ok(Some(Exit::Waiting));
            }
            match client::request(self.folder, &request) {
                Ok(_) => return Ok(None),
                Err(ClientError::Refused(why)) => self.say_refused("nothing was decided", &why)?,
                Err(error) => return self.unanswered(error, sequence),
            }
        }
    }

    /// What was typed at a decision or a held step.
    fn request(&self, run: &Run, typed: &str) -> Result<Request, String> {
        let by = self.context.operator();
        let word = typed.split_whitespace().next().unwrap_or_default();
        if let Some((held, _)) = run.held().next() {
            let answer = match word {
                "again" => Some(Resolution::Again),
                "done" => Some(Resolution::Done),
                "abort" => Some(Resolution::Abort),
                _ => None,
            };
            if let Some(answer) = answer {
                return Ok(Request::Resolve { step: held.id.clone(), answer, by });
            }
        }
        let decision = match run.open_decision() {
            Some((step, _)) => Some(step),
            None => machine::ways_past(run).into_iter().find(|(_, choice)| choice.id.as_str() == word).map(|way| way.0),
        };
        let step = decision.ok_or_else(|| format!("'{}' is no way on here", clean(word)))?;
        let sequence = run.open_decision().map_or(0, |(_, gate)| gate.sequence);
        let zone = self.context.settings.operator.timezone;
        super::decide::request(run, step, sequence, super::decide::typed(typed), zone, by, Via::Terminal)
    }

    /// Answers an open gate, or says why the run waits: then with the exit status.
    fn gate(&mut self, following: &mut Following) -> anyhow::Result<Option<Exit>> {
        let run = &following.run;
        let Some((step, gate)) = run.open_gate() else { return Ok(None) };
        let (step, gate) = (step.clone(), gate.clone());
        self.tried.insert(gate.sequence);
        self.say(report::gate::lines(run, &step, &gate, terminal::width()))?;
        if let Some(answer) = self.manner.answers.get(&step.id) {
            let answered = match self.driven()? {
                Some(why) => Err(ClientError::Refused(why)),
                None => self.approve(&step.id, &gate, answer, Via::CommandLine),
            };
            match answered {
                Ok(()) => return Ok(None),
                Err(ClientError::Refused(why)) => self.say_refused("--approve does not count here", &why)?,
                Err(error) => return self.unanswered(error, gate.sequence),
            }
            if self.is_gone(following, gate.sequence)? {
                return Ok(None);
            }
        }
        if !self.is_interactive() {
            self.say(report::lines::waiting(&following.run, &step, &self.call, terminal::width()))?;
            return Ok(Some(Exit::Waiting));
        }
        self.ask(following, &step, &gate)
    }

    /// Asks on the terminal until the gate is answered, left, or waits no more.
    fn ask(&mut self, following: &mut Following, step: &Step, gate: &GateState) -> anyhow::Result<Option<Exit>> {
        let StepKind::Gate { answer: wanted, .. } = &step.kind else { return Ok(None) };
        let wanted = crate::domain::text::clean(wanted);
        self.say_driver()?;
        self.say(vec![format!("   Type {wanted} and Enter to go on. Esc leaves it waiting.")])?;
        loop {
            let mut heard = Vec::new();
            let typed = gate::ask("   > ", self.letters, || {
                heard.extend(following.wait(Some(Duration::ZERO))?);
                Ok(following.run.ended.is_none()
                    && following.run.open_gate().is_some_and(|(_, open)| open.sequence == gate.sequence))
            })?;
            self.say_entries(&following.run.plan, &heard)?;
            match typed {
                Typed::Left => {
                    self.say(report::lines::waiting(&following.run, step, &self.call, terminal::width()))?;
                    return Ok(Some(Exit::Waiting));
                }
                Typed::Gone => return Ok(None),
                Typed::Answer(_) if self.is_left_to_another(step, &following.run)? => return Ok(Some(Exit::Waiting)),
                Typed::Answer(answer) => match self.approve(&step.id, gate, &answer, Via::Terminal) {
                    Ok(()) => return Ok(None),
                    Err(ClientError::Refused(why)) => {
                        self.say_refused(
                            &format!("not approved: '{}' was typed", crate::domain::text::clean(&answer)),
                            &why,
                        )?;
                    }
                    Err(error) => return self.unanswered(error, gate.sequence),
                },
            }
        }
    }

    /// Somebody sits there and can be asked.
    fn is_interactive(&self) -> bool {
        let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        terminal && !self.manner.never_ask && !self.manner.quiet
    }

    /// Why nothing is sent: somebody else drives the run. From the first answer on a terminal on, this process does.
    fn driven(&mut self) -> anyhow::Result<Option<String>> {
        if self.seat.as_ref().is_some_and(Seat::is_ours) {
            return Ok(None);
        }
        let asks = self.is_interactive();
        match seat::claim(self.context, self.folder, self.manner.how, asks, asks)? {
            Claim::Granted(seat) => {
                self.seat = seat;
                Ok(None)
            }
            Claim::Driven(why) => Ok(Some(why)),
        }
    }

    /// Somebody else drives the run, and it is left to them: then the gate waits on.
    fn is_left_to_another(&mut self, step: &Step, run: &Run) -> anyhow::Result<bool> {
        let Some(why) = self.driven()? else { return Ok(false) };
        self.say_refused("not approved", &why)?;
        self.say(report::lines::waiting(run, step, &self.call, terminal::width()))?;
        Ok(true)
    }

    /// Somebody else was faster: the gate of entry `sequence` does not wait any more.
    fn is_gone(&mut self, following: &mut Following, sequence: u64) -> anyhow::Result<bool> {
        let heard = following.wait(Some(Duration::ZERO))?;
        self.say_entries(&following.run.plan, &heard)?;
        Ok(following.run.open_gate().is_none_or(|(_, gate)| gate.sequence != sequence))
    }

    /// The runner ended before it answered. The journal tells whether the answer counted: if this opening of the gate
    /// still waits once another runner lives, it is asked again.
    fn unanswered(&mut self, error: ClientError, sequence: u64) -> anyhow::Result<Option<Exit>> {
        if !matches!(error, ClientError::NoAnswer(..)) || self.folder.is_runner_alive()? {
            return Err(error.into());
        }
        self.say(vec!["   the runner ended before it answered".to_owned()])?;
        self.tried.remove(&sequence);
        Ok(None)
    }

    fn approve(&self, step: &StepId, gate: &GateState, answer: &str, via: Via) -> Result<(), ClientError> {
        let by = self.context.operator();
        let (step, answer) = (step.clone(), answer.to_owned());
        let request = Request::Approve { step, sequence: gate.sequence, seal: gate.seal, answer, by, via };
        client::request(self.folder, &request).map(|_| ())
    }

    fn say_driver(&mut self) -> anyhow::Result<()> {
        match seat::other(self.folder) {
            Some(driver) => {
                let told = format!("{}: you look on", seat::words(&driver));
                self.say(report::gate::hanging("   ! ", &told, terminal::width()))
            }
            None => Ok(()),
        }
    }

    fn say_refused(&mut self, what: &str, why: &str) -> anyhow::Result<()> {
        self.say(report::gate::hanging("   ! ", &format!("{what}: {why}"), terminal::width()))
    }

    fn say_entries(&mut self, plan: &Plan, entries: &[Entry]) -> anyhow::Result<()> {
        let detail = if self.manner.verbose { Detail::Full } else { Detail::Brief };
        let columns = terminal::width();
        entries.iter().try_for_each(|entry| self.say(report::lines::of(plan, entry, detail, columns)))
    }

    fn say(&mut self, lines: Vec<String>) -> anyhow::Result<()> {
        if self.manner.quiet || lines.is_empty() {
            return Ok(());
        }
        self.clear_progress()?;
        let mut out = io::stdout().lock();
        for line in lines {
            writeln!(out, "{}", self.letters.show(&line))?;
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
        let line = self.letters.show(&report::status::line(&progress));
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
