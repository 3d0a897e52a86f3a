//! Several segments at once, handed out in order.

use crate::domain::wal::WalSegment;
use crate::engine::wal_source::{Piece, WalSource, WalSourceError};
use std::collections::VecDeque;
use std::thread::JoinHandle;

/// More than this many fetches at once only compete.
const MOST: usize = 4;

/// What is fetched ahead holds at most about this much as files without a name, or one segment.
const AHEAD_BYTES: u64 = 256 << 20;

/// An iterator over fetched segments, in the order they were asked for. A segment that can't be had is an error in its
/// place; those after it follow. Dropped, nothing new is fetched; what is under way ends by itself and is thrown away.
#[derive(Debug)]
pub struct Prefetch {
    source: WalSource,
    /// Each with whether its last piece is meant.
    wanted: VecDeque<(WalSegment, bool)>,
    under_way: VecDeque<JoinHandle<Result<Piece, WalSourceError>>>,
    at_once: usize,
}

impl Prefetch {
    pub(super) fn start(source: WalSource, wanted: Vec<(WalSegment, bool)>, at_once: usize) -> Prefetch {
        // the size is known after the first fetch at the latest; until then the usual one is assumed
        let bytes = source.known_segment_size().bytes();
        let fitting = usize::try_from(AHEAD_BYTES / bytes).unwrap_or(1);
        let at_once = at_once.min(MOST).min(fitting).max(1);
        let mut prefetch = Prefetch { source, wanted: wanted.into(), under_way: VecDeque::new(), at_once };
        prefetch.fill();
        prefetch
    }

    /// Fetches nothing more, and waits for what is under way.
    pub fn finish(mut self) {
        for thread in self.under_way.drain(..) {
            // What it fetched, or why it could not, interests nobody any more.
            drop(thread.join());
        }
    }

    fn fill(&mut self) {
        while self.under_way.len() < self.at_once
            && let Some((segment, is_partial)) = self.wanted.pop_front()
        {
            let source = self.source.clone();
            self.under_way.push_back(std::thread::spawn(move || source.open_piece(segment, is_partial)));
        }
    }
}

impl Iterator for Prefetch {
    type Item = Result<Piece, WalSourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.fill();
        let first = self.under_way.pop_front()?;
        let result = first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.fill();
        Some(result)
    }
}
