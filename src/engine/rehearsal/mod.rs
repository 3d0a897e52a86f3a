//! Builds and breaks the practice cluster.
