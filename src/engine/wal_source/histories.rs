//! Where a timeline comes from: its history file, from whoever has it.

use crate::domain::wal::{TimelineHistory, TimelineId};
use crate::engine::wal_source::{CopyError, Origin, WalSource, WalSourceError};

impl WalSource {
    /// The ancestry of a timeline, from any repository or directory; timeline 1 has none.
    ///
    /// # Errors
    /// [`WalSourceError::NoHistory`], [`WalSourceError::HistoryUnusable`] when nobody could hand it out,
    /// [`WalSourceError::TwoHistories`] when two places tell different ones, [`WalSourceError::History`] when it is damaged.
    pub fn history(&self, timeline: TimelineId) -> Result<TimelineHistory, WalSourceError> {
        if timeline == TimelineId(1) {
            return Ok(TimelineHistory { timeline, entries: Vec::new() });
        }
        let mut said = Vec::new();
        let mut found: Option<(TimelineHistory, String)> = None;
        for (place, text) in self.history_texts(timeline) {
            let text = match text {
                Ok(Some(text)) => text,
                Ok(None) => continue,
                Err(error) => {
                    said.push(format!("  {place}: {error}"));
                    continue;
                }
            };
            let history = TimelineHistory::parse(timeline, &text)?;
            match &found {
                Some((first, one)) if first.entries != history.entries => {
                    return Err(WalSourceError::TwoHistories { timeline, one: one.clone(), other: place });
                }
                Some(_) => {}
                None => found = Some((history, place)),
            }
        }
        match found {
            Some((history, _)) => Ok(history),
            None if said.is_empty() => {
                Err(WalSourceError::NoHistory { timeline, not_listed: self.catalog.not_listed.clone() })
            }
            None => Err(WalSourceError::HistoryUnusable { timeline, said }),
        }
    }

    /// The texts of a history file, each with where it lies.
    fn history_texts(&self, timeline: TimelineId) -> Vec<(String, Result<Option<String>, CopyError>)> {
        let archives = self.catalog.histories.get(&timeline).into_iter().flatten().map(|(key, id)| {
            let path = format!("archive/{}/{id}/{}", self.stanza.name, timeline.history_file());
            let text = self.pgbackrest.get(key.0, &path).map_err(|error| self.refused(*key, error));
            let text = text.map(|bytes| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
            (format!("{} ({id})", key.name()), text)
        });
        let having = self.directories.iter().filter(|directory| directory.histories.contains(&timeline));
        let directories = having.map(|directory| {
            let text = directory.history(timeline).map_err(CopyError::Io);
            (Origin::Directory(directory.path.clone()).to_string(), text)
        });
        archives.chain(directories).collect()
    }
}
