//! The rehearsal's accident and its score.

use super::{Args, Exit, say_json};
use crate::engine::rehearsal::{self, AccidentOptions, Rehearsal, RehearsalError, Scenario, Score};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Lets the accident happen and prints the page.
pub(super) fn happen(rehearsal: &mut Rehearsal, args: &Args, interrupted: &Arc<AtomicBool>) -> anyhow::Result<Exit> {
    let options = AccidentOptions {
        scenario: args.scenario.unwrap_or(Scenario::DeletedRows),
        seed: args.seed,
        interrupted: Arc::clone(interrupted),
    };
    // A closed terminal is no reason to leave it half done.
    let _ = writeln!(io::stderr().lock(), "The shop is open. Somebody will page you.");
    let page = match rehearsal::cause(rehearsal, &options) {
        Ok(page) => page,
        Err(RehearsalError::Interrupted) => return Ok(Exit::Aborted),
        Err(error) => return Err(error.into()),
    };
    if args.json {
        say_json(rehearsal, None)?;
        return Ok(Exit::Done);
    }
    let layout = &rehearsal.layout;
    let (directory, settings) = (layout.directory.display(), layout.settings());
    writeln!(
        io::stdout().lock(),
        "
{page}
Settings          {settings}
Data directory    {production}
The page again    {again}
Look              lifeboat --settings {settings} inventory
Score, at the end lifeboat rehearse --score {directory}
End and remove    lifeboat rehearse --stop {directory}",
        settings = settings.display(),
        production = layout.production().display(),
        again = layout.page().display(),
    )?;
    Ok(Exit::Done)
}

/// Prints the score of a practice cluster whose server runs.
pub(super) fn score(directory: &Path, args: &Args) -> anyhow::Result<Exit> {
    let rehearsal = Rehearsal::open(directory)?;
    let score = rehearsal::score(&rehearsal)?;
    let exit = if score.is_perfect() { Exit::Done } else { Exit::Failed };
    if args.json {
        say_json(&rehearsal, Some(&score))?;
    } else {
        io::stdout().lock().write_all(in_words(&score).as_bytes())?;
    }
    Ok(exit)
}

pub(super) fn in_words(score: &Score) -> String {
    let Score { rows_expected, rows_lost, rows_left, .. } = score;
    let seconds = score.seconds.map_or("-".to_owned(), |seconds| format!("{seconds} s"));
    let mut text = format!(
        "Rows lost         {rows_lost} of {rows_expected}
Rows left         {rows_left} committed after the accident
Time              {seconds} from the page to the first order
"
    );
    for line in &score.right {
        text.push_str(&format!("  + {line}\n"));
    }
    for line in &score.wrong {
        text.push_str(&format!("  - {line}\n"));
    }
    text
}
