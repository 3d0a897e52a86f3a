//! `lifeboat approve`: answer a gate that waits, without following the run.

use super::seat::{self, Claim, TakeOver};
use super::terminal::{self, Letters};
use super::{Context, Exit};
use crate::domain::event::Via;
use crate::domain::plan::StepId;
use crate::engine::client::{self, ClientError};
use crate::planning::machine::Request;
use crate::report;
use std::io::Write;

/// Arguments of `lifeboat approve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run.
    run: String,
    /// The gate.
    step: String,
    /// What the gate asks for, to the letter; without it the gate is shown and nothing is approved.
    answer: Option<String>,
    /// The seal you reviewed, or its beginning: refused when the plan is another one now.
    #[arg(long, value_name = "HEX")]
    seal: Option<String>,
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
    let step = StepId::new(&args.step)?;
    let (run, _, _) = folder.load()?;
    let mut out = std::io::stdout().lock();
    let gate = run.open_gate().filter(|(open, _)| open.id == step);
    let (Some((planned, gate)), Some(answer)) = (gate, &args.answer) else {
        match gate {
            Some((planned, gate)) => {
                let letters = Letters::of(context);
                let waiting = report::lines::waiting(&run, planned, &context.program(), terminal::width());
                for line in report::gate::lines(&run, planned, gate, terminal::width()).iter().chain(&waiting) {
                    writeln!(out, "{}", letters.show(line))?;
                }
                return Ok(Exit::Waiting);
            }
            None => anyhow::bail!("run {} has no gate '{step}' that waits: it is {}", run.id, run.outcome_word()),
        }
    };
    if let Some(seen) = &args.seal {
        let digits: String = seen.chars().filter(|letter| !letter.is_whitespace()).collect();
        anyhow::ensure!(
            digits.len() >= 8 && gate.seal.to_string().starts_with(&digits.to_lowercase()),
            "the plan's seal is {} now, not {seen}: look at the gate, then answer",
            gate.seal.short()
        );
    }
    drop(out);
    let _seat = match Claim::once(context, &folder, args.how)? {
        Claim::Granted(seat) => seat,
        Claim::Driven(why) => return seat::left(context, "not approved", &why),
    };
    client::ensure_runner(&folder, &context.socket(&folder.id)?)?;
    let request = Request::Approve {
        step,
        sequence: gate.sequence,
        seal: gate.seal,
        answer: answer.clone(),
        by: context.operator(),
        via: Via::Request,
    };
    match client::request(&folder, &request) {
        Ok(sequence) => {
            writeln!(
                std::io::stdout().lock(),
                "approved '{}' of run {} (journal entry {sequence})",
                planned.id,
                run.id
            )?;
            Ok(Exit::Done)
        }
        Err(ClientError::Refused(why)) => {
            writeln!(std::io::stderr().lock(), "not approved: {why}")?;
            Ok(Exit::Waiting)
        }
        Err(error) => Err(error.into()),
    }
}
