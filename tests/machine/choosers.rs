//! People at decisions, who choose rightly and wrongly, also past what is held.

use crate::plans;
use crate::promises::choices;
use crate::world::{World, anna};
use lifeboat::domain::digest::Digest;
use lifeboat::domain::event::Via;
use lifeboat::domain::plan::{Choice, Step};
use lifeboat::planning::machine::{Request, answer, ways_past};
use std::collections::BTreeMap;

/// What a person who looks at the decision would send.
fn request(world: &World, step: &Step, choice: &Choice, via: Via) -> Request {
    let opened = world.run.open_decision().filter(|(open, _)| open.id == step.id);
    let target = ["0/3000060", "xid:812", "name:before", "2026-11-22 02:13:00+00", "latest"];
    let target = target[usize::try_from(world.run.sequence).unwrap() % target.len()];
    let asked = choice.asks.iter().map(|asked| (asked.word().to_owned(), target.to_owned()));
    Request::Decide {
        step: step.id.clone(),
        sequence: opened.map_or(0, |(_, gate)| gate.sequence),
        seal: world.run.plan.seal,
        choice: choice.id.to_string(),
        values: asked.collect(),
        by: anna(),
        via,
    }
}

impl World {
    fn waits_for_a_choice(&self) -> bool {
        let at_a_gate = || self.run.open_gate().is_some() && !ways_past(&self.run).is_empty();
        self.run.open_decision().is_some() || self.run.held().next().is_some() || at_a_gate()
    }

    /// At an open decision: on, by the choice that leads nowhere else.
    pub(crate) fn choice_that_leads_on(&self) -> Option<Request> {
        let (step, _) = self.run.open_decision()?;
        let on = choices(step).iter().find(|choice| choice.back_to.is_none() && !choice.gives_up)?;
        Some(request(self, step, on, Via::Terminal))
    }

    /// Takes one of the ways that are open; `false` when there is none.
    pub(crate) fn somebody_chooses(&mut self) -> bool {
        if !self.waits_for_a_choice() {
            return false;
        }
        let ways = ways_past(&self.run);
        if ways.is_empty() {
            return false;
        }
        let ways: Vec<(Step, Choice)> = ways.into_iter().map(|(step, choice)| (step.clone(), choice.clone())).collect();
        let (step, choice) = &ways[self.chance.below(ways.len())];
        let beforehand = self.chance.below(4) == 3;
        let opened = self.run.open_decision().filter(|(open, _)| open.id == step.id);
        let may = opened.is_some_and(|(_, gate)| gate.opening == 1 && gate.drift.is_empty());
        let wanted = request(self, step, choice, if beforehand { Via::CommandLine } else { Via::Terminal });
        if beforehand && !may {
            self.refuse(&wanted, 0, "chosen beforehand");
        } else {
            self.ask(&wanted, 0);
        }
        true
    }

    /// Everything that is nearly a right choice, and those that lead nowhere now.
    pub(crate) fn somebody_chooses_wrongly(&mut self) {
        let run = self.run.clone();
        let open: Vec<String> =
            ways_past(&run).iter().map(|(step, choice)| format!("{}.{}", step.id, choice.id)).collect();
        for step in &run.plan.steps {
            for choice in choices(step) {
                let right = request(self, step, choice, Via::Terminal);
                let is_open = open.contains(&format!("{}.{}", step.id, choice.id));
                if run.aborting || !self.waits_for_a_choice() {
                    self.refuse(&right, 0, "no decision waits");
                } else if !is_open {
                    self.refuse(&right, 0, "leads nowhere now");
                } else if answer(&run, &right, 0).is_ok() {
                    for (kind, wrong) in nearly(&right) {
                        self.refuse(&wrong, 0, kind);
                    }
                }
            }
        }
        if let Some((step, _)) = run.open_gate() {
            let wrong = Request::Decide {
                step: step.id.clone(),
                sequence: run.sequence,
                seal: run.plan.seal,
                choice: "on".into(),
                values: BTreeMap::new(),
                by: anna(),
                via: Via::Terminal,
            };
            self.refuse(&wrong, 0, "a gate is no decision");
        }
    }
}

fn nearly(right: &Request) -> Vec<(&'static str, Request)> {
    let Request::Decide { step, sequence, seal, choice, values, by, via } = right else { return Vec::new() };
    let with = |sequence: u64, seal: Digest, choice: &str, values: BTreeMap<String, String>| Request::Decide {
        step: step.clone(),
        sequence,
        seal,
        choice: choice.to_owned(),
        values,
        by: by.clone(),
        via: *via,
    };
    let given = |name: &str, value: &str| {
        let mut values = values.clone();
        values.insert(name.to_owned(), value.to_owned());
        values
    };
    let mut wrong = vec![
        ("choice for another plan", with(*sequence, Digest::of(b"other"), choice, values.clone())),
        ("no such choice", with(*sequence, *seal, "sideways", values.clone())),
        ("no such choice", with(*sequence, *seal, &choice.to_uppercase(), values.clone())),
        ("value that is not asked for", with(*sequence, *seal, choice, given("colour", "red"))),
    ];
    if *sequence > 0 {
        wrong.push(("stale choice", with(*sequence - 1, *seal, choice, values.clone())));
        wrong.push(("stale choice", with(0, *seal, choice, values.clone())));
    }
    if values.is_empty() {
        wrong.push(("value that is not asked for", with(*sequence, *seal, choice, given("target", "latest"))));
    } else {
        wrong.push(("value is missing", with(*sequence, *seal, choice, BTreeMap::new())));
        wrong.push(("value can't be read", with(*sequence, *seal, choice, given("target", "yesterday"))));
        wrong.push(("value can't be read", with(*sequence, *seal, choice, given("exclusive", "maybe"))));
    }
    let nowhere = Request::Decide {
        step: plans::id("nowhere"),
        sequence: *sequence,
        seal: *seal,
        choice: choice.clone(),
        values: values.clone(),
        by: by.clone(),
        via: *via,
    };
    wrong.push(("no such decision", nowhere));
    wrong
}
