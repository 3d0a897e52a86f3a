//! `lifeboat status --watch`: a screen to leave open on a wall. It only reads, and draws when something changed.

use super::super::terminal::{self, Letters};
use super::super::{Context, Exit};
use super::{Args, with_statuses};
use crate::engine::clock;
use crate::report::status::wall;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// Draws until the program is ended.
///
/// # Errors
/// When standard output is no terminal, or can't be written any more.
pub(super) fn watch(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    anyhow::ensure!(
        io::stdout().is_terminal(),
        "--watch draws on a terminal, and standard output is none; `lifeboat status --json` is for programs"
    );
    let letters = Letters::of(context);
    let mut drawn = String::new();
    loop {
        let host = context.host().name;
        let lines = with_statuses(context, args, |statuses| wall(&host, clock::now(), &statuses, terminal::width()))?;
        let picture: String = lines.iter().map(|line| format!("{}\r\n", letters.show(line))).collect();
        if picture != drawn {
            let mut out = io::stdout().lock();
            // Home, the picture, and nothing of the one before below it; in one piece where the terminal can. There is no
            // other screen to come back from, so whatever ends it leaves the terminal as it is.
            write!(out, "\x1b[?2026h\x1b[H\x1b[2J{picture}\x1b[?2026l")?;
            out.flush()?;
            drawn = picture;
        }
        std::thread::sleep(EVERY);
    }
}
