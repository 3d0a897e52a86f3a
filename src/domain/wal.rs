//! WAL segments and timelines.
