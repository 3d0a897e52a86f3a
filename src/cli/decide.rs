//! `lifeboat decide`: choose the way on at a decision, or past a step that is held.

use super::seat::{self, Claim, TakeOver};
use super::terminal::{self, Letters};
use super::{Context, Exit};
use crate::domain::event::{Operator, Via};
use crate::domain::plan::{Step, StepId, StepKind};
use crate::domain::run::Run;
use crate::engine::client::{self, ClientError};
use crate::planning::machine::Request;
use crate::planning::target::{RecoveryTarget, TargetError, understand};
use crate::report;
use anyhow::Context as _;
use chrono::{Local, TimeZone, Utc};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::io::Write;

/// Arguments of `lifeboat decide`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run.
    run: String,
    /// The decision.
    step: String,
    /// The way on; without it the decision is shown and nothing is decided.
    choice: Option<String>,
    /// What the choice asks for: target=…, exclusive=true or false (recovery stops right before the target unless false).
    #[arg(value_name = "NAME=VALUE")]
    values: Vec<String>,
    /// Whether to answer although somebody else drives it.
    #[command(flatten)]
    how: TakeOver,
}

/// Runs the subcommand.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let folder = context.run_folder(&args.run)?;
    let id = StepId::new(&args.step)?;
    let (run, _, _) = folder.load()?;
    let mut out = std::io::stdout().lock();
    let (step, _) = run
        .step(&id)
        .filter(|(step, _)| matches!(step.kind, StepKind::Decision { .. }))
        .with_context(|| format!("run {} has no decision '{id}'", run.id))?;
    let open = run.open_decision().filter(|(open, _)| open.id == id);
    let Some(choice) = &args.choice else {
        let letters = Letters::of(context);
        let (program, columns) = (context.program(), terminal::width());
        let mut lines = report::lines::held(&run, &program, columns);
        if let Some((step, gate)) = open {
            lines.extend(report::gate::lines(&run, step, gate, columns));
            lines.extend(report::lines::waiting(&run, step, &program, columns));
        }
        anyhow::ensure!(
            !lines.is_empty(),
            "decision '{id}' of run {} does not wait: it is {}",
            run.id,
            run.outcome_word()
        );
        for line in &lines {
            writeln!(out, "{}", letters.show(line))?;
        }
        return Ok(Exit::Waiting);
    };
    let mut values = BTreeMap::new();
    for pair in &args.values {
        let (name, value) = pair.split_once('=').with_context(|| format!("'{pair}': write it as NAME=VALUE"))?;
        anyhow::ensure!(values.insert(name.to_owned(), value.to_owned()).is_none(), "'{name}' is given twice");
    }
    drop(out);
    let _seat = match Claim::once(context, &folder, args.how)? {
        Claim::Granted(seat) => seat,
        Claim::Driven(why) => return seat::left(context, "nothing was decided", &why),
    };
    client::ensure_runner(&folder, &context.socket(&folder.id)?)?;
    let sequence = open.map_or(0, |(_, gate)| gate.sequence);
    let zone = context.settings.operator.timezone;
    let asked = request(&run, step, sequence, (choice.clone(), values), zone, context.operator(), Via::Request);
    let request = match asked {
        Ok(request) => request,
        Err(why) => {
            writeln!(std::io::stderr().lock(), "lifeboat: nothing was decided: {why}")?;
            return Ok(Exit::Usage);
        }
    };
    match client::request(&folder, &request) {
        Ok(sequence) => {
            writeln!(
                std::io::stdout().lock(),
                "Chosen for run {} (journal entry {sequence}). To follow it:\n   {} attach {}",
                folder.id,
                context.program(),
                folder.id
            )?;
            Ok(Exit::Done)
        }
        Err(ClientError::Refused(why)) => {
            writeln!(std::io::stderr().lock(), "lifeboat: nothing was decided: {why}")?;
            Ok(Exit::Waiting)
        }
        Err(error) => Err(error.into()),
    }
}

/// `CHOICE TARGET [inclusive|exclusive]`, as it is typed at the decision.
#[must_use]
pub fn typed(text: &str) -> (String, BTreeMap<String, String>) {
    let text = text.trim();
    let (choice, mut rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    rest = rest.trim();
    let mut values = BTreeMap::new();
    for (word, exclusive) in [(" inclusive", "false"), (" exclusive", "true")] {
        if let Some(before) = rest.strip_suffix(word) {
            rest = before.trim_end();
            values.insert("exclusive".to_owned(), exclusive.to_owned());
        }
    }
    let target = rest.strip_prefix("target=").unwrap_or(rest);
    if !target.is_empty() {
        values.insert("target".to_owned(), target.to_owned());
    }
    (choice.to_owned(), values)
}

/// The request for a choice. A target is read here as well, with this host's clock and the operator's zone (the host's
/// where none is set): a moment seen from now is sent as what it means, and what is ambiguous is refused with its readings.
///
/// # Errors
/// Why the target can't be meant.
pub fn request(
    run: &Run,
    step: &Step,
    sequence: u64,
    (choice, mut values): (String, BTreeMap<String, String>),
    zone: Option<Tz>,
    by: Operator,
    via: Via,
) -> Result<Request, String> {
    if let Some(target) = values.get_mut("target") {
        let meant = match zone {
            Some(zone) => meant(target, &zone),
            None => meant(target, &Local),
        };
        *target = meant.map_err(|error| error.to_string())?;
    }
    let (step, seal) = (step.id.clone(), run.plan.seal);
    Ok(Request::Decide { step, sequence, seal, choice, values, by, via })
}

/// A target as it is sent: what is absolute as it was typed, a moment seen from now as what it means.
fn meant<Z: TimeZone>(target: &str, zone: &Z) -> Result<String, TargetError> {
    let now = Utc::now();
    let understood = understand(target, false, now, zone).and_then(|found| found.said(target, zone))?;
    let is_absolute = RecoveryTarget::parse(target, false, now, zone).is_ok();
    Ok(if is_absolute { target.to_owned() } else { understood.given() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_choice_with_its_target() {
        let values = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(typed(" promote "), ("promote".to_owned(), values(&[])));
        assert_eq!(
            typed("forward 2026-11-22 02:13:00+03 inclusive"),
            ("forward".to_owned(), values(&[("target", "2026-11-22 02:13:00+03"), ("exclusive", "false")]))
        );
        assert_eq!(typed("back target=0/3000028"), ("back".to_owned(), values(&[("target", "0/3000028")])));
    }
}
