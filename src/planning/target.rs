//! Recovery targets.
