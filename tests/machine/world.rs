//! A world for the machine to act in: processes that end in any way, runners that are killed, people who answer
//! rightly and wrongly, facts that change. It does what `engine::runner` does with what it is told, and watches.

use crate::{plans, promises};
use chrono::DateTime;
use lifeboat::domain::digest::Digest;
use lifeboat::domain::event::{
    Entry, Exit, Finding, Host, JOURNAL_VERSION, Operator, Outcome, OutputDigest, Resolution, RunEvent, RunId,
    RunOutcome, Verdict, Via,
};
use lifeboat::domain::facts::Facts;
use lifeboat::domain::plan::{CaptureFrom, Plan, Step, StepId, StepKind, When};
use lifeboat::domain::run::Run;
use lifeboat::domain::status::StepStatus;
use lifeboat::planning::machine::{self, Next, Observed, Refusal, Request, Seen};
use std::collections::{BTreeMap, BTreeSet};

/// Where chance comes from. When it is used up the world turns kind: everything ends well.
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    bytes: std::vec::IntoIter<u8>,
    /// How many of 32 ends are bad ones.
    wildness: usize,
}

impl Chance {
    pub(crate) fn of(bytes: Vec<u8>, wildness: usize) -> Chance {
        Chance { bytes: bytes.into_iter(), wildness }
    }

    /// Everything ends well.
    pub(crate) fn none() -> Chance {
        Chance::of(Vec::new(), 0)
    }

    fn is_used_up(&self) -> bool {
        self.bytes.as_slice().is_empty()
    }

    /// Something ends badly.
    fn strikes(&mut self) -> bool {
        31 - self.below(32) < self.wildness
    }

    /// A number below `bound`; 0, the kindest, when chance is used up.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.bytes.next().unwrap_or(0)) % bound
    }
}

/// How a step ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Well,
    BadCode,
    Killed,
    NotStarted,
    Unwritten,
    BadAnswer,
    /// With captured values that are empty.
    Empty,
}

/// What is physically there of a step that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    attempt: u32,
    /// The runner died between the entry and the start.
    never_began: bool,
}

pub(crate) fn anna() -> Operator {
    Operator { name: "anna".into(), uid: 113 }
}

pub(crate) fn numbered(sequence: u64, event: RunEvent) -> Entry {
    Entry {
        sequence,
        at: DateTime::parse_from_rfc3339("2026-11-22T08:40:00+00:00").unwrap(),
        monotonic_ns: sequence,
        boot_id: "boot".into(),
        event,
        hash: Digest::of(&sequence.to_be_bytes()),
    }
}

pub(crate) fn created(plan: &Plan) -> Entry {
    let event = RunEvent::RunCreated {
        version: JOURNAL_VERSION,
        run: RunId::parse("7Q2K").unwrap(),
        plan: Box::new(plan.clone()),
        by: anna(),
        host: Host { name: "db1".into(), machine_id: "m".into() },
    };
    numbered(1, event)
}

pub(crate) fn exit(exit: Exit) -> Outcome {
    let output = OutputDigest { bytes: 3, sha256: Digest::of(b"out") };
    Outcome { exit, milliseconds: 7, output, errors: None, leftovers: 0, boot_id: "boot".into() }
}

/// What is seen of a step that ends well: each value it captures, as it has to be.
pub(crate) fn well(step: &Step) -> Seen {
    let value = |name: &str| {
        let expected = step.expect.get(name).and_then(|expected| expected.resolved());
        expected.unwrap_or_else(|| format!("v-{}", step.id))
    };
    let mut seen = Seen { milliseconds: 7, ..Seen::default() };
    let (mut header, mut row, mut lines) = (Vec::new(), Vec::new(), String::new());
    for capture in &step.captures {
        match &capture.from {
            CaptureFrom::Answer => {
                seen.captures.insert(capture.name.clone(), value(&capture.name));
            }
            CaptureFrom::Whole => lines.push_str(&value(&capture.name)),
            CaptureFrom::Line(prefix) => lines.push_str(&format!("{prefix} {}\n", value(&capture.name))),
            CaptureFrom::Column(column) => {
                header.push(column.clone());
                row.push(format!("\"{}\"", value(&capture.name)));
            }
        }
    }
    if !header.is_empty() {
        lines = format!("{}\n{}\n", header.join(","), row.join(","));
    }
    seen.output = lines.into_bytes();
    seen.outcome = step.kind.command().map(|_| exit(Exit::Code(0)));
    seen
}

fn seen(step: &Step, how: How) -> Seen {
    let mut seen = well(step);
    let is_command = step.kind.command().is_some();
    match how {
        How::Well => {}
        How::BadCode if is_command => seen.outcome = Some(exit(Exit::Code(1))),
        How::Killed if is_command => seen.outcome = Some(exit(Exit::Signal(9))),
        How::NotStarted if is_command => seen.outcome = Some(exit(Exit::NotStarted(2))),
        How::Empty => {
            seen.captures = seen.captures.into_keys().map(|name| (name, String::new())).collect();
            seen.output.clear();
        }
        _ => {
            seen.captures = seen.captures.into_keys().map(|name| (name, "other".to_owned())).collect();
            seen.output = b"other".to_vec();
            seen.findings = vec![Finding { holds: false, what: "no".into(), remedy: String::new() }];
        }
    }
    seen
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) run: Run,
    pub(crate) journal: Vec<Entry>,
    /// The run right after each entry, as the runner had it.
    pub(crate) states: Vec<Run>,
    pub(crate) facts: Facts,
    pub(crate) chance: Chance,
    processes: BTreeMap<StepId, Process>,
    reading: Option<StepId>,
    fresh: Option<(StepId, Facts)>,
    /// Steps that may be started once more, since the entry that allows it.
    pub(crate) may_repeat: BTreeSet<StepId>,
    /// The newest captured value of each name.
    pub(crate) newest: BTreeMap<String, String>,
    /// Servers that nobody stopped: only a person could end the run.
    pub(crate) left_servers: bool,
    /// Requests that were refused, by kind.
    pub(crate) refused: BTreeMap<&'static str, u32>,
}

impl World {
    pub(crate) fn new(plan: &Plan, chance: Chance) -> World {
        World::after(vec![created(plan)], chance)
    }

    /// A runner takes over where a journal ends: of what was running nothing lives, and all of it ended well.
    pub(crate) fn after(journal: Vec<Entry>, chance: Chance) -> World {
        let run = Run::fold(&journal).expect("any beginning of a journal folds");
        let processes = run
            .each()
            .filter(|(_, state)| state.status.is_active())
            .map(|(step, state)| (step.id.clone(), Process { attempt: state.attempt, never_began: false }));
        World {
            states: vec![run.clone()],
            facts: run.plan.facts.clone(),
            chance,
            processes: processes.collect(),
            reading: None,
            fresh: None,
            may_repeat: run
                .each()
                .filter(|(_, state)| state.status == StepStatus::Pending || state.again)
                .map(|(step, _)| step.id.clone())
                .collect(),
            newest: promises::newest(&journal),
            left_servers: false,
            refused: BTreeMap::new(),
            run,
            journal,
        }
    }

    /// Lives until the run has ended, and says so if it doesn't.
    pub(crate) fn live(&mut self) {
        self.take_over();
        let steps = self.run.steps.len();
        let kind_turns = 40 * (steps + 2);
        let mut turns = 0;
        while self.decide() {
            if self.chance.is_used_up() {
                turns += 1;
                assert!(turns < kind_turns, "the run never ends: {:?}", self.last_events());
                self.be_kind();
            } else {
                self.act();
            }
        }
        assert_eq!(machine::next(&self.run, None), Next::Finished);
        self.judge_the_end();
    }

    fn last_events(&self) -> Vec<&RunEvent> {
        self.journal.iter().rev().take(12).map(|entry| &entry.event).collect()
    }

    /// Does what the machine says until it waits; `false` when the run has ended.
    fn decide(&mut self) -> bool {
        let bound = 4 * (self.run.steps.len() + 2);
        for _ in 0..bound {
            let fresh = self.fresh.take();
            let next = machine::next(&self.run, fresh.as_ref().map(|(step, facts)| (step, facts)));
            match next {
                Next::Record(event) => self.record(event),
                Next::ReadFacts(step) => {
                    self.reading = Some(step);
                    return true;
                }
                Next::Start { step, attempt } => self.start(&step, attempt, fresh.as_ref()),
                Next::EndServer(server) => {
                    let stop_failed = self.run.each().any(|(step, state)| {
                        matches!(&step.kind, StepKind::Stop { server: of, .. } if *of == server)
                            && state.status == StepStatus::Failed
                    });
                    assert!(stop_failed, "{server} is ended though no stop step of it failed");
                    self.end(&server, How::Killed);
                }
                Next::Wait => return true,
                Next::Finished => return false,
            }
        }
        panic!("{bound} decisions in a row without anything happening: {:?}", self.last_events());
    }

    /// Every event has to be legal, and what it says has to be allowed.
    fn record(&mut self, event: RunEvent) {
        match &event {
            RunEvent::GateAnswered { step, via: Via::CommandLine, .. } => {
                let gate = self.run.step(step).and_then(|(_, state)| state.gate.as_ref()).unwrap();
                assert!(gate.opening == 1 && gate.drift.is_empty(), "answered beforehand, and facts had changed");
            }
            RunEvent::StepInterrupted { step, .. } | RunEvent::StepResolved { step, answer: Resolution::Again, .. } => {
                self.may_repeat.insert(step.clone());
            }
            RunEvent::DecisionMade { via: Via::CommandLine, opening, .. } => {
                assert_eq!(*opening, 1, "chosen beforehand, and nobody could know of it");
            }
            RunEvent::DecisionMade { step, .. } if self.run.step(step).unwrap().1.status == StepStatus::Done => {
                self.nothing_final_behind(step);
            }
            RunEvent::GateOpened { step, opening, facts, drift, .. } => {
                // When the run has gone back behind it, it opens anew.
                let state =
                    self.run.step(step).map(|(_, state)| state).filter(|state| state.status != StepStatus::Pending);
                let before = state.and_then(|state| state.gate.as_ref());
                let reviewed = before.map_or(&self.run.plan.facts, |gate| &gate.facts);
                assert_eq!(*drift, reviewed.drift(facts), "opening {opening} says what changed since it was reviewed");
            }
            RunEvent::RunEnded { .. } => {
                assert!(self.processes.is_empty(), "it ended beside living processes: {:?}", self.processes);
            }
            _ => {}
        }
        let entry = numbered(self.run.sequence + 1, event);
        let before = self.run.clone();
        let applied = self.run.apply(&entry);
        assert_eq!(applied, Ok(()), "an illegal event: {:?}", entry.event);
        self.keeps_values_and_seal(&before, &entry.event);
        self.journal.push(entry);
        self.states.push(self.run.clone());
    }

    fn start(&mut self, id: &StepId, attempt: u32, fresh: Option<&(StepId, Facts)>) {
        self.may_start(id, fresh);
        self.record(RunEvent::StepStarted { step: id.clone(), attempt });
        let killed_here = self.chance.below(16) == 15;
        let is_command = self.run.step(id).unwrap().0.kind.command().is_some();
        let process = Process { attempt, never_began: killed_here && is_command };
        assert_eq!(self.processes.insert(id.clone(), process), None, "{id} is started beside itself");
        if killed_here {
            return self.take_over();
        }
        let (step, _) = self.run.step(id).unwrap();
        match &step.kind {
            StepKind::Note { .. } => self.end(id, How::Well),
            StepKind::Wait { server, .. } if !self.processes.contains_key(server) => self.end(id, How::BadAnswer),
            _ => {}
        }
    }

    /// The rules of a start, looked up in the journal and not in what the machine made of it.
    fn may_start(&mut self, id: &StepId, fresh: Option<&(StepId, Facts)>) {
        let position = self.run.plan.position(id).unwrap();
        let (step, _) = self.run.step(id).unwrap();
        assert!(!self.run.aborting, "{id} is started in a run that is being ended");
        assert!(self.may_repeat.contains(id), "{id} is started a second time");
        assert_eq!(step.ruled_out, None, "{id} is ruled out");
        if let Some(after) = &step.only_after {
            let begun = |event: &RunEvent| matches!(event, RunEvent::StepStarted { .. } | RunEvent::GateOpened { .. });
            let found = self.journal.iter().any(|entry| entry.event.step() == Some(after) && begun(&entry.event));
            assert!(found, "{id} is started though {after} never was");
        }
        assert_eq!(step.pending().next(), None, "{id} waits for a value");
        assert!(step.when == When::Always || (step.when == When::Failure) == self.run.failed, "{id} is not due");
        for (other, state) in self.run.each() {
            let settled = !matches!(state.status, StepStatus::Pending | StepStatus::Running | StepStatus::Waiting);
            let before = self.run.plan.position(&other.id).unwrap() < position;
            assert!(settled || !before, "{id} is started before {} has ended", other.id);
            assert_ne!(state.status, StepStatus::Unknown, "{id} is started while {} is unknown", other.id);
            assert_ne!(state.status, StepStatus::Held, "{id} is started while {} is held", other.id);
            let ends_by_itself = !matches!(other.kind, StepKind::Server { .. }) || state.status == StepStatus::Running;
            assert!(!(state.status.is_active() && ends_by_itself), "{id} is started beside {}", other.id);
            if let (StepKind::Stop { server, .. }, StepStatus::Done) = (&other.kind, state.status)
                && self.last_start(&other.id) > self.last_start(server)
            {
                assert!(!self.processes.contains_key(server), "{id} is started while {server} is still ending");
            }
        }
        assert_eq!(self.not_chosen(step), None, "{id} is not chosen");
        if step.destructive {
            assert_eq!(step.filled_empty(), None, "{id} can't be undone, and a value of it is empty");
            let gate = self.run.gate_before(position).expect("a gate stands before what can't be undone");
            let gate = &self.run.plan.steps[gate].id;
            let last = |wanted: fn(&RunEvent) -> bool| {
                self.journal.iter().rposition(|entry| entry.event.step() == Some(gate) && wanted(&entry.event))
            };
            let opened = last(|event| matches!(event, RunEvent::GateOpened { .. })).expect("its gate was opened");
            let answered = last(|event| matches!(event, RunEvent::GateAnswered { .. })).expect("its gate was answered");
            assert!(opened < answered, "its gate has opened again and waits");
            let back = self.last_way_back_behind(gate);
            assert!(back.is_none_or(|back| back < answered), "it was answered before the run went back behind it");
            let RunEvent::GateOpened { seal, facts, .. } = &self.journal[opened].event else { unreachable!() };
            assert_eq!(*seal, self.run.plan.seal, "another plan was approved");
            let (of, now) = fresh.expect("facts were read right before");
            assert_eq!(of, id, "facts were read for another step");
            assert_eq!(facts.drift(now), [], "what was approved is no longer so");
        }
        self.may_repeat.remove(id);
    }

    /// A step's process is gone, or its question is answered: what `engine::runner` makes of it.
    fn end(&mut self, id: &StepId, how: How) {
        let Some(_) = self.processes.remove(id) else { return };
        let (step, state) = self.run.step(id).unwrap();
        assert!(state.status.is_active());
        let (step, mut found) = (step.clone(), seen(step, how));
        // What is asked again may have another answer.
        if how == How::Well && step.expect.is_empty() && self.chance.below(2) == 1 {
            let attempt = state.attempt;
            found.captures.values_mut().for_each(|value| *value = format!("{value}-{attempt}"));
        }
        let observed = match how {
            How::Unwritten => Observed::Gone(vec!["nobody wrote it down".into()]),
            _ => Observed::Ended(found.clone()),
        };
        let event = if step.kind.command().is_some() {
            machine::taken_over(&self.run, id, observed)
        } else {
            machine::judge(&self.run, id, found)
        };
        self.record(event.expect("an end is an event"));
        if matches!(step.kind, StepKind::Server { .. }) {
            for wait in self.waits_for(id) {
                self.end(&wait, How::BadAnswer);
            }
        }
    }

    fn waits_for(&self, id: &StepId) -> Vec<StepId> {
        let running = self.run.each().filter(|(_, state)| state.status == StepStatus::Running);
        running
            .filter(|(step, _)| matches!(&step.kind, StepKind::Wait { server, .. } if server == id))
            .map(|(step, _)| step.id.clone())
            .collect()
    }

    /// The runner was killed, and another one reads the journal.
    fn take_over(&mut self) {
        let folded = Run::fold(&self.journal).expect("the journal folds");
        assert_eq!(folded, self.run, "what is folded is what the runner had");
        (self.reading, self.fresh) = (None, None);
        if self.run.ended.is_some() {
            return;
        }
        self.record(RunEvent::RunnerStarted { pid: 1, attempt: self.run.runners + 1 });
        let active: Vec<StepId> =
            self.run.each().filter(|(_, state)| state.status.is_active()).map(|(step, _)| step.id.clone()).collect();
        for id in active {
            // It may have ended with its server meanwhile.
            let Some(process) = self.processes.get(&id).copied() else { continue };
            let (step, state) = self.run.step(&id).unwrap();
            assert_eq!(process.attempt, state.attempt);
            let observed = match (process.never_began, self.chance.strikes(), self.chance.below(4)) {
                (true, ..) => Observed::NeverBegan,
                (false, true, _) => Observed::Gone(vec!["the host was booted since".into()]),
                (false, false, 3) => Observed::Ended(well(step)),
                (false, false, _) => Observed::Alive,
            };
            let lives = observed == Observed::Alive && step.kind.command().is_some();
            if !lives {
                self.processes.remove(&id);
            }
            match machine::taken_over(&self.run, &id, observed) {
                Some(event) => self.record(event),
                None => assert!(lives, "what does not live needs an event"),
            }
        }
    }

    /// One thing happens, by chance.
    fn act(&mut self) {
        match self.chance.below(12) {
            0..=3 => self.something_ends(),
            4 | 5 => self.deliver_facts(),
            6 | 7 => self.somebody_asks(),
            8 => drop(self.a_server_is_ready()),
            9 => self.take_over(),
            10 => self.facts_change(),
            _ => self.somebody_asks_wrongly(),
        }
    }

    fn something_ends(&mut self) {
        let alive: Vec<StepId> = self.processes.keys().cloned().collect();
        if alive.is_empty() {
            return;
        }
        let id = alive[self.chance.below(alive.len())].clone();
        let bad = [How::BadCode, How::Killed, How::NotStarted, How::Unwritten, How::BadAnswer, How::Empty];
        let how = if self.chance.strikes() { bad[self.chance.below(bad.len())] } else { How::Well };
        self.end(&id, how);
    }

    fn deliver_facts(&mut self) {
        if let Some(step) = self.reading.take() {
            self.fresh = Some((step, self.facts.clone()));
        }
    }

    fn a_server_is_ready(&mut self) -> bool {
        let begun = self
            .run
            .each()
            .find(|(step, state)| state.status == StepStatus::Running && matches!(step.kind, StepKind::Server { .. }));
        let Some((step, state)) = begun else { return false };
        let event = RunEvent::StepReady { step: step.id.clone(), attempt: state.attempt, evidence: "ready".into() };
        self.record(event);
        true
    }

    fn facts_change(&mut self) {
        match self.chance.below(4) {
            0 => self.facts = self.run.plan.facts.clone(),
            1 => drop(self.facts.identity.insert("set".into(), format!("changed {}", self.run.sequence))),
            2 => self.facts.thresholds.values_mut().for_each(|reading| reading.value = 400),
            _ => self.facts.thresholds.values_mut().for_each(|reading| reading.value = 99),
        }
    }

    pub(crate) fn ask(&mut self, request: &Request, living: usize) {
        let event = machine::answer(&self.run, request, living).expect("a right answer is granted");
        self.record(event);
    }

    pub(crate) fn refuse(&mut self, request: &Request, living: usize, kind: &'static str) {
        let found = machine::answer(&self.run, request, living);
        assert!(found.is_err(), "{kind}: {request:?} gave {found:?}");
        *self.refused.entry(kind).or_default() += 1;
    }

    /// What a person who looks at the open gate would send.
    pub(crate) fn right(&self, via: Via) -> Option<Request> {
        let (step, gate) = self.run.open_gate()?;
        let StepKind::Gate { answer, .. } = &step.kind else { return None };
        let (step, answer) = (step.id.clone(), answer.clone());
        Some(Request::Approve { step, sequence: gate.sequence, seal: gate.seal, answer, by: anna(), via })
    }

    /// A step about which a person decides.
    fn unknown(&self) -> Option<StepId> {
        self.run.unknown().chain(self.run.held()).next().map(|(step, _)| step.id.clone())
    }

    fn somebody_asks(&mut self) {
        if self.run.aborting || (self.chance.below(2) == 0 && self.somebody_chooses()) {
            return;
        }
        let abort = Request::Abort { by: anna(), reason: "enough".into() };
        match (self.chance.below(8), self.unknown(), self.right(Via::Terminal)) {
            (7, ..) => self.ask(&abort, 0),
            (6, ..) => self.ask(&Request::Note { by: anna(), text: "a note".into() }, 0),
            (choice, Some(step), _) => {
                // The same for a step that is held.
                let answers = [Resolution::Done, Resolution::Again, Resolution::Again, Resolution::Abort];
                self.ask(&Request::Resolve { step, answer: answers[choice % 4], by: anna() }, 0);
            }
            (0 | 1, None, Some(_)) => {
                let (_, gate) = self.run.open_gate().unwrap();
                let may = gate.opening == 1 && gate.drift.is_empty();
                let beforehand = self.right(Via::CommandLine).unwrap();
                if may { self.ask(&beforehand, 0) } else { self.refuse(&beforehand, 0, "beforehand") }
            }
            (_, None, Some(request)) => self.ask(&request, 0),
            _ => {}
        }
    }

    fn somebody_asks_wrongly(&mut self) {
        let choice = self.chance.below(8);
        let nowhere = plans::id("nowhere");
        let some_step = self.run.plan.steps[choice % self.run.steps.len()].id.clone();
        if let Some(request) = self.right(Via::Terminal) {
            for (kind, wrong) in wrong_answers(&request) {
                self.refuse(&wrong, 0, kind);
            }
        } else {
            let (sequence, seal) = (self.run.sequence, self.run.plan.seal);
            let answer = format!("yes {some_step}");
            let request =
                Request::Approve { step: some_step.clone(), sequence, seal, answer, by: anna(), via: Via::Request };
            self.refuse(&request, 0, "no gate waits");
        }
        let resolve = |step, answer| Request::Resolve { step, answer, by: anna() };
        self.refuse(&resolve(nowhere, Resolution::Again), 0, "no such step");
        let status = self.run.step(&some_step).unwrap().1.status;
        if !matches!(status, StepStatus::Unknown | StepStatus::Held) {
            self.refuse(&resolve(some_step, Resolution::Done), 0, "not unknown");
        }
        if let Some(step) = self.unknown() {
            self.refuse(&resolve(step.clone(), Resolution::Again), 2, "alive");
            self.refuse(&resolve(step, Resolution::Done), 1, "alive");
        }
        self.somebody_chooses_wrongly();
        if self.run.aborting {
            self.refuse(&Request::Abort { by: anna(), reason: String::new() }, 0, "aborting");
        }
    }

    /// What would happen if all went well from here on; a run that can't go on by that is stuck.
    fn be_kind(&mut self) {
        self.facts = self.run.plan.facts.clone();
        if self.reading.is_some() {
            return self.deliver_facts();
        }
        if self.run.aborting {
            let first = self.processes.keys().next().cloned().expect("an aborted run waits for processes only");
            return self.end(&first, How::Killed);
        }
        if let Some(step) = self.unknown() {
            return self.ask(&Request::Resolve { step, answer: Resolution::Done, by: anna() }, 0);
        }
        if let Some(request) = self.right(Via::Terminal).or_else(|| self.choice_that_leads_on()) {
            return self.ask(&request, 0);
        }
        if self.a_server_is_ready() {
            return;
        }
        let is_server = |id: &StepId| matches!(self.run.step(id).unwrap().0.kind, StepKind::Server { .. });
        if let Some(id) = self.processes.keys().find(|id| !is_server(id)).cloned() {
            return self.end(&id, How::Well);
        }
        let stopped = self.run.each().find_map(|(step, state)| match &step.kind {
            StepKind::Stop { server, .. }
                if state.status == StepStatus::Done && self.processes.contains_key(server) =>
            {
                Some(server.clone())
            }
            _ => None,
        });
        if let Some(server) = stopped {
            return self.end(&server, How::Well);
        }
        let unsettled = self
            .run
            .each()
            .find(|(_, state)| matches!(state.status, StepStatus::Pending | StepStatus::Running | StepStatus::Waiting));
        assert_eq!(unsettled.map(|(step, _)| &step.id), None, "stuck: nothing happens and nobody is asked");
        assert!(!self.processes.is_empty(), "stuck at the end");
        self.left_servers = true;
        self.ask(&Request::Abort { by: anna(), reason: "a server that nothing stops".into() }, 0);
    }

    fn judge_the_end(&mut self) {
        let Some((outcome, _)) = self.run.ended else { panic!("it has not ended") };
        let expected = match (self.run.aborting, self.run.failed) {
            (true, _) => RunOutcome::Aborted,
            (false, true) => RunOutcome::Failed,
            (false, false) if self.was_given_up() => RunOutcome::Aborted,
            (false, false) => RunOutcome::Done,
        };
        assert_eq!(outcome, expected);
        for (step, state) in self.run.each() {
            assert!(!state.status.is_active(), "{} is {}", step.id, state.status.word());
            let settled = matches!(state.status, StepStatus::Done | StepStatus::Failed | StepStatus::Skipped);
            assert!(settled || self.run.aborting, "{} is {}", step.id, state.status.word());
            // What was held and left for another way on has failed, and the run has not.
            let failed = state.status == StepStatus::Failed && !step.hold;
            assert!(!failed || self.run.failed, "{} failed and the run did not", step.id);
        }
        for name in self.run.result.keys() {
            let (step, _) = name.split_once('.').unwrap();
            let (_, state) = self.run.step(&plans::id(step)).unwrap();
            assert_eq!(
                state.result.as_ref().map(|result| result.verdict),
                Some(Verdict::Done),
                "{name} proves nothing"
            );
        }
        let late =
            [Request::Abort { by: anna(), reason: String::new() }, Request::Note { by: anna(), text: String::new() }];
        for request in late {
            assert!(matches!(machine::answer(&self.run, &request, 0), Err(Refusal::Ended(_))));
        }
        let after = numbered(self.run.sequence + 1, RunEvent::RunnerStarted { pid: 1, attempt: 9 });
        assert!(self.run.clone().apply(&after).is_err(), "nothing follows the end");
    }
}

/// Everything that is nearly the right answer.
fn wrong_answers(right: &Request) -> Vec<(&'static str, Request)> {
    let with = |change: &dyn Fn(&mut StepId, &mut u64, &mut Digest, &mut String)| {
        let mut request = right.clone();
        if let Request::Approve { step, sequence, seal, answer, .. } = &mut request {
            change(step, sequence, seal, answer);
        }
        request
    };
    vec![
        ("stale", with(&|_, sequence, _, _| *sequence -= 1)),
        ("stale", with(&|_, sequence, _, _| *sequence += 1)),
        ("other plan", with(&|_, _, seal, _| *seal = Digest::of(b"other"))),
        ("wrong answer", with(&|_, _, _, answer| answer.clear())),
        ("wrong answer", with(&|_, _, _, answer| answer.push(' '))),
        ("wrong answer", with(&|_, _, _, answer| *answer = answer.to_uppercase() + "x")),
        ("no such step", with(&|step, _, _, _| *step = plans::id("nowhere"))),
    ]
}
