//! What the choice of a set rests on beside the inventory: how far the archive goes, its timelines, and where production
//! stands. It asks pgBackRest and reads production's control file, and changes nothing.

use crate::domain::inventory::{RepositoryKey, Stanza, SystemId};
use crate::domain::wal::{TimelineHistory, TimelineId, WalSegment};
use crate::engine::environment::BaseEnvironment;
use crate::engine::pgbackrest::{Pgbackrest, RepoEntry};
use crate::engine::postgres::PostgresPrograms;
use crate::engine::production::Production;
use crate::planning::selection::Histories;
use crate::settings::Settings;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ground {
    /// The history files of every repository.
    pub histories: Histories,
    /// The timeline production is on, where its control file can be read.
    pub production_timeline: Option<TimelineId>,
    /// Production's system identifier, where its control file can be read.
    pub production_system: Option<SystemId>,
    /// The newest archived segment of every repository.
    pub newest: BTreeMap<RepositoryKey, NewestWal>,
    /// The zone in which production's server tells times (`timezone`), where its configuration can be read.
    pub server_zone: Option<Tz>,
}

/// A segment, and when it came into the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewestWal {
    /// The segment.
    pub segment: WalSegment,
    /// When the repository's file was written: commits before it are in the archive, but for those after the switch.
    pub archived: DateTime<Utc>,
}

/// Reads it. What can't be read is not there.
#[must_use]
pub fn read(settings: &Settings, pgbackrest: &Pgbackrest, stanza: &Stanza) -> Ground {
    let control = control(settings, pgbackrest, stanza);
    Ground {
        histories: histories(pgbackrest, stanza),
        production_timeline: control.map(|(timeline, _)| timeline),
        production_system: control.map(|(_, system)| system),
        newest: newest(pgbackrest, stanza),
        server_zone: server_zone(settings, pgbackrest, stanza),
    }
}

/// Of the configuration's files: no SQL runs for it, and the server may be down.
fn server_zone(settings: &Settings, pgbackrest: &Pgbackrest, stanza: &Stanza) -> Option<Tz> {
    let environment = BaseEnvironment::from_process().ok()?;
    let programs = programs(settings, stanza, &environment)?;
    let found = Production::find(&pgbackrest.configuration().ok()?, &stanza.name, &programs, &environment.real)?;
    let file = Some(found.config_file.as_path()).filter(|file| file.is_file());
    programs.setting("timezone", &found.data_directory, file, &environment.real).ok()?.parse().ok()
}

fn programs(settings: &Settings, stanza: &Stanza, environment: &BaseEnvironment) -> Option<PostgresPrograms> {
    let version = stanza.repositories.iter().find_map(|repository| repository.current_database())?.version.to_string();
    PostgresPrograms::find(settings.postgres.bin_directory.as_deref(), &version, &environment.real).ok()
}

fn control(settings: &Settings, pgbackrest: &Pgbackrest, stanza: &Stanza) -> Option<(TimelineId, SystemId)> {
    let environment = BaseEnvironment::from_process().ok()?;
    let production = pgbackrest.configuration().ok()?.pg1_path(&stanza.name)?;
    let programs = programs(settings, stanza, &environment)?;
    let control = programs.control_data(&production, &environment.real).ok()?;
    Some((TimelineId(control.timeline), SystemId(control.system_identifier)))
}

fn newest(pgbackrest: &Pgbackrest, stanza: &Stanza) -> BTreeMap<RepositoryKey, NewestWal> {
    let mut found = BTreeMap::new();
    for repository in stanza.repositories.iter().filter(|repository| repository.was_read()) {
        let archive = repository.current_database().and_then(|database| repository.archive(database.id));
        let Some((archive, segment)) = archive.and_then(|archive| Some((archive, archive.max?))) else { continue };
        let name = segment.to_string();
        // A directory holds the segments of one timeline and one high half of the position: the first 16 digits.
        let path = format!("archive/{}/{}/{}", stanza.name, archive.id, &name[..16]);
        let Ok(listing) = pgbackrest.list(repository.key.0, &path, false) else { continue };
        let written = listing.entries.iter().find_map(|(file, entry)| match entry {
            RepoEntry::File { modified, .. } if file.starts_with(&name) => DateTime::from_timestamp(*modified, 0),
            _ => None,
        });
        found.extend(written.map(|archived| (repository.key, NewestWal { segment, archived })));
    }
    found
}

/// The history files of the current archive in every repository; one that can't be read is not there.
pub(crate) fn histories(pgbackrest: &Pgbackrest, stanza: &Stanza) -> Histories {
    let mut histories = Histories::new();
    for repository in stanza.repositories.iter().filter(|repository| repository.was_read()) {
        let Some(archive) = repository.current_database().and_then(|database| repository.archive(database.id)) else {
            continue;
        };
        let path = format!("archive/{}/{}", stanza.name, archive.id);
        let Ok(listing) = pgbackrest.list(repository.key.0, &path, false) else { continue };
        for (name, _) in listing.files() {
            let Some(timeline) = name.strip_suffix(".history").and_then(|name| u32::from_str_radix(name, 16).ok())
            else {
                continue;
            };
            let Ok(Some(text)) = pgbackrest.get(repository.key.0, &format!("{path}/{name}")) else { continue };
            let timeline = TimelineId(timeline);
            if let Ok(history) = TimelineHistory::parse(timeline, &String::from_utf8_lossy(&text)) {
                histories.entry(repository.key).or_default().insert(timeline, history);
            }
        }
    }
    histories
}
