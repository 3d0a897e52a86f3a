//! Text from outside reaches the screen as marks, whatever it tries.

use crate::support::{AT_GATE, RESTORING, at_run, filled, news, open_card, picture, press, proposal, reply, text};
use crate::tricks::TRICKS;
use lifeboat::domain::inventory::LastDrills;
use lifeboat::domain::plan::{Argument, Plan, StepKind};
use lifeboat::ui::action::{Action, OutputKey};
use lifeboat::ui::event::{OutputPage, Reply};
use lifeboat::ui::model::Model;
use lifeboat::ui::theme::Depth;

fn hostile() -> String {
    TRICKS.concat() + "\u{7f}\0"
}

fn spoil(plan: &mut Plan) {
    plan.title = hostile();
    plan.runbook = hostile();
    plan.parameters.insert("target".into(), hostile());
    plan.facts.identity.insert("set".into(), hostile());
    for step in &mut plan.steps {
        step.title = hostile();
        step.why = hostile();
        step.failure = hostile();
        match &mut step.kind {
            StepKind::Gate { answer, shows } => {
                *answer = hostile();
                for shown in shows {
                    shown.label = hostile();
                    shown.value = Argument::text(hostile());
                }
            }
            StepKind::Command { command } | StepKind::Server { command } | StepKind::Sql { command } => {
                command.argv.push(Argument::text(hostile()));
            }
            _ => {}
        }
    }
}

/// No cell holds what a terminal would obey, or what can't be seen; and all of it is ASCII where that is wanted.
fn assert_harmless(model: &Model, what: &str) {
    let buffer = picture(model);
    for cell in &buffer.content {
        for letter in cell.symbol().chars() {
            let hidden = letter.is_control() || "\u{200b}\u{202e}\u{feff}\u{2028}".contains(letter);
            assert!(!hidden, "{what}: {letter:?}\n{}", text(&buffer));
        }
    }
    assert!(!model.setup.ascii || text(&buffer).is_ascii(), "{what}:\n{}", text(&buffer));
}

fn depths() -> [Depth; 2] {
    [Depth::True, Depth::None]
}

#[test]
fn names_and_messages() {
    for depth in depths() {
        for size in [(80, 24), (200, 60)] {
            let mut model = filled(size, depth);
            let mut inventory = crate::support::inventory("05");
            inventory.stanzas[0].name = hostile();
            inventory.stanzas[0].repositories[0].status.message = hostile();
            inventory.stanzas[0].repositories[0].cipher = hostile().into();
            reply(&mut model, Reply::Inventory(Ok(inventory.into()), LastDrills::new()));
            assert_harmless(&model, "inventory");
            press(&mut model, &["Home"]);
            assert_harmless(&model, "repository");
            press(&mut model, &["s"]);
            assert_harmless(&model, "switch");
            press(&mut model, &["Esc", "2"]);
            assert_harmless(&model, "timeline");
            reply(&mut model, Reply::Failed(hostile()));
            assert_harmless(&model, "notice");
            let mut card = open_card();
            if let Ok(told) = &mut card.told {
                (told.by, told.runbook, told.about) = (hostile(), hostile(), hostile());
            }
            reply(&mut model, Reply::Runs(Ok(vec![card])));
            press(&mut model, &["4"]);
            assert_harmless(&model, "runs");
            let mut model = crate::support::opened(size, depth);
            model.setup.host = hostile();
            reply(&mut model, Reply::Inventory(Err(hostile()), LastDrills::new()));
            assert_harmless(&model, "nothing found");
        }
    }
}

#[test]
fn plans_runs_gates_and_outputs() {
    for depth in depths() {
        let mut model = filled((120, 40), depth);
        press(&mut model, &["d"]);
        let mut proposal = proposal();
        spoil(&mut proposal.plan);
        proposal.choice.reason = hostile();
        let ticket = model.plan.ticket;
        reply(&mut model, Reply::Proposal(ticket, Ok(Box::new(proposal))));
        assert_harmless(&model, "plan");
        press(&mut model, &["Tab", "End"]);
        assert_harmless(&model, "the plan's end");
        let mut model = at_run((80, 24), depth, RESTORING);
        let key = OutputKey { run: crate::support::id(), position: 2, attempt: 1 };
        let page =
            OutputPage { start: 0, end: 9, length: 9, lines: TRICKS.iter().map(|line| (0, (*line).into())).collect() };
        reply(&mut model, Reply::Output(key, page));
        assert_harmless(&model, "output");
        press(&mut model, &["w"]);
        assert_harmless(&model, "wrapped output");
        let mut model = at_run((80, 24), depth, AT_GATE);
        let run = model.run.as_mut().and_then(|state| state.run.as_mut()).unwrap();
        spoil(&mut run.plan);
        run.host.name = hostile();
        assert_harmless(&model, "run");
        press(&mut model, &["g"]);
        for trick in TRICKS {
            crate::support::type_text(&mut model, trick);
        }
        assert_harmless(&model, "gate");
        reply(&mut model, Reply::Transcript(crate::support::id(), Ok(vec![hostile()])));
    }
}

#[test]
fn what_a_notification_says_is_cleaned() {
    let mut model = at_run((80, 24), Depth::True, 6);
    news(&mut model, 6);
    let mut run = crate::support::run(AT_GATE);
    spoil(&mut run.plan);
    let news =
        lifeboat::ui::event::RunNews { run: Some(Box::new(run)), is_runner_alive: true, progress: None, driver: None };
    for action in reply(&mut model, Reply::Run(news)) {
        if let Action::Notify(text) | Action::Title(text) = action {
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
}
