//! Targets as they are typed: what was understood is shown at once, and what can mean two moments is asked.

use crate::support::{filled, ground, press, reply, runbooks, screen, type_text};
use chrono_tz::Europe::Berlin;
use lifeboat::engine::ground::Ground;
use lifeboat::ui::action::Action;
use lifeboat::ui::event::Reply;
use lifeboat::ui::model::{Model, Popup};
use lifeboat::ui::theme::Depth;
use lifeboat::ui::times::Zone;

/// The line for the target, with this text in it. It is 09:40 in UTC, 12:40 for the operator.
fn typed(text: &str) -> Model {
    let mut model = filled((100, 30), Depth::True);
    press(&mut model, &["2", "t"]);
    type_text(&mut model, text);
    model
}

#[test]
fn a_time_is_shown_in_all_three_zones_before_it_is_taken() {
    for (text, utc, yours) in [
        ("12:13", "2026-11-22 09:13:00 +00:00", "2026-11-22 12:13:00 +03:00"),
        ("yesterday 02:13 +03", "2026-11-20 23:13:00 +00:00", "2026-11-21 02:13:00 +03:00"),
        ("10 minutes ago", "2026-11-22 09:30:00 +00:00", "2026-11-22 12:30:00 +03:00"),
    ] {
        let mut model = typed(text);
        let shown = screen(&model);
        assert!(shown.contains(&format!("UTC      {utc}")), "{text}:\n{shown}");
        assert!(shown.contains(&format!("server   {utc}")) && shown.contains(&format!("yours    {yours}")), "{shown}");
        assert_eq!(shown.contains("read as your time"), text == "12:13", "{text}:\n{shown}");
        press(&mut model, &["Enter"]);
        assert!(model.popup.is_none() && model.timeline.at.is_some(), "{text}");
        assert!(screen(&model).contains(&utc[..16]), "{text}");
    }
}

#[test]
fn a_position_a_transaction_and_a_name_are_understood() {
    for (text, told) in
        [("0/3000028", "lsn 0/3000028"), ("812", "xid 812"), ("name:before release", "name before release")]
    {
        let mut model = typed(text);
        assert!(screen(&model).contains(&format!("understood as {told}")), "{}", screen(&model));
        press(&mut model, &["Enter"]);
        assert!(model.timeline.typed.is_some(), "{text}");
    }
}

#[test]
fn an_hour_that_comes_twice_is_asked_for() {
    let mut model = filled((100, 30), Depth::True);
    model.setup.zone = Zone::Named(Berlin);
    press(&mut model, &["2", "t"]);
    type_text(&mut model, "2026-10-25 02:30");
    assert!(screen(&model).contains("more than one moment"), "{}", screen(&model));
    press(&mut model, &["Enter"]);
    let Some(Popup::Picker { items, .. }) = &model.popup else { panic!("{}", screen(&model)) };
    let labels: Vec<&str> = items.iter().map(|item| item.label.as_str()).collect();
    assert_eq!(labels, ["2026-10-25 02:30:00+00", "2026-10-25 02:30:00+02:00", "2026-10-25 02:30:00+01:00"]);
    press(&mut model, &["Down", "Down", "Enter"]);
    assert_eq!(model.timeline.at.map(|at| at.to_rfc3339()), Some("2026-10-25T01:30:00+00:00".to_owned()));
}

#[test]
fn a_target_that_is_not_understood_is_asked_again() {
    let mut model = typed("tomorrow");
    press(&mut model, &["Enter"]);
    assert!(matches!(model.popup, Some(Popup::Input { .. })) && model.timeline.at.is_none());
    assert!(screen(&model).contains("not understood yet"));
}

#[test]
fn the_plan_is_given_the_absolute_moment() {
    let mut model = filled((100, 30), Depth::True);
    reply(&mut model, Reply::Runbooks(Ok(runbooks())));
    press(&mut model, &["3", "Enter"]);
    let names: Vec<String> = model
        .runbooks
        .cards
        .iter()
        .flatten()
        .filter_map(|card| card.runbook.as_ref().ok())
        .flat_map(|runbook| runbook.parameters.keys().cloned())
        .collect();
    let place = names.iter().position(|name| name == "target").unwrap();
    press(&mut model, &vec!["Down"; place]);
    press(&mut model, &["Enter", "^U"]);
    type_text(&mut model, "10 minutes ago");
    assert!(screen(&model).contains("UTC      2026-11-22 09:30:00 +00:00"), "{}", screen(&model));
    let asked = press(&mut model, &["Enter"]);
    let given = asked.iter().find_map(|action| match action {
        Action::Propose { given, .. } => given.get("target").cloned(),
        _ => None,
    });
    assert_eq!(given.as_deref(), Some("time:2026-11-22 09:30:00.000000+00"));
}

#[test]
fn the_servers_time_is_its_own_where_its_configuration_can_be_read_and_else_said_to_be_the_hosts() {
    let typed = |zone: Option<chrono_tz::Tz>| {
        let mut model = filled((80, 24), Depth::True);
        press(&mut model, &["2", "t"]);
        type_text(&mut model, "2026-11-22 11:13:00+03");
        // It may be known only after it was typed.
        reply(&mut model, Reply::Ground("main".into(), Ground { server_zone: zone, ..ground() }));
        screen(&model)
    };
    let own = typed(Some(chrono_tz::America::New_York));
    assert!(own.contains("server   2026-11-22 03:13:00 -05:00  America/New_York"), "{own}");
    let host = typed(None);
    assert!(host.contains("server   2026-11-22 08:13:00 +00:00  the host's: its own is unknown"), "{host}");
}
