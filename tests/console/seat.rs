//! Two consoles on one run show the same; one drives, and the other asks before it takes over.

use crate::support::{AT_GATE, at_run, id, news, now, press, reply, run, screen};
use lifeboat::engine::seat::Driver;
use lifeboat::planning::machine::Request;
use lifeboat::ui::action::Action;
use lifeboat::ui::event::{Reply, RunNews};
use lifeboat::ui::theme::Depth;

fn anna() -> Driver {
    Driver { name: "anna".into(), pid: 4242, since: now() - chrono::TimeDelta::minutes(12) }
}

/// The request that is sent, and whether it takes the run over.
fn sent(actions: &[Action]) -> Option<(Request, bool)> {
    actions.iter().find_map(|action| match action {
        Action::Send { request, takes_over, .. } => Some(((**request).clone(), *takes_over)),
        _ => None,
    })
}

#[test]
fn the_answer_of_a_second_console_asks_once_whether_to_take_over() {
    let mut model = at_run((80, 24), Depth::True, AT_GATE);
    let typed = press(&mut model, &["g", "m", "a", "i", "n", "Enter"]);
    let (request, takes_over) = sent(&typed).unwrap();
    assert!(!takes_over, "it does not push anybody aside by itself");
    reply(&mut model, Reply::Driven(id(), Box::new(request.clone()), anna()));
    let shown = screen(&model);
    assert!(shown.contains("anna drives this run since 09:28:00Z") && shown.contains("take over?"), "{shown}");
    // Enter alone leaves it to whoever drives.
    assert_eq!(sent(&press(&mut model, &["Enter"])), None);
    assert!(model.popup.is_none());
    reply(&mut model, Reply::Driven(id(), Box::new(request.clone()), anna()));
    assert_eq!(sent(&press(&mut model, &["Down", "Enter"])), Some((request, true)));
    // It is the runner that says what the answer was worth.
    reply(&mut model, Reply::Answered(id(), Err("the gate has opened again since you looked".into())));
    assert!(screen(&model).contains("not approved: the gate has opened again"), "{}", screen(&model));
}

#[test]
fn a_key_right_behind_the_question_takes_nothing_over() {
    let mut model = at_run((80, 24), Depth::True, AT_GATE);
    let typed = press(&mut model, &["g", "m", "a", "i", "n", "Enter"]);
    let (request, _) = sent(&typed).unwrap();
    reply(&mut model, Reply::Driven(id(), Box::new(request), anna()));
    let at = model.last_key + std::time::Duration::from_millis(20);
    for name in ["Down", "Enter"] {
        let event = lifeboat::ui::event::Event::Key(crate::support::key(name), at);
        assert_eq!(sent(&lifeboat::ui::update::update(&mut model, event)), None);
    }
}

#[test]
fn both_show_the_same_and_who_drives() {
    let mut model = at_run((80, 24), Depth::True, AT_GATE);
    let alone = screen(&model);
    assert!(!alone.contains("drives it"), "{alone}");
    let told =
        RunNews { run: Some(Box::new(run(AT_GATE))), is_runner_alive: true, progress: None, driver: Some(anna()) };
    reply(&mut model, Reply::Run(told));
    let shown = screen(&model);
    assert!(shown.contains("anna drives it"), "{shown}");
    assert_eq!(alone.lines().skip(3).collect::<Vec<_>>(), shown.lines().skip(3).collect::<Vec<_>>());
    news(&mut model, AT_GATE);
    assert_eq!(screen(&model), alone, "who left drives no more");
}
