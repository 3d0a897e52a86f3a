//! Ctrl-C as a wish: what is under way ends in order, and what was found is shown. The second one ends the program.

use crate::engine::accident::Cancel;
use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

/// A wish that INT, TERM and HUP set.
///
/// # Errors
/// When the operating system refuses to tell signals.
pub(super) fn on_signals() -> anyhow::Result<Cancel> {
    let cancel = Cancel::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().context("waiting for signals")?;
    let (mut int, mut term, mut hup) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    let wish = cancel.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for is_second in [false, true] {
            let number = runtime.block_on(async {
                tokio::select! {
                    _ = int.recv() => SignalKind::interrupt(),
                    _ = term.recv() => SignalKind::terminate(),
                    _ = hup.recv() => SignalKind::hangup(),
                }
            });
            wish.set();
            if is_second {
                std::process::exit(128 + number.as_raw_value());
            }
        }
    })?;
    Ok(cancel)
}
