//! From a person's question to the answer: which stanza, which WAL, which names.

use crate::domain::inventory::{RepositoryKey, Stanza};
use crate::domain::text::clean;
use crate::domain::wal::{TimelineId, WalSegment};
use crate::domain::wal_page::{FirstPage, HEADER_BYTES};
use crate::engine::accident::archive::ArchiveSource;
use crate::engine::accident::directory::DirectorySource;
use crate::engine::accident::names::{self, Told};
use crate::engine::accident::scan::{self, News, Tell};
use crate::engine::accident::sizes;
use crate::engine::accident::source::{SegmentSource, SourceError};
use crate::engine::ask::Cancel;
use crate::engine::environment::{BaseEnvironment, EnvironmentError};
use crate::engine::look::{self, LookError};
use crate::engine::paths::{self, PathError};
use crate::engine::pgbackrest::{Pgbackrest, PgbackrestError};
use crate::engine::pgbackrest_config::BackrestConfig;
use crate::engine::wal_source::{Cache, Cluster, Listings, WalSource, WalSourceError};
use crate::planning::accident::{Answer, Committed, Coverage, Names, Reach, Window};
use crate::settings::{PgbackrestSettings, Settings};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// The folder of fetched WAL in the state directory.
const CACHE: &str = "wal";

/// Where things are on this host.
#[derive(Debug, Clone)]
pub struct Place {
    /// Which pgbackrest, configuration and stanza.
    pub pgbackrest: PgbackrestSettings,
    /// PostgreSQL's programs, where they are named.
    pub bin_directory: Option<PathBuf>,
    /// Where fetched WAL and remembered names are; without it nothing is kept.
    pub state_directory: Option<PathBuf>,
    /// How much fetched WAL is kept.
    pub cache_limit_bytes: u64,
    /// Neither is the server asked nor is anything kept.
    pub is_read_only: bool,
    /// The environment of every program.
    pub environment: BTreeMap<String, String>,
}

/// What a person asks.
#[derive(Debug, Clone)]
pub struct Request {
    /// When.
    pub window: Window,
    /// Only what touches this table: a name, an oid or a file number.
    pub table: Option<String>,
    /// Along which timeline; the newest where none is named.
    pub timeline: Option<TimelineId>,
    /// Plain segments in this directory instead of the archive.
    pub wal_directory: Option<PathBuf>,
    /// Further directories with plain segments, beside `pg_wal`: what a run has put in safety.
    pub beside: Vec<PathBuf>,
    /// Whether the running server is asked for names.
    pub asks_server: bool,
    /// The database user that is asked as; psql's own where none is named.
    pub user: Option<String>,
}

/// What was found, and where.
#[derive(Debug, Clone)]
pub struct Found {
    /// The answer.
    pub answer: Answer,
    /// Where it was read, as a person says it.
    pub place: String,
    /// How a person gets at it.
    pub reach: Reach,
    /// The zone in which the server shows times, where it is known.
    pub server_zone: Option<chrono_tz::Tz>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AccidentError {
    /// The environment.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The state directory.
    #[error(transparent)]
    Path(#[from] PathError),
    /// pgBackRest is not there.
    #[error(transparent)]
    Pgbackrest(#[from] PgbackrestError),
    /// No inventory, and no `pg_wal` in its stead.
    #[error(transparent)]
    Look(#[from] LookError),
    /// Not clear whose WAL is meant.
    #[error("{0}")]
    Stanza(String),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] WalSourceError),
    /// The segments.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Place {
    /// By the settings.
    ///
    /// # Errors
    /// When the environment can't be used.
    pub fn of(settings: &Settings) -> Result<Place, AccidentError> {
        Ok(Place {
            pgbackrest: settings.pgbackrest.clone(),
            bin_directory: settings.postgres.bin_directory.clone(),
            state_directory: paths::state_directory(settings).ok(),
            cache_limit_bytes: settings.state.wal_cache_bytes,
            is_read_only: settings.read_only,
            environment: BaseEnvironment::from_process()?.real,
        })
    }

    fn pgbackrest(&self) -> Result<Pgbackrest, PgbackrestError> {
        let variables = self.environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        Pgbackrest::locate(Some(&self.pgbackrest.binary), self.pgbackrest.config.as_deref(), variables)
    }
}

impl Request {
    /// A window of the archive, with the names that the server knows.
    #[must_use]
    pub fn around(window: Window) -> Request {
        Request {
            window,
            table: None,
            timeline: None,
            wal_directory: None,
            beside: Vec::new(),
            asks_server: true,
            user: None,
        }
    }
}

/// Searches for accidents. `tell` hears how far it is; `cancel` ends it soon: with what was read so far, or, where nothing
/// was, with [`SourceError::Cancelled`].
///
/// # Errors
/// When there is no WAL to be read, in words. What can be read is answered for; the rest is in the answer's notes.
pub fn investigate(
    place: &Place,
    request: &Request,
    cancel: &Cancel,
    tell: &mut dyn FnMut(News<'_>),
) -> Result<Found, AccidentError> {
    let mut tell = |news: News<'_>| {
        tell(news);
        if cancel.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let (mut opened, names, zone) = open(place, request, cancel, &mut tell)?;
    let source = opened.source.as_mut();
    let mut answer = scan::find(source, request.window, names, request.table.as_deref(), &mut tell)?;
    answer.notes.splice(0..0, opened.notes);
    if let Some((pgbackrest, stanza)) = opened.repositories.filter(|_| !cancel.is_set()) {
        sizes::add(&pgbackrest, &stanza, &mut answer);
    }
    let source = opened.source;
    let reach = Reach { size: Some(source.size()), ..opened.reach };
    Ok(Found { answer, place: source.place(), reach, server_zone: zone })
}

/// Hands out every commit of a window, in order, as it is read, with the names that are known.
///
/// # Errors
/// As [`investigate`].
pub fn list_commits(
    place: &Place,
    request: &Request,
    cancel: &Cancel,
    each: &mut dyn FnMut(&Committed, &Names),
    tell: &mut dyn FnMut(News<'_>),
) -> Result<Coverage, AccidentError> {
    let mut tell = |news: News<'_>| {
        tell(news);
        if cancel.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let (mut opened, names, _) = open(place, request, cancel, &mut tell)?;
    let mut each = |committed: &Committed| each(committed, &names);
    let mut coverage = scan::commits(opened.source.as_mut(), request.window, &mut each, &mut tell)?;
    coverage.notes.splice(0..0, opened.notes);
    Ok(coverage)
}

/// WAL that can be read.
pub(super) struct Opened {
    pub(super) source: Box<dyn SegmentSource>,
    stanza: Option<String>,
    /// The data directory whose server may know the names.
    data_directory: Option<PathBuf>,
    reach: Reach,
    /// Where sets can be looked into.
    repositories: Option<(Pgbackrest, Stanza)>,
    pub(super) notes: Vec<String>,
}

/// Opens the WAL, and reads the names.
pub(super) fn open(
    place: &Place,
    request: &Request,
    cancel: &Cancel,
    tell: &mut Tell<'_>,
) -> Result<(Opened, Names, Option<chrono_tz::Tz>), AccidentError> {
    _ = tell(News::Listing);
    let mut opened = match &request.wal_directory {
        Some(directory) => of_directory(place, directory)?,
        None => of_stanza(place, request, cancel)?,
    };
    if tell(News::Names).is_break() {
        return Err(SourceError::Cancelled.into());
    }
    let owner = names::Owner {
        data_directory: opened.data_directory.as_deref(),
        stanza: opened.stanza.as_deref(),
        system_identifier: opened.source.system_identifier(),
    };
    let Told { names, server_zone, notes } = names::tell(place, request, &owner, cancel);
    opened.notes.extend(notes);
    Ok((opened, names, server_zone))
}

/// The stanza that is meant, as far as the configuration tells.
fn configured(place: &Place) -> (Option<BackrestConfig>, Option<String>) {
    let config = BackrestConfig::load(place.pgbackrest.config.as_deref(), &place.environment).ok();
    let only = || match config.as_ref()?.stanzas().as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    };
    let stanza = place.pgbackrest.stanza.clone().or_else(only);
    (config, stanza)
}

/// The stanza's data directory where it is on this host.
fn data_directory(config: Option<&BackrestConfig>, stanza: &str) -> Option<PathBuf> {
    let config = config?;
    let is_elsewhere = config.value(stanza, "backup", "pg1-host").is_some();
    config.pg1_path(stanza).filter(|_| !is_elsewhere)
}

fn of_directory(place: &Place, directory: &Path) -> Result<Opened, AccidentError> {
    let (config, stanza) = configured(place);
    let source = DirectorySource::open(directory)?;
    // A directory of copies belongs to no server; a pg_wal to that of the directory above it.
    let above = directory.canonicalize().ok().and_then(|wal| Some(wal.parent()?.to_owned()));
    let above = above.filter(|above| above.join("PG_VERSION").exists());
    let configured = || data_directory(config.as_ref(), stanza.as_deref()?);
    let data_directory = above.or_else(configured);
    let reach = reach(directory);
    let notes = Vec::new();
    Ok(Opened { source: Box::new(source), stanza, data_directory, reach, repositories: None, notes })
}

fn of_stanza(place: &Place, request: &Request, cancel: &Cancel) -> Result<Opened, AccidentError> {
    let (config, named) = configured(place);
    let pg_wal = |data: &Option<PathBuf>| data.as_deref().map(|data| data.join("pg_wal"));
    let looked = place.pgbackrest().map_err(AccidentError::from).and_then(|pgbackrest| {
        let pgbackrest = pgbackrest.with_cancel(cancel.clone());
        // Listed meanwhile: that takes as long as to ask whose they are.
        let listings = named.as_deref().map(|stanza| {
            let repositories = config.as_ref().map(|config| config.repositories(stanza)).unwrap_or_default();
            Listings::begin(&pgbackrest, stanza, repositories.first().map(|repository| repository.key))
        });
        let stanza = chosen(&pgbackrest, named.as_deref())?;
        let listings = listings.unwrap_or_else(|| Listings::begin(&pgbackrest, &stanza.name, None));
        Ok((pgbackrest, stanza, listings))
    });
    let (pgbackrest, stanza, listings) = match looked {
        Ok(found) => found,
        Err(_) if cancel.is_set() => return Err(SourceError::Cancelled.into()),
        // Without any repository pg_wal may still have it.
        Err(error) => {
            let data_directory = named.as_deref().and_then(|stanza| data_directory(config.as_ref(), stanza));
            let found = pg_wal(&data_directory).and_then(|wal| Some((DirectorySource::open(&wal).ok()?, wal)));
            let Some((source, wal)) = found else { return Err(error) };
            let reach = reach(&wal);
            let notes = vec![format!("the archive is not looked into, pg_wal alone: {error}")];
            let (source, stanza) = (Box::new(source), named);
            return Ok(Opened { source, stanza, data_directory, reach, repositories: None, notes });
        }
    };
    let mut data_directory = data_directory(config.as_ref(), &stanza.name);
    let mut notes = Vec::new();
    let cluster = cluster(&stanza, &mut data_directory, &mut notes)?;
    let mut directories: Vec<PathBuf> = request.beside.clone();
    if let Some(wal) = pg_wal(&data_directory) {
        match std::fs::read_dir(&wal) {
            Ok(_) => directories.push(wal),
            Err(error) => notes.push(format!(
                "{} can't be read ({error}): what is not archived yet is not looked into",
                clean(&wal.to_string_lossy())
            )),
        }
    }
    let wal = WalSource::open_listed(listings, &stanza, cluster, &directories)?;
    let wal = match cache(place) {
        Ok(Some(cache)) => wal.with_cache(cache),
        Ok(None) => wal,
        Err(why) => {
            notes.push(format!("fetched WAL is not kept for the next question: {why}"));
            wal
        }
    };
    let source = ArchiveSource::open(wal, request.timeline)?;
    let beside = data_directory.as_deref().map(|data| reach(&data.join("pg_wal"))).unwrap_or_default();
    let reach = Reach { archive: Some(words(place, &stanza.name)), ..beside };
    let (source, name) = (Box::new(source), Some(stanza.name.clone()));
    let repositories = Some((pgbackrest, stanza));
    Ok(Opened { source, stanza: name, data_directory, reach, repositories, notes })
}

/// A directory, with the segments that are in it now.
fn reach(directory: &Path) -> Reach {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let segments = entries.filter_map(|entry| WalSegment::parse(entry.file_name().to_str()?).ok()).collect();
    Reach { directory: Some((directory.to_owned(), segments)), ..Reach::default() }
}

/// pgBackRest as a person calls it for this stanza.
fn words(place: &Place, stanza: &str) -> Vec<String> {
    let settings = &place.pgbackrest;
    let config = settings.config.as_ref().map(|config| format!("--config={}", config.display()));
    let program = settings.binary.display().to_string();
    std::iter::once(program).chain(config).chain([format!("--stanza={stanza}")]).collect()
}

/// The stanza that is named, or the only one there is.
fn chosen(pgbackrest: &Pgbackrest, named: Option<&str>) -> Result<Stanza, AccidentError> {
    let inventory = look::inventory(pgbackrest, named)?;
    let mut stanzas: Vec<Stanza> = inventory.stanzas.into_iter().filter(|stanza| !stanza.is_nameless()).collect();
    let names: Vec<String> = stanzas.iter().map(|stanza| stanza.name.clone()).collect();
    match (stanzas.len(), stanzas.pop()) {
        (1, Some(stanza)) => Ok(stanza),
        (0, _) => Err(AccidentError::Stanza("no repository has a stanza: there is no archive to look into".to_owned())),
        _ => Err(AccidentError::Stanza(format!(
            "there are several stanzas ({}): name one with --stanza",
            names.join(", ")
        ))),
    }
}

/// Whose WAL is looked for: what the repositories say, else the data directory. One of another cluster is left out.
fn cluster(
    stanza: &Stanza,
    data_directory: &mut Option<PathBuf>,
    notes: &mut Vec<String>,
) -> Result<Cluster, AccidentError> {
    let local = data_directory.as_deref().and_then(local_cluster);
    let Some(cluster) = Cluster::current(stanza) else {
        return local.ok_or_else(|| {
            let keys: Vec<RepositoryKey> = stanza.repositories.iter().map(|repository| repository.key).collect();
            let said: Vec<String> = stanza
                .repositories
                .iter()
                .map(|repository| format!("  {}: {}", repository.key.name(), repository.status.message))
                .collect();
            AccidentError::Stanza(format!(
                "whose WAL stanza '{}' holds is not known: none of its {} repositories can be read, and there is no data \
                 directory on this host that could tell\n{}",
                stanza.name,
                keys.len(),
                said.join("\n")
            ))
        });
    };
    match local {
        Some(local) if local.system_identifier == cluster.system_identifier => Ok(local),
        Some(local) => {
            let directory = data_directory.take().unwrap_or_default();
            notes.push(format!(
                "{} holds another cluster (system identifier {}) than the archive ({}): its WAL and its names are left out",
                clean(&directory.to_string_lossy()),
                local.system_identifier,
                cluster.system_identifier
            ));
            Ok(cluster)
        }
        None => Ok(cluster),
    }
}

/// The cluster in a data directory, by its control file and the first page of its newest WAL.
fn local_cluster(data_directory: &Path) -> Option<Cluster> {
    let version = std::fs::read_to_string(data_directory.join("PG_VERSION")).ok()?.trim().to_owned();
    let head = |path: &Path| {
        let mut head = Vec::with_capacity(HEADER_BYTES);
        File::open(path).ok()?.take(HEADER_BYTES as u64).read_to_end(&mut head).ok()?;
        Some(head)
    };
    let system_identifier = names::identity(data_directory)?;
    let segments = std::fs::read_dir(data_directory.join("pg_wal")).into_iter().flatten().flatten();
    let mut pages = segments
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| FirstPage::parse(&head(&entry.path())?).ok())
        .filter(|page| page.system_identifier == system_identifier);
    let segment_size = pages.next().map(|page| page.segment_size);
    Some(Cluster { version, system_identifier, segment_size })
}

/// The cache; `None` where none is wanted.
fn cache(place: &Place) -> Result<Option<Cache>, String> {
    let keeps = place.cache_limit_bytes > 0 && !place.is_read_only;
    let Some(state) = place.state_directory.as_deref().filter(|_| keeps) else { return Ok(None) };
    let cache = Cache::open(&state.join(CACHE), place.cache_limit_bytes);
    cache.map(Some).map_err(|error| error.to_string())
}
