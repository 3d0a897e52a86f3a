//! What must stand before or behind what: gates, servers and their stops, names.

use crate::domain::plan::When;
use crate::planning::check::{Allowed, Lint};
use crate::planning::runbook::{Action, Located, RunbookStep, nearest};

impl Lint<'_> {
    /// Rules about a step and the others.
    pub(super) fn order(&mut self, position: usize, step: &RunbookStep) {
        if self.earlier(position, step.id.as_str()).is_some() {
            self.problem(step.id_at, format!("a second step '{}'", step.id), "give each step a name of its own");
        }
        if step.destructive {
            self.gate_stands_before(position, step);
        }
        if let Some(after) = &step.only_after {
            self.step_stands_before(position, step, after);
        }
        match &step.action {
            Action::Server(_) => self.stop_follows(position, step),
            Action::Stop { server, .. } | Action::Wait { server, .. } => {
                self.server_stands_before(position, step, server)
            }
            _ => {}
        }
        let texts = [("title", &step.title), ("why", &step.why), ("failure", &step.failure), ("repeat", &step.repeat)];
        for (key, text) in texts {
            if text.contains("${") {
                let what = format!("'{key}' of step '{}' has a placeholder, and none is put in there", step.id);
                self.problem(step.at, what, "write it without; a gate's 'shows' has room for values");
            }
        }
    }

    fn gate_stands_before(&mut self, position: usize, step: &RunbookStep) {
        let gates = || self.runbook.steps[..position].iter().filter(|gate| matches!(gate.action, Action::Gate { .. }));
        let covered = gates().any(|gate| {
            (gate.when == When::Always || gate.when == step.when) && self.implied(step, gate) && follows(step, gate)
        });
        if covered {
            return;
        }
        let remedy = match gates().next_back() {
            Some(gate) => format!(
                "gate '{}' is not due whenever this step is: give it the same 'when' and no further conditions",
                gate.id
            ),
            None => "put a step with kind = \"gate\" before it that shows what will be lost".into(),
        };
        self.problem(step.at, format!("no gate before the destructive step '{}'", step.id), remedy);
    }

    fn stop_follows(&mut self, position: usize, server: &RunbookStep) {
        let stops = || {
            self.runbook.steps[position + 1..]
                .iter()
                .filter(|stop| matches!(&stop.action, Action::Stop { server: of, .. } if of.text == server.id.as_str()))
        };
        let own = |stop: &RunbookStep| {
            stop.only_after.as_ref().is_none_or(|after| after.text == server.id.as_str()) || follows(server, stop)
        };
        if stops().any(|stop| stop.when == When::Always && self.implied(server, stop) && own(stop)) {
            return;
        }
        let what = format!("the server of step '{}' is not stopped in every case", server.id);
        let remedy = match stops().next_back() {
            Some(stop) => format!("give step '{}' when = \"always\" and no further conditions", stop.id),
            None => format!("add a step with kind = \"stop\", server = \"{}\" and when = \"always\"", server.id),
        };
        self.problem(server.at, what, remedy);
    }

    fn step_stands_before(&mut self, position: usize, step: &RunbookStep, name: &Located) {
        let Some(found) = self.earlier(position, &name.text) else {
            let earlier = self.runbook.steps[..position].iter().map(|step| step.id.as_str());
            let remedy = nearest(&name.text, earlier).map_or_else(
                || "name a step that stands before this one".into(),
                |near| format!("'{near}' is probably meant"),
            );
            let what = format!("'only_after' of step '{}' names '{}', which is no step before it", step.id, name.text);
            self.problem(name.at, what, remedy);
            return;
        };
        if self.apart(found, step) {
            let what = format!("step '{}' is never due: '{}' is never done when it is", step.id, found.id);
            self.problem(name.at, what, "look at the conditions of both");
        }
    }

    fn server_stands_before(&mut self, position: usize, step: &RunbookStep, name: &Located) {
        if name.text.is_empty() {
            return;
        }
        // On the way back from a decision a server is stopped before the step that starts it again.
        let stops = matches!(step.action, Action::Stop { .. }) && step.only_choice.is_some();
        let is_server =
            |found: &&RunbookStep| found.id.as_str() == name.text && matches!(found.action, Action::Server(_));
        if stops && self.runbook.steps.iter().any(|found| is_server(&found)) {
            return;
        }
        let word = step.action.word();
        let Some(server) = self.earlier(position, &name.text).filter(|found| matches!(found.action, Action::Server(_)))
        else {
            let servers = self.runbook.steps[..position].iter().filter(|step| matches!(step.action, Action::Server(_)));
            let remedy = nearest(&name.text, servers.map(|step| step.id.as_str())).map_or_else(
                || "name a step with kind = \"server\" that stands before this one".into(),
                |near| format!("'{near}' is probably meant"),
            );
            self.problem(name.at, format!("'{}' is no server step before this {word}", name.text), remedy);
            return;
        };
        if !matches!(step.action, Action::Wait { .. }) {
            return;
        }
        if !self.implied(step, server) || (step.when != server.when && server.when != When::Always) {
            let what = format!("step '{}' may wait for a server that was never started", step.id);
            self.problem(name.at, what, format!("give it the conditions and the 'when' of step '{}'", server.id));
        }
        // A stop before the server's own step is about an earlier start of it, from before the run went back.
        let begun = self.runbook.steps.iter().position(|found| found.id == server.id).unwrap_or(0);
        let stopped = self.runbook.steps[begun..position].iter().find(|stop| {
            matches!(&stop.action, Action::Stop { server, .. } if server.text == name.text) && !self.apart(stop, step)
        });
        if let Some(stop) = stopped {
            let what = format!("step '{}' waits for a server that step '{}' has stopped", step.id, stop.id);
            self.problem(name.at, what, "move it before that step");
        }
    }

    /// The two are never due in the same plan.
    fn apart(&self, one: &RunbookStep, other: &RunbookStep) -> bool {
        let (one, other) = (self.allowed(one), self.allowed(other));
        one.iter().any(|(name, left)| other.get(name).is_some_and(|right: &Allowed| left.and(right).is_empty()))
    }
}

/// Whenever `narrow` is due as far as `only_after` goes, `wide` is.
fn follows(narrow: &RunbookStep, wide: &RunbookStep) -> bool {
    let name = |step: &'_ RunbookStep| step.only_after.as_ref().map(|after| after.text.clone());
    name(wide).is_none_or(|wide| name(narrow) == Some(wide))
}
