//! The console's state: what is known, where one is, what stands in front. No drawing, no I/O, no clock.

mod accident;
mod inventory;
mod list;
mod plan;
mod popup;
mod rehearsal;
mod run;
mod timeline;

pub use accident::AccidentState;
pub use inventory::{InventoryState, Row};
pub use list::Cursor;
pub use plan::{Panel, PlanState};
pub use popup::{Item, Popup, Purpose, Value};
pub use rehearsal::RehearsalState;
pub use run::{Attention, GateFocus, OutputView, RunState, attention};
pub use timeline::{Reach, TimelineState};

use crate::domain::event::{Operator, RunId};
use crate::ui::command::Place;
use crate::ui::event::{RunCard, RunbookCard};
use crate::ui::theme::{Depth, Theme};
use crate::ui::times::Zone;
use chrono::{DateTime, FixedOffset, Utc};
use std::time::Duration;

/// What does not change while the console is open.
#[derive(Debug, Clone)]
pub struct Setup {
    /// This machine's name.
    pub host: String,
    /// Who sits here.
    pub operator: Operator,
    /// How the program is called with the same settings.
    pub program: String,
    /// The pgbackrest program.
    pub pgbackrest: String,
    /// pgBackRest's configuration, or where it looks for it.
    pub config: String,
    /// The settings file, or that there is none.
    pub settings: String,
    /// The stanza that was named.
    pub stanza: Option<String>,
    /// The operator's zone.
    pub zone: Zone,
    /// The zone of the host that the server runs on.
    pub server_zone: Zone,
    /// The clock has seconds.
    pub seconds: bool,
    /// ASCII only.
    pub ascii: bool,
    /// Nothing is begun, answered or stored.
    pub read_only: bool,
    /// How many colours there are.
    pub depth: Depth,
    /// The theme to begin with.
    pub theme: String,
    /// The practice cluster it was opened on.
    pub practice: Option<String>,
}

/// A page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Which backup sets there are.
    Inventory,
    /// Which moments can be recovered.
    Timeline,
    /// What happened.
    Accident,
    /// What can be done.
    Runbooks,
    /// What would be done.
    Plan,
    /// What is being done.
    Run,
    /// What was done.
    Runs,
    /// The evidence.
    Transcript,
    /// The rehearsal.
    Rehearsal,
    /// The keys.
    Help,
}

impl Page {
    /// Where its keys go.
    #[must_use]
    pub fn place(self) -> Place {
        match self {
            Page::Inventory => Place::Inventory,
            Page::Timeline => Place::Timeline,
            Page::Accident => Place::Accident,
            Page::Runbooks => Place::Runbooks,
            Page::Plan => Place::Plan,
            Page::Run => Place::Run,
            Page::Runs => Place::Runs,
            Page::Transcript => Place::Transcript,
            Page::Rehearsal => Place::Rehearsal,
            Page::Help => Place::Help,
        }
    }
}

/// The list of runs.
#[derive(Debug, Clone, Default)]
pub struct RunsState {
    /// What was read; `None` before the first answer.
    pub cards: Option<Vec<RunCard>>,
    /// Why the list can't be read.
    pub problem: Option<String>,
    /// Only those that hold this text.
    pub filter: String,
    /// Where the cursor is, among those shown.
    pub cursor: Cursor,
    /// Runs that had not ended when the console was opened were told of.
    pub is_told: bool,
}

impl RunsState {
    /// Those that are shown.
    pub fn shown(&self) -> impl Iterator<Item = &RunCard> {
        self.cards.iter().flatten().filter(|card| {
            let told = card.told.as_ref();
            let words = told.map(|told| format!("{} {} {}", told.runbook, told.outcome, told.by)).unwrap_or_default();
            contains(&format!("{} {words}", card.id), &self.filter)
        })
    }

    /// The one under the cursor.
    #[must_use]
    pub fn current(&self) -> Option<&RunCard> {
        self.shown().nth(self.cursor.at)
    }

    /// The newest that has not ended.
    #[must_use]
    pub fn open(&self) -> Option<&RunCard> {
        self.cards.iter().flatten().find(|card| card.told.as_ref().is_ok_and(|told| told.is_open))
    }
}

/// The runbooks.
#[derive(Debug, Clone, Default)]
pub struct RunbooksState {
    /// What was read; `None` before the first answer.
    pub cards: Option<Vec<RunbookCard>>,
    /// Why they can't be read.
    pub problem: Option<String>,
    /// Only those that hold this text.
    pub filter: String,
    /// Where the cursor is, among those shown.
    pub cursor: Cursor,
    /// The first line on the screen of the one under the cursor.
    pub top: usize,
}

impl RunbooksState {
    /// Those that are shown.
    pub fn shown(&self) -> impl Iterator<Item = &RunbookCard> {
        self.cards.iter().flatten().filter(|card| {
            let title = card.runbook.as_ref().map_or("", |runbook| runbook.title.as_str());
            contains(&format!("{} {title}", card.name), &self.filter)
        })
    }

    /// The one under the cursor.
    #[must_use]
    pub fn current(&self) -> Option<&RunbookCard> {
        self.shown().nth(self.cursor.at)
    }

    /// The one of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&RunbookCard> {
        self.cards.iter().flatten().find(|card| card.name == name)
    }
}

/// A transcript.
#[derive(Debug, Clone, Default)]
pub struct TranscriptState {
    /// Of this run.
    pub run: Option<RunId>,
    /// Its lines; `None` before the answer.
    pub lines: Option<Vec<String>>,
    /// Why there are none.
    pub problem: Option<String>,
    /// The first line on the screen.
    pub top: usize,
    /// What is searched for.
    pub search: String,
}

/// A sentence for the person, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The sentence.
    pub text: String,
    /// Something did not work.
    pub is_bad: bool,
    /// It goes at the first key after this time.
    pub until: DateTime<FixedOffset>,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Model {
    /// What does not change.
    pub setup: Setup,
    /// How it looks.
    pub theme: Theme,
    /// Columns and rows.
    pub size: (u16, u16),
    /// The time, by the last tick.
    pub now: DateTime<FixedOffset>,
    /// When the last key came.
    pub last_key: Duration,
    /// When a decision was asked for: a key right after it was meant for something else.
    pub asked_at: Duration,
    /// The pages one came through; the last is the one that is shown.
    pub pages: Vec<Page>,
    /// What stands in front of the page.
    pub popup: Option<Popup>,
    /// A sentence for the person.
    pub notice: Option<Notice>,
    /// The inventory.
    pub inventory: InventoryState,
    /// The timeline.
    pub timeline: TimelineState,
    /// What happened.
    pub accident: AccidentState,
    /// The runbooks.
    pub runbooks: RunbooksState,
    /// The plan.
    pub plan: PlanState,
    /// The run that is followed.
    pub run: Option<RunState>,
    /// The runs.
    pub runs: RunsState,
    /// The transcript.
    pub transcript: TranscriptState,
    /// The rehearsal.
    pub rehearsal: RehearsalState,
    /// The first line of the help on the screen.
    pub help_top: usize,
    /// The console is to be left.
    pub is_over: bool,
}

impl Model {
    /// The console as it opens.
    #[must_use]
    pub fn new(setup: Setup, size: (u16, u16), now: DateTime<FixedOffset>) -> Model {
        Model {
            theme: Theme::named(&setup.theme, setup.depth),
            setup,
            size,
            now,
            last_key: Duration::ZERO,
            asked_at: Duration::ZERO,
            pages: vec![Page::Inventory],
            popup: None,
            notice: None,
            inventory: InventoryState { is_looking: true, ..InventoryState::default() },
            timeline: TimelineState::default(),
            accident: AccidentState::default(),
            runbooks: RunbooksState::default(),
            plan: PlanState::default(),
            run: None,
            runs: RunsState::default(),
            transcript: TranscriptState::default(),
            rehearsal: RehearsalState::default(),
            help_top: 0,
            is_over: false,
        }
    }

    /// The page that is shown.
    #[must_use]
    pub fn page(&self) -> Page {
        self.pages.last().copied().unwrap_or(Page::Inventory)
    }

    /// Where keys go.
    #[must_use]
    pub fn place(&self) -> Place {
        match &self.popup {
            Some(Popup::Input { .. }) => Place::Input,
            Some(Popup::Picker { .. }) => Place::Picker,
            Some(Popup::Note(_)) => Place::Note,
            None if self.is_at_gate() => Place::Gate,
            None => self.page().place(),
        }
    }

    /// Whether the person went to a gate.
    #[must_use]
    pub fn is_at_gate(&self) -> bool {
        self.page() == Page::Run && self.run.as_ref().is_some_and(|run| run.gate.is_some())
    }

    /// The time in UTC.
    #[must_use]
    pub fn utc(&self) -> DateTime<Utc> {
        self.now.to_utc()
    }

    /// So often the time on the screen changes, in seconds. A page that is read again by itself needs them all.
    #[must_use]
    pub fn ticks_every(&self) -> i64 {
        let is_alive = matches!(self.page(), Page::Runs | Page::Rehearsal);
        if self.setup.seconds || is_alive { 1 } else { 60 }
    }

    /// Rows between header and footer.
    #[must_use]
    pub fn page_rows(&self) -> usize {
        usize::from(self.size.1).saturating_sub(4).max(1)
    }
}

/// Whether a text holds what is searched for, letters of either case.
#[must_use]
pub fn contains(text: &str, wanted: &str) -> bool {
    wanted.is_empty() || text.to_lowercase().contains(&wanted.to_lowercase())
}
