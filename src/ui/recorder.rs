//! The recording of this session (`--record`): told of all that the terminal is sent, from whichever thread.

use crate::engine::cast::Cast;
use std::io;
use std::sync::{Mutex, PoisonError};

/// The recording, where there is one, and why it has ended early.
static RECORDING: Mutex<(Option<Cast>, Option<String>)> = Mutex::new((None, None));

/// Records from now on.
pub fn begin(cast: Cast) {
    RECORDING.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(cast);
}

/// These bytes were sent.
pub fn sent(bytes: &[u8]) {
    with(|cast| cast.sent(bytes));
}

/// The terminal has this many columns and rows from now on.
pub fn resized(size: (u16, u16)) {
    with(|cast| cast.resized(size));
}

/// Why the recording has ended before the session; told once.
#[must_use]
pub fn trouble() -> Option<String> {
    RECORDING.lock().unwrap_or_else(PoisonError::into_inner).1.take()
}

/// A recording that can't be written ends there: the session goes on.
fn with(write: impl FnOnce(&mut Cast) -> io::Result<()>) {
    let mut held = RECORDING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(cast) = &mut held.0 else { return };
    if let Err(error) = write(cast) {
        *held = (None, Some(format!("the recording ends here, it can't be written any more: {error}")));
    }
}
