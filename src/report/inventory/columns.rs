//! The columns of backup sets: as many as fit.

use crate::domain::inventory::BackupSet;
use crate::report::inventory::words::{age, bytes, moment, span};
use chrono::{DateTime, Utc};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Label,
    Kind,
    Ended,
    Age,
    Drilled,
    Database,
    Repository,
    Wal,
    Took,
}

impl Column {
    /// In the order of their worth: what doesn't fit is left out from the end.
    const ALL: [Column; 9] = [
        Column::Label,
        Column::Kind,
        Column::Ended,
        Column::Age,
        Column::Drilled,
        Column::Database,
        Column::Repository,
        Column::Wal,
        Column::Took,
    ];

    fn width(self) -> usize {
        match self {
            Column::Label => 35,
            Column::Kind => 4,
            Column::Ended => 17,
            Column::Age => 5,
            Column::Drilled | Column::Database | Column::Repository => 7,
            Column::Wal => 24,
            Column::Took => 8,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Column::Label => "SET",
            Column::Kind => "TYPE",
            Column::Ended => "ENDED",
            Column::Age => "AGE",
            Column::Drilled => "DRILLED",
            Column::Database => "DB SIZE",
            Column::Repository => "IN REPO",
            Column::Wal => "LAST WAL NEEDED",
            Column::Took => "TOOK",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Column::Age | Column::Database | Column::Repository | Column::Took)
    }

    fn pad(self, text: &str) -> String {
        let width = self.width();
        if self.is_number() { format!("{text:>width$}") } else { format!("{text:<width$}") }
    }
}

/// The columns that fit a width.
pub(crate) struct Columns(Vec<Column>);

impl Columns {
    pub(crate) fn fitting(width: usize) -> Columns {
        let mut used = 0;
        let fits = |column: &Column| {
            used += column.width() + usize::from(used > 0);
            used <= width.max(64)
        };
        Columns(Column::ALL.into_iter().take_while(fits).collect())
    }

    pub(crate) fn header(&self) -> String {
        self.line(|column| column.title().to_owned())
    }

    /// A set's line; `drilled` is how its last drill is shown.
    pub(crate) fn row(&self, tree: &str, set: &BackupSet, drilled: &str, now: DateTime<Utc>) -> String {
        self.line(|column| match column {
            Column::Label => format!("{tree}{}", set.label()),
            Column::Kind => set.kind().word().to_owned(),
            Column::Ended => moment(set.stop()),
            Column::Age => age(set.stop(), now),
            Column::Drilled => drilled.to_owned(),
            Column::Database => bytes(set.database_bytes()),
            // Block incrementals: what a restore needs is not told, what this backup added is.
            Column::Repository => match (set.repository_bytes(), set.repository_added()) {
                (Some(size), _) => bytes(size),
                (None, Some(added)) => format!("+{}", bytes(added).replace(' ', "")),
                (None, None) => "?".to_owned(),
            },
            Column::Wal => set.wal().map_or("none (offline)".to_owned(), |wal| wal.stop.to_string()),
            Column::Took => span((set.stop() - set.start()).num_seconds()),
        })
    }

    fn line(&self, text: impl Fn(Column) -> String) -> String {
        let cells: Vec<String> = self.0.iter().map(|&column| column.pad(&text(column))).collect();
        cells.join(" ").trim_end().to_owned()
    }
}
