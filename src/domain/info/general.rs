//! The general road: a set from whatever the document says of it.

use crate::domain::info::backup::{
    BackupSet, BlockMaps, LsnRange, NO_LSN, NO_WAL, OptionalBytes, Rare, Remarks, SetDetail, UnreadableSet, WalRange,
};
use crate::domain::info::raw::{RawBackup, RawRange};
use crate::domain::info::units::{Bytes, DatabaseId, RepositoryKey};
use crate::domain::label::BackupLabel;
use crate::domain::lsn::Lsn;
use crate::domain::version::PgBackRestVersion;
use crate::domain::wal::WalSegment;
use chrono::DateTime;

/// Makes a set of what the document says of it.
///
/// # Errors
/// In words, when what every set has is missing or damaged: a set that is half understood is not shown as a whole one.
pub(crate) fn set(mut raw: RawBackup<'_>, remarks: &mut Remarks) -> Result<BackupSet, UnreadableSet> {
    // Before 2.32 there was one repository, and no keys.
    let repository = RepositoryKey(raw.database.as_ref().and_then(|database| database.repo_key).unwrap_or(1));
    let annotations = raw.annotation.take().map(|annotations| remarks.share(annotations.0));
    match label_and_rest(repository, raw) {
        Ok(set) => Ok(BackupSet { annotations, ..set }),
        Err(what) => Err(UnreadableSet { repository, what: what.into_boxed_str() }),
    }
}

fn label_and_rest(repository: RepositoryKey, raw: RawBackup<'_>) -> Result<BackupSet, String> {
    let label = raw.label.as_ref().ok_or("a backup set without a label")?;
    let label = BackupLabel::parse(&label.0).map_err(|error| error.to_string())?;
    rest(repository, label, raw).map_err(|what| format!("backup set {label}: {what}"))
}

fn rest(repository: RepositoryKey, label: BackupLabel, mut raw: RawBackup<'_>) -> Result<BackupSet, String> {
    let mut rare = Rare { detail: detail(&mut raw), ..Rare::default() };
    let is_own = |other: &BackupLabel| other.full() == label.full();
    let prior = match raw.prior {
        Some(text) => Some(BackupLabel::parse(&text.0).map_err(|error| format!("its prior set: {error}"))?),
        None => None,
    };
    rare.foreign_prior = prior.filter(|prior| !is_own(prior));
    let references = raw.reference.map_or(Ok(Vec::new()), |list| list.0)?;
    if !references.iter().all(is_own) {
        rare.foreign_references.clone_from(&references);
    }
    let times = raw.timestamp.and_then(|times| Some((times.start?, times.stop?)));
    let (start, stop) = times.ok_or("no start or stop time")?;
    if !are_instants(start, stop) {
        return Err(format!("its times {start} and {stop} are out of range"));
    }
    let database = raw.database.and_then(|database| database.id).ok_or("no database id")?;
    let info = raw.info.ok_or("no sizes")?;
    let sizes = info.repository.unwrap_or_default();
    if sizes.size_map.is_some() || sizes.delta_map.is_some() {
        let (size, delta) = (sizes.size_map.map(Bytes), sizes.delta_map.map(Bytes));
        rare.blocks = Some(BlockMaps { size, delta });
    }
    let version = raw.backrest.and_then(|backrest| backrest.version);
    Ok(BackupSet {
        label,
        prior: prior.map(BackupLabel::member),
        references: references.into_iter().map(BackupLabel::member).collect(),
        annotations: None,
        wal: range(raw.archive, WalSegment::parse)?.map_or(NO_WAL, |(start, stop)| WalRange { start, stop }),
        lsn: range(raw.lsn, Lsn::parse)?.map_or(NO_LSN, |(start, stop)| LsnRange { start, stop }),
        start,
        stop,
        database_bytes: info.size.ok_or("no size")?,
        copied_bytes: info.delta.unwrap_or(0),
        repository_bytes: OptionalBytes::new(sizes.size),
        repository_added: OptionalBytes::new(sizes.delta),
        repository,
        database: DatabaseId(database),
        error: raw.error,
        made_by: version.and_then(|text| PgBackRestVersion::parse(&text.0).ok()),
        rare: (rare != Rare::default()).then(|| Box::new(rare)),
    })
}

fn detail(raw: &mut RawBackup<'_>) -> Option<SetDetail> {
    if raw.database_ref.is_none() && raw.tablespace.is_none() && raw.link.is_none() && raw.error_list.is_none() {
        return None;
    }
    let errors = raw.error_list.take().unwrap_or_default();
    Some(SetDetail {
        databases: raw.database_ref.take().unwrap_or_default(),
        tablespaces: raw.tablespace.take().unwrap_or_default(),
        links: raw.link.take().unwrap_or_default(),
        errors: errors.iter().map(|text| text.cleaned()).collect(),
    })
}

/// Whether both are moments that can be shown.
pub(crate) fn are_instants(start: i64, stop: i64) -> bool {
    [start, stop].iter().all(|&seconds| DateTime::from_timestamp(seconds, 0).is_some())
}

/// A start and a stop; neither is told for offline backups.
fn range<T, E: std::fmt::Display>(
    raw: Option<RawRange<'_>>,
    parse: fn(&str) -> Result<T, E>,
) -> Result<Option<(T, T)>, String> {
    let parse = |text: &str| parse(text).map_err(|error| error.to_string());
    match raw.map(|range| (range.start, range.stop)) {
        None | Some((None, None)) => Ok(None),
        Some((Some(start), Some(stop))) => Ok(Some((parse(&start.0)?, parse(&stop.0)?))),
        Some(_) => Err("of its WAL or positions only one end is told".to_owned()),
    }
}
