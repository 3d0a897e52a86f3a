//! The driver's seat of a run, for the subcommands that answer for it: one drives, and taking over asks.

use super::gate::{self, Typed};
use super::terminal::{self, Letters};
use super::{Context, Exit};
use crate::engine::clock;
use crate::engine::seat::{self, Driver, Seat};
use crate::engine::store::RunFolder;
use crate::report::gate::hanging;
use std::io::{self, IsTerminal, Write};

/// What is typed to drive a run that somebody else drives.
const WORDS: &str = "take over";

/// The option of a subcommand that answers for a run.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct TakeOver {
    /// Answer although somebody else's console drives the run.
    #[arg(long)]
    pub take_over: bool,
}

/// Whether a run may be answered for.
#[derive(Debug)]
pub enum Claim {
    /// It may; the seat, where it was taken, is kept as long as this lives.
    Granted(Option<Seat>),
    /// Somebody else drives it, and nothing is sent: the words for it.
    Driven(String),
}

impl Claim {
    /// The claim of a subcommand that answers once: it looks, and takes the seat only from somebody.
    ///
    /// # Errors
    /// When the seat can't be taken over, or the terminal fails.
    pub fn once(context: &Context, folder: &RunFolder, how: TakeOver) -> anyhow::Result<Claim> {
        let asks = io::stdin().is_terminal() && io::stdout().is_terminal();
        claim(context, folder, how, asks, false)
    }
}

/// Looks who drives the run. Where somebody else does, it is asked on the terminal (`asks`) whether to take over; where
/// nobody does, the seat is taken if this one `stays`.
///
/// # Errors
/// When the seat can't be taken over, or the terminal fails.
pub fn claim(context: &Context, folder: &RunFolder, how: TakeOver, asks: bool, stays: bool) -> anyhow::Result<Claim> {
    let take = || Seat::take(folder, &context.operator(), clock::now());
    let Some(driver) = other(folder) else {
        // A seat that can't be written keeps nobody from answering.
        return Ok(Claim::Granted(if stays { take().ok() } else { None }));
    };
    if how.take_over || (asks && is_taken_over(context, folder, &driver)?) {
        return Ok(Claim::Granted(Some(take()?)));
    }
    let how = if asks { "" } else { ". Ask them first; to answer for it from here all the same: --take-over" };
    Ok(Claim::Driven(format!("{}{how}", words(&driver))))
}

/// Whoever else drives the run.
#[must_use]
pub fn other(folder: &RunFolder) -> Option<Driver> {
    seat::driver(folder).filter(|driver| driver.pid != std::process::id())
}

/// Who drives, for a person.
#[must_use]
pub fn words(driver: &Driver) -> String {
    let since = driver.since.to_utc().format("%H:%M:%SZ");
    format!("{} drives this run since {since}, from a console of their own (process {})", driver.name, driver.pid)
}

fn is_taken_over(context: &Context, folder: &RunFolder, driver: &Driver) -> anyhow::Result<bool> {
    let letters = Letters::of(context);
    let told = [
        format!("{}. Nothing was sent yet. Ask them first, if you can.", words(driver)),
        format!("Type {WORDS} and Enter to drive it from here. Esc leaves it to {}.", driver.name),
    ];
    let mut out = io::stdout().lock();
    for line in told.iter().flat_map(|line| hanging("   ! ", line, terminal::width())) {
        writeln!(out, "{}", letters.show(&line))?;
    }
    drop(out);
    loop {
        match gate::ask("   > ", letters, || Ok(other(folder).is_some()))? {
            Typed::Answer(typed) if typed == WORDS => return Ok(true),
            Typed::Answer(_) => {
                writeln!(io::stdout().lock(), "{}", letters.show(&format!("   ! not taken over: type {WORDS}")))?;
            }
            Typed::Left => return Ok(false),
            // Who drove it has left.
            Typed::Gone => return Ok(true),
        }
    }
}

/// Says that nothing was sent, and why.
///
/// # Errors
/// When standard error can't be written.
pub fn left(context: &Context, what: &str, why: &str) -> anyhow::Result<Exit> {
    writeln!(io::stderr().lock(), "{}", Letters::of(context).show(&format!("lifeboat: {what}: {why}")))?;
    Ok(Exit::Waiting)
}
