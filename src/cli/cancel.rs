//! Ctrl-C as a wish: what is under way ends in order, and what was found is shown. The second one ends the program.

use super::terminal;
use crate::engine::accident::Cancel;
use anyhow::Context as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// A wish that INT, TERM and HUP set.
///
/// # Errors
/// When the operating system refuses to tell signals.
pub(super) fn on_signals() -> anyhow::Result<Cancel> {
    let cancel = Cancel::new();
    let wish = cancel.clone();
    listen(move |number| {
        if wish.is_set() {
            std::process::exit(128 + number);
        }
        wish.set();
    })?;
    Ok(cancel)
}

/// A search that a command begins with and that takes time.
#[derive(Debug)]
pub(super) struct Searching {
    /// Set by the first signal while it goes on.
    pub(super) cancel: Cancel,
    is_over: Arc<AtomicBool>,
}

impl Searching {
    /// From now on a signal ends the program, as it did before, or whoever listens by then does what is to be done.
    pub(super) fn is_over(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}

/// The same for as long as a search goes on.
///
/// # Errors
/// When the operating system refuses to tell signals.
pub(super) fn while_searching() -> anyhow::Result<Searching> {
    let searching = Searching { cancel: Cancel::new(), is_over: Arc::default() };
    let (wish, is_over) = (searching.cancel.clone(), Arc::clone(&searching.is_over));
    listen(move |number| {
        if is_over.load(Ordering::SeqCst) {
            if !terminal::is_watched() {
                std::process::exit(128 + number);
            }
        } else if wish.is_set() {
            std::process::exit(128 + number);
        } else {
            wish.set();
        }
    })?;
    Ok(searching)
}

/// Hands the numbers of INT, TERM and HUP on, as they come.
fn listen(mut each: impl FnMut(i32) + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().context("waiting for signals")?;
    let (mut int, mut term, mut hup) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        loop {
            let number = runtime.block_on(async {
                tokio::select! {
                    _ = int.recv() => SignalKind::interrupt(),
                    _ = term.recv() => SignalKind::terminate(),
                    _ = hup.recv() => SignalKind::hangup(),
                }
            });
            each(number.as_raw_value());
        }
    })?;
    Ok(())
}
