//! The rehearsal of an incident: the page, the engineer's own moment, a real recovery in place, the score.

use super::super::gate::{self, Typed};
use super::super::terminal::Letters;
use super::{Args, accident, evidence, newest_run, open_console, outcome_of, run_lifeboat, tell};
use super::{Context, Exit, Globals};
use crate::domain::run::Run;
use crate::engine::postgres::{LiveState, server_is_live};
use crate::engine::rehearsal::{self, Rehearsal, Scenario, Score};
use crate::planning::target::understand;
use crate::report::command_text::shell_word;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The runbook that is rehearsed.
const RUNBOOK: &str = "pitr-in-place";
/// The shop comes back some seconds after production does; the score wants its first order.
const FIRST_ORDER: Duration = Duration::from_secs(30);

/// Somebody sits there and can be asked.
pub(super) fn is_attended(args: &Args) -> bool {
    !args.json && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// How a rehearsal ended.
pub(super) struct Rehearsed {
    pub(super) exit: Exit,
    /// Everything came back that could, and nothing else: the practice cluster has served.
    pub(super) is_perfect: bool,
}

/// Lets the accident happen and leads through the recovery to its score.
pub(super) fn lead(rehearsal: &mut Rehearsal, args: &Args, interrupted: &Arc<AtomicBool>) -> anyhow::Result<Rehearsed> {
    let left = |exit| Ok(Rehearsed { exit, is_perfect: false });
    match accident::happen(rehearsal, args, interrupted)? {
        Exit::Done => {}
        other => return left(other),
    }
    let settings = rehearsal.layout.settings();
    let practice = Context::load(Globals { settings: Some(settings.clone()), ..Globals::default() })?;
    if !args.plain {
        return in_console(rehearsal, &practice, &settings, args);
    }
    tell(INTRODUCTION)?;
    if args.scenario != Some(Scenario::LostDataDirectory) {
        let settings = rehearsal.layout.settings();
        tell(&format!("{WHICH_MOMENT}{}\n\n", shell_word(&settings.to_string_lossy())))?;
    }
    loop {
        let Some((target, exclusive)) = moment(&practice, args, interrupted)? else { return left(Exit::Waiting) };
        let (target, exclusive) = (format!("target={target}"), format!("exclusive={exclusive}"));
        let before = newest_run(&practice)?.map(|run| run.id);
        let exit = run_lifeboat(rehearsal, &["run", RUNBOOK, "-p", &target, "-p", &exclusive])?;
        let run = newest_run(&practice)?.filter(|run| before.as_ref() != Some(&run.id));
        match (exit, run) {
            (Exit::Usage, None) => tell("\nThere is no plan for that moment: it says above why. Give another.\n")?,
            (Exit::Failed, Some(run)) if was_untouched(&run) => {
                tell("\nNothing was stopped: it says above why, and what works. Give another moment.\n")?;
            }
            (Exit::Done, Some(run)) => return scored(rehearsal, &practice, &run, args),
            (exit, run) => {
                if let Some(run) = run {
                    tell(&format!("\n{}\n", evidence(rehearsal, &practice, &run, true)?))?;
                }
                return left(exit);
            }
        }
    }
}

/// The console on the broken practice cluster: it shows the page, the clock and the score. What came of it is told here
/// as well, where it stays.
fn in_console(rehearsal: &Rehearsal, practice: &Context, settings: &Path, args: &Args) -> anyhow::Result<Rehearsed> {
    let left = |exit| Ok(Rehearsed { exit, is_perfect: false });
    match open_console(rehearsal, args)? {
        Exit::Done => {}
        other => return left(other),
    }
    let Some(run) = newest_run(practice)? else { return left(Exit::Waiting) };
    match outcome_of(settings)? {
        Exit::Done => scored(rehearsal, practice, &run, args),
        other => {
            tell(&format!("\n{}\n", evidence(rehearsal, practice, &run, true)?))?;
            left(other)
        }
    }
}

/// The gate before which nothing is done was never answered with success: production runs as it did.
fn was_untouched(run: &Run) -> bool {
    run.each().all(|(step, state)| !step.destructive || state.attempt == 0)
        && run.plan.parameters.get("data-directory").is_some_and(|directory| {
            matches!(server_is_live(std::path::Path::new(directory)), Ok(LiveState::Running { .. }))
        })
}

/// Asks for the moment until it is one, or the engineer leaves.
fn moment(practice: &Context, args: &Args, interrupted: &Arc<AtomicBool>) -> anyhow::Result<Option<(String, bool)>> {
    let hint = match args.scenario {
        Some(Scenario::LostDataDirectory) => "latest: all that is in the repositories",
        _ => "2026-11-22 23:13:04+00, 10 minutes ago, an LSN, xid:NUMBER; recovery stops right before it",
    };
    tell(&format!("To which moment? ({hint})\n"))?;
    loop {
        let typed = match gate::ask("   > ", Letters::of(practice), || Ok(!interrupted.load(Ordering::SeqCst)))? {
            Typed::Answer(typed) => typed,
            Typed::Left | Typed::Gone => return Ok(None),
        };
        let (typed, exclusive) = match typed.trim().strip_suffix(" inclusive") {
            Some(before) => (before.trim().to_owned(), false),
            None => (typed.trim().to_owned(), true),
        };
        // what has no before is not exclusive either
        let now = chrono::Utc::now();
        let read = |exclusive| understand(&typed, exclusive, now, &chrono::Local)?.said(&typed, &chrono::Local);
        match read(exclusive).map(|found| (found, exclusive)).or_else(|_| read(false).map(|found| (found, false))) {
            Ok((found, exclusive)) => return Ok(Some((found.given(), exclusive))),
            Err(error) => tell(&format!("   ! {error}\n"))?,
        }
    }
}

fn scored(rehearsal: &Rehearsal, practice: &Context, run: &Run, args: &Args) -> anyhow::Result<Rehearsed> {
    tell("\nProduction is back. The score, once the shop has taken its first order:\n\n")?;
    let deadline = Instant::now() + FIRST_ORDER;
    let score: Score = loop {
        let score = rehearsal::score(rehearsal)?;
        if score.seconds.is_some() || Instant::now() >= deadline {
            break score;
        }
        std::thread::sleep(Duration::from_millis(500));
    };
    io::stdout().lock().write_all(accident::in_words(&score).as_bytes())?;
    let is_perfect = score.is_perfect();
    let stays = args.keep || !is_perfect;
    tell(&format!("\n{}\n", evidence(rehearsal, practice, run, stays)?))?;
    Ok(Rehearsed { exit: if is_perfect { Exit::Done } else { Exit::Failed }, is_perfect })
}

/// How the moment is found; the settings follow.
const WHICH_MOMENT: &str = "To find the moment, ask the WAL in another terminal (it changes nothing):
  lifeboat accident --around '2026-11-22 23:13:04+03' --window 15s
with the page's time. So narrow, since the shop itself is minutes old: what is
made and dropped within one window counts as routine. It names the transaction
and the LSN to stop before; an LSN is a moment, too. The console asks the same
with key 5. Both want
  --settings ";

/// What is going to happen, and what the gates want.
const INTRODUCTION: &str = "
You are on call. Nothing of this host's own PostgreSQL and pgBackRest is touched.
What comes now is a real recovery on the practice cluster, just as on a real host
  lifeboat run pitr-in-place -p target=...
  1. checks, which change nothing
  2. gates: type  main  (the stanza's name), then Enter
  3. a pause at the moment you gave. Look (psql, in another terminal), then type
     forward TIME or back TIME as often as you need, promote, or give-up
  4. production goes back to its users, and you get your score
The page's time is what somebody remembers: some seconds wrong.
Enter alone, typing ahead and pasting approve nothing. Esc leaves a gate
waiting: the practice cluster then stays, until you end it.

";
