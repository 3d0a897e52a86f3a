//! Short questions to programs: bounded in time and size.
