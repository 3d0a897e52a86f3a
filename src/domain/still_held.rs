//! What a run that has ended leaves held on its host.

/// A thing that is held. Texts are cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillHeld {
    /// What, and that it is.
    pub what: String,
    /// How it is undone.
    pub undo: Undo,
}

/// How something is undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// By this command, which may be pasted.
    Command(String),
    /// By this one, as root.
    AsRoot(String),
    /// Not by one command.
    Words(String),
}
