//! What a person can do: every key and every line of the palette is one of these.

/// Where keys go: a page, or what stands in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// On every page.
    Everywhere,
    /// The inventory.
    Inventory,
    /// The timeline.
    Timeline,
    /// The page of an accident.
    Accident,
    /// The runbooks.
    Runbooks,
    /// A plan.
    Plan,
    /// A run.
    Run,
    /// The list of runs.
    Runs,
    /// A transcript.
    Transcript,
    /// The rehearsal.
    Rehearsal,
    /// The help.
    Help,
    /// The gate that was gone to.
    Gate,
    /// A line of text that is asked for.
    Input,
    /// A list to choose from.
    Picker,
    /// The note being written.
    Note,
}

impl Place {
    /// Its name, for the help.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Place::Everywhere => "On every page",
            Place::Inventory => "Inventory",
            Place::Timeline => "Timeline",
            Place::Accident => "Accident",
            Place::Runbooks => "Runbooks",
            Place::Plan => "Plan",
            Place::Run => "Run",
            Place::Runs => "Runs",
            Place::Transcript => "Transcript",
            Place::Rehearsal => "Rehearsal",
            Place::Help => "Help",
            Place::Gate => "At a gate",
            Place::Input => "Where a line is asked for",
            Place::Picker => "Where something is chosen",
            Place::Note => "Writing a note",
        }
    }

    /// Whether letters are text here, so that the keys of every page mean nothing.
    #[must_use]
    pub fn takes_text(self) -> bool {
        matches!(self, Place::Gate | Place::Input | Place::Picker | Place::Note)
    }
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Command {
    /// Leave the console; runs go on.
    Quit,
    /// What keys there are.
    Help,
    /// Every action by its name.
    Palette,
    /// To where one came from.
    Back,
    /// Draw all of it anew.
    Redraw,
    /// Stop the console, to be brought back by `fg`.
    Suspend,
    /// To the inventory.
    GoInventory,
    /// To the timeline.
    GoTimeline,
    /// To the page of an accident.
    GoAccident,
    /// To the runbooks.
    GoRunbooks,
    /// To the runs.
    GoRuns,
    /// To the rehearsal.
    GoRehearsal,
    /// Another stanza or repository.
    Switch,
    /// Another theme.
    Theme,
    /// Look again.
    Refresh,
    /// One up.
    Up,
    /// One down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the beginning.
    First,
    /// To the end.
    Last,
    /// Narrow a list, or search a text.
    Search,
    /// The next place that was searched for.
    NextMatch,
    /// The one before.
    PreviousMatch,
    /// Copy the line that matters here.
    Copy,
    /// Copy the command.
    CopyCommand,
    /// Go into what the cursor is on.
    Open,
    /// A drill of the set.
    Drill,
    /// The cursor a minute earlier.
    MinuteEarlier,
    /// The cursor a minute later.
    MinuteLater,
    /// The cursor an hour earlier.
    HourEarlier,
    /// The cursor an hour later.
    HourLater,
    /// About when it happened.
    AskWhen,
    /// To the suspect that is proposed.
    GoProposed,
    /// Type the target.
    TypeTarget,
    /// The other panel.
    OtherPanel,
    /// The value as it was found.
    AsFound,
    /// Begin the run.
    Begin,
    /// To the gate, or to what else waits for a person.
    GoGate,
    /// Write a note into the journal.
    Note,
    /// End the run.
    Abort,
    /// To the step that goes on and the end of its output.
    Follow,
    /// Break long lines, or cut them.
    Wrap,
    /// Open the output in the pager.
    Pager,
    /// The transcript.
    Transcript,
    /// Take it.
    Accept,
    /// Leave it.
    Leave,
}

impl Command {
    /// Something on the host is another after it, or may be: a run begun, answered or noted in. `--read-only` refuses it.
    #[must_use]
    pub fn changes(self) -> bool {
        matches!(self, Command::Begin | Command::GoGate | Command::Note | Command::Abort)
    }
}
