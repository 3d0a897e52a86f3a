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
        cancel.limit(limit, || work(&cancel)).0
    }

    /// Works, and sets this wish itself when the time is over. Returns whether it did.
    pub fn limit<T>(&self, limit: Duration, work: impl FnOnce() -> T) -> (T, bool) {
        std::thread::scope(|scope| {
            let (done, is_done) = mpsc::channel::<()>();
            let late = self.clone();
            let waits = scope.spawn(move || {
                let is_late = is_done.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) && !late.is_set();
                if is_late {
                    late.set();
                }
                is_late
            });
            let found = work();
            drop(done);
            (found, waits.join().unwrap_or(false))
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
