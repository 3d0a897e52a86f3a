//! The terminal on standard output, as far as layouts need it.

use std::io::IsTerminal;

/// The width where standard output is no terminal, or does not tell.
const USUAL_COLUMNS: usize = 80;

/// The columns of the terminal on standard output.
pub(super) fn columns() -> usize {
    let out = std::io::stdout();
    let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok()).flatten();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(USUAL_COLUMNS)
}
