//! What the program answers to a shell.

/// The exit status of every subcommand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A step failed or a check did not hold.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// Waiting for a person: a gate in a run with no terminal.
    Waiting = 3,
    /// Aborted by a person.
    Aborted = 4,
    /// Outcome unknown.
    Unknown = 5,
}
