//! A person's wish that something ends soon.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Set once, by whoever is asked to end something; clones are the same wish.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Nothing is to end.
    #[must_use]
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Works with a wish that is set when the time is over. What the work does with it, it does itself: it is not left alone.
    pub fn within<T>(limit: Duration, work: impl FnOnce(&Cancel) -> T) -> T {
        let cancel = Cancel::new();
        std::thread::scope(|scope| {
            let (done, is_done) = mpsc::channel::<()>();
            let late = cancel.clone();
            scope.spawn(move || {
                if is_done.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                    late.set();
                }
            });
            let found = work(&cancel);
            drop(done);
            found
        })
    }

    /// From now on it is to end.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it is to end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
