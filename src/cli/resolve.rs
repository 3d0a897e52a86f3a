//! `lifeboat resolve`: decide about a step whose outcome nobody saw, or one that failed and is held.

use super::seat::{self, Claim, TakeOver};
use super::terminal::{self, Letters};
use super::{Context, Exit};
use crate::domain::event::Resolution;
use crate::domain::plan::StepId;
use crate::domain::status::StepStatus;
use crate::engine::client::{self, ClientError};
use crate::planning::machine::Request;
use crate::report;
use std::io::Write;

/// Arguments of `lifeboat resolve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run.
    run: String,
    /// The step.
    step: String,
    /// The decision; without it the evidence is shown and nothing is decided.
    #[arg(value_enum)]
    answer: Option<Answer>,
    /// Whether to answer although somebody else drives it.
    #[command(flatten)]
    how: TakeOver,
}

/// What can be decided.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Answer {
    /// It was done: go on after it.
    Done,
    /// Run it again.
    Again,
    /// End the run.
    Abort,
}

/// Runs the subcommand.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let folder = context.run_folder(&args.run)?;
    let step = StepId::new(&args.step)?;
    let mut out = std::io::stdout().lock();
    let Some(answer) = args.answer else {
        let (run, _, _) = folder.load()?;
        let letters = Letters::of(context);
        let (program, columns) = (context.program(), terminal::width());
        let held = report::lines::held(&run, &program, columns);
        for line in report::lines::unknown(&run, &program, columns).iter().chain(&held) {
            writeln!(out, "{}", letters.show(line))?;
        }
        return Ok(match (run.unknown().next(), run.held().next()) {
            (Some(_), _) => Exit::Unknown,
            (None, Some(_)) => Exit::Waiting,
            (None, None) => Exit::Done,
        });
    };
    let answer = match answer {
        Answer::Done => Resolution::Done,
        Answer::Again => Resolution::Again,
        Answer::Abort => Resolution::Abort,
    };
    drop(out);
    let _seat = match Claim::once(context, &folder, args.how)? {
        Claim::Granted(seat) => seat,
        Claim::Driven(why) => return seat::left(context, "nothing was decided", &why),
    };
    client::ensure_runner(&folder, &context.socket(&folder.id)?)?;
    let request = Request::Resolve { step: step.clone(), answer, by: context.operator() };
    let sequence = match client::request(&folder, &request) {
        Ok(sequence) => sequence,
        Err(ClientError::Refused(why)) => {
            writeln!(std::io::stderr().lock(), "lifeboat: nothing was decided: {why}")?;
            let (run, _, _) = folder.load()?;
            let open = run.step(&step).is_some_and(|(_, state)| {
                matches!(state.status, StepStatus::Unknown | StepStatus::Held)
                    || (state.status.is_active() && run.ended.is_none())
            });
            return Ok(if open { Exit::Unknown } else { Exit::Usage });
        }
        Err(error) => return Err(error.into()),
    };
    writeln!(
        std::io::stdout().lock(),
        "Decided for run {} (journal entry {sequence}). To follow it:\n   {} attach {}",
        folder.id,
        context.program(),
        folder.id
    )?;
    Ok(Exit::Done)
}
