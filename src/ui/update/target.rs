//! Targets as a person types them: what was understood stands below the line at once, and what can be meant in more
//! than one way is asked.

use super::{accident, go, plan, popup};
use crate::domain::text::clean;
use crate::planning::target::{RecoveryTarget, TargetError, Understood, understand as read};
use crate::ui::action::Action;
use crate::ui::model::{Item, Model, Page, Popup, Purpose, Value};
use crate::ui::times::{Zone, ago};
use chrono::Local;
use std::collections::BTreeMap;

/// The parameter that holds a target.
pub(super) const PARAMETER: &str = "target";

/// Asks for the target on the timeline.
pub(super) fn ask(model: &mut Model, out: &mut Vec<Action>) {
    if model.page() != Page::Timeline {
        go::timeline(model, out);
    }
    let title = "Recover to: a time (02:13, yesterday 02:13 +03, 10 minutes ago), an LSN, a transaction id, name:POINT";
    put(model, Purpose::Target, title, "");
}

/// Puts the question in front, with what is understood of the text so far.
pub(super) fn put(model: &mut Model, purpose: Purpose, title: &str, text: &str) {
    let mut popup = Popup::input(purpose, title, text);
    understand(model, &mut popup);
    model.popup = Some(popup);
}

/// Says it anew: something is known that was not when it was typed.
pub(super) fn again(model: &mut Model) {
    if let Some(mut popup) = model.popup.take() {
        understand(model, &mut popup);
        model.popup = Some(popup);
    }
}

/// Says what was understood of what was typed, where a target is asked for.
pub(super) fn understand(model: &Model, popup: &mut Popup) {
    accident::understand(model, popup);
    let Popup::Input { purpose, text, told, .. } = popup else { return };
    match purpose {
        Purpose::Target | Purpose::Way(..) => {}
        Purpose::Parameter(name) if name == PARAMETER => {}
        _ => return,
    }
    let zone = model.setup.zone;
    *told = match parse(model, &target_and_side(text).0) {
        _ if text.trim().is_empty() => {
            let example = zone.local(model.utc());
            vec![format!("for example {}{}", example.format("%Y-%m-%d %H:%M"), zone.offset(model.utc()))]
        }
        Ok(Understood { target: RecoveryTarget::Time { at, .. }, is_zone_assumed }) => {
            let found = model.inventory.ground().and_then(|ground| ground.server_zone);
            let (server, whose) = match found {
                Some(zone) => (Zone::Named(zone).local(at), zone.name()),
                None => (model.setup.server_zone.local(at), "the host's: its own is unknown"),
            };
            let mut lines = vec![
                format!("UTC      {}", at.format("%Y-%m-%d %H:%M:%S%.f +00:00")),
                format!("server   {}  {whose}", server.format("%Y-%m-%d %H:%M:%S%.f %:z")),
                format!("yours    {}", zone.local(at).format("%Y-%m-%d %H:%M:%S%.f %:z")),
                format!("         {}", ago(at, model.utc())),
            ];
            if is_zone_assumed {
                lines.push("no offset was typed: it was read as your time".to_owned());
            }
            lines
        }
        Ok(other) => vec![format!("understood as {}", other.target)],
        Err(TargetError::NoOffset { readings, .. }) => {
            let mut lines = vec!["it can mean more than one moment; Enter asks which:".to_owned()];
            lines.extend(readings.iter().map(|reading| clean(reading)));
            lines
        }
        Err(why) => clean(&why.to_string()).split(". ").map(str::to_owned).collect(),
    };
}

fn parse(model: &Model, text: &str) -> Result<Understood, TargetError> {
    let text = text.trim();
    // A bare number is a transaction's: it is shown as such before anything is done with it.
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = if is_number { format!("xid:{text}") } else { text.to_owned() };
    match model.setup.zone {
        Zone::Named(zone) => read(&text, false, model.utc(), &zone),
        Zone::Host => read(&text, false, model.utc(), &Local),
    }
}

/// The line was taken: the target goes where it was asked for, or it is asked again.
pub(super) fn accept(model: &mut Model, purpose: Purpose, text: &str, out: &mut Vec<Action>) {
    let (typed, exclusive) = target_and_side(text);
    let understood = match parse(model, &typed) {
        Ok(understood) => understood,
        Err(TargetError::NoOffset { readings, .. }) => {
            which(model, &purpose, &readings, exclusive);
            return;
        }
        // Nothing given is the machine's own to fill in.
        Err(_) if text.trim().is_empty() && matches!(purpose, Purpose::Parameter(_)) => {
            if let Purpose::Parameter(name) = purpose {
                plan::give(model, &name, String::new(), out);
            }
            return;
        }
        Err(_) => {
            put(model, purpose, "This is not understood yet", text);
            return;
        }
    };
    // What is absolute goes on as it was typed, everything else as what it means.
    let is_absolute = RecoveryTarget::parse(&typed, false, model.utc(), &chrono::Utc).is_ok();
    let given = if is_absolute { typed } else { understood.given() };
    match purpose {
        Purpose::Target => {
            take(model, understood.target);
            model.timeline.choose(&model.inventory);
        }
        Purpose::Way(step, choice) => {
            let mut values = BTreeMap::from([(PARAMETER.to_owned(), given)]);
            values.extend(exclusive.map(|exclusive| ("exclusive".to_owned(), exclusive.to_owned())));
            popup::decide(model, step, &choice, values, out);
        }
        Purpose::Parameter(name) => plan::give(model, &name, given, out),
        Purpose::Accident | Purpose::Filter | Purpose::Search | Purpose::Abort => {}
    }
}

/// Which of the moments is meant.
fn which(model: &mut Model, purpose: &Purpose, readings: &[String], exclusive: Option<&'static str>) {
    let side = match exclusive {
        Some("false") => " inclusive",
        Some(_) => " exclusive",
        None => "",
    };
    let item = |reading: &String| {
        let (text, about) = reading.split_once(" (")?;
        let value = Value::Target(purpose.clone(), format!("{text}{side}"));
        Some(Item { label: text.to_owned(), about: about.trim_end_matches(')').to_owned(), value })
    };
    let items: Vec<Item> = readings.iter().filter_map(item).collect();
    let about = vec!["Without its offset this time is more than one moment, or none of your zone's clocks.".to_owned()];
    model.popup = Some(Popup::picker("Which moment is meant?", about, items));
}

fn take(model: &mut Model, target: RecoveryTarget) {
    model.timeline.typed = None;
    match target {
        RecoveryTarget::Time { at, exclusive: false } => model.timeline.at = Some(at),
        RecoveryTarget::Latest => model.timeline.at = None,
        other => model.timeline.typed = Some(other),
    }
}

/// A target and on which side of it recovery stops: `2026-11-22 02:13:00+03 inclusive`.
fn target_and_side(text: &str) -> (String, Option<&'static str>) {
    let text = text.trim();
    let side = [(" inclusive", "false"), (" exclusive", "true")];
    match side.iter().find_map(|(word, exclusive)| Some((text.strip_suffix(word)?, *exclusive))) {
        Some((target, exclusive)) => (target.trim_end().to_owned(), Some(exclusive)),
        None => (text.to_owned(), None),
    }
}
