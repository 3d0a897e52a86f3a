//! The identity facts of a plan, read from the machine: when it is made, at every gate, and before every step that
//! can't be undone. The same function reads them each time, so that a difference is a difference in the world.

use crate::domain::digest::Digest;
use crate::domain::facts::{BYTES, Facts, Threshold};
use crate::domain::inventory::{BackupSet, Inventory, RepositoryKey, SetKey};
use crate::domain::label::BackupLabel;
use crate::domain::plan::{Piece, Plan};
use crate::domain::text;
use crate::engine::kept;
use crate::engine::look;
use crate::engine::surroundings::{PGBACKREST, PGBACKREST_CONFIG, POSTGRES_BIN, Surroundings};
use chrono::SecondsFormat;
use std::collections::BTreeMap;
use std::path::Path;

/// The parameters by which a restoring runbook names what it is about. A runbook without them has fewer facts.
const STANZA: &str = "stanza";
const REPOSITORY: &str = "repository";
const SET: &str = "set";
const TIMELINE: &str = "timeline";
/// The sealed fact with production's data directory.
pub const PRODUCTION: &str = "production-data-directory";

/// The sealed fact with the system identifier of the cluster that the set is of.
const SYSTEM: &str = "system-identifier";

/// Where a plan restores to: production's place, or one of its own.
const DATA_DIRECTORY: &str = "data-directory";
const DIRECTORY: &str = "directory";
/// The threshold of the file system that is restored to.
const FREE_SPACE: &str = "free-space";

/// What a plan is about, as far as it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The stanza.
    pub stanza: String,
    /// The repository.
    pub repository: RepositoryKey,
    /// The backup set.
    pub set: BackupLabel,
    /// The timeline to recover along.
    pub timeline: u32,
    /// Production's data directory, where the configuration names one on this host.
    pub production: Option<String>,
}

impl Subject {
    fn key(&self) -> SetKey {
        SetKey { stanza: self.stanza.clone(), repository: self.repository, label: self.set }
    }
}

/// Reads the facts of a plan again. What can't be read any more is missing, which is a difference, too.
#[must_use]
pub fn read(plan: &Plan, surroundings: &Surroundings) -> Facts {
    let parameter = |name: &str| plan.parameters.get(name);
    let subject = (|| {
        Some(Subject {
            stanza: parameter(STANZA)?.clone(),
            repository: RepositoryKey(parameter(REPOSITORY)?.parse().ok()?),
            set: BackupLabel::parse(parameter(SET)?).ok()?,
            timeline: parameter(TIMELINE)?.parse().ok()?,
            production: plan.facts.identity.get(PRODUCTION).filter(|path| !path.is_empty()).cloned(),
        })
    })();
    let inventory = subject.as_ref().and_then(|subject| {
        look::inventory(&surroundings.pgbackrest, Some(&subject.stanza))
            .map_err(|error| tracing::warn!(%error, "the inventory can't be read"))
            .ok()
    });
    let mut facts = of(surroundings, subject.as_ref(), inventory.as_ref());
    facts.identity.insert("runbook".to_owned(), plan.runbook_digest.to_string());
    let bytes = subject
        .as_ref()
        .zip(inventory.as_ref())
        .and_then(|(subject, inventory)| Some(inventory.set(&subject.key())?.database_bytes().0));
    facts.thresholds = thresholds(plan, bytes);
    // A set that is gone tells no longer which of the stanza's clusters it is of; that cluster is still the same one.
    let repository = inventory.as_ref().zip(subject.as_ref()).and_then(|(inventory, subject)| {
        inventory.stanza(&subject.stanza).and_then(|stanza| stanza.repository(subject.repository))
    });
    if let (Some(repository), Some(sealed), None) =
        (repository, plan.facts.identity.get(SYSTEM), facts.identity.get(SYSTEM))
        && repository.databases.iter().filter_map(|database| database.system_id).any(|id| id.to_string() == *sealed)
    {
        facts.identity.insert(SYSTEM.to_owned(), sealed.clone());
    }
    facts
}

/// The facts of `subject` as they are now.
#[must_use]
pub fn of(surroundings: &Surroundings, subject: Option<&Subject>, inventory: Option<&Inventory>) -> Facts {
    let mut identity = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            identity.insert(name.to_owned(), text::clean(&value));
        }
    };
    put("host", Some(rustix::system::uname().nodename().to_string_lossy().into_owned()));
    put("machine-id", std::fs::read_to_string("/etc/machine-id").ok().map(|id| id.trim().to_owned()));
    put("lifeboat", own_digest());
    let config = surroundings.pgbackrest.config.as_ref().map(|path| path.display().to_string());
    put(PGBACKREST, Some(surroundings.pgbackrest.binary.display().to_string()));
    put(PGBACKREST_CONFIG, Some(config.unwrap_or_default()));
    put("pgbackrest-version", surroundings.pgbackrest.version().ok().map(|version| version.to_string()));
    put(POSTGRES_BIN, Some(surroundings.postgres.bin_directory.display().to_string()));
    put("postgres-version", Some(surroundings.postgres.version.clone()));
    let Some(subject) = subject else { return Facts { identity, thresholds: BTreeMap::new() } };
    put(STANZA, Some(subject.stanza.clone()));
    put(REPOSITORY, Some(subject.repository.0.to_string()));
    put(SET, Some(subject.set.to_string()));
    put(TIMELINE, Some(subject.timeline.to_string()));
    put(PRODUCTION, Some(subject.production.clone().unwrap_or_default()));
    let production = subject.production.as_ref().and_then(|path| system_identifier(surroundings, Path::new(path)));
    put("production-system-identifier", production.map(|system| system.to_string()));
    put("backup-set", inventory.and_then(|inventory| inventory.set(&subject.key())).map(identity_of));
    let system = inventory.and_then(|inventory| inventory.stanza(&subject.stanza)).and_then(|stanza| {
        let repository = stanza.repository(subject.repository)?;
        let database = repository.database(repository.set(subject.set)?.database())?;
        database.system_id.map(|system| system.to_string())
    });
    put(SYSTEM, system);
    Facts { identity, thresholds: BTreeMap::new() }
}

/// What moves by nature and still has a bound: the free space where a plan restores to. The bound is the set's size until
/// something lies there; from then on the room is taken already. A set that can't be read any more leaves the bound out:
/// that it is gone is a difference of its own.
#[must_use]
pub fn thresholds(plan: &Plan, set_bytes: Option<u64>) -> BTreeMap<String, Threshold> {
    let restores = plan.steps.iter().filter_map(|step| step.kind.command()).any(|command| {
        command.argv.iter().any(|word| matches!(word.pieces.as_slice(), [Piece::Text(text)] if text == "restore"))
    });
    let place = plan.parameters.get(DATA_DIRECTORY).or_else(|| plan.parameters.get(DIRECTORY)).map(Path::new);
    let Some(place) = place.filter(|_| restores) else { return BTreeMap::new() };
    let is_empty = std::fs::read_dir(place).map_or(true, |mut entries| entries.next().is_none());
    let least = if is_empty { set_bytes.unwrap_or(0) } else { 0 };
    let above = place.ancestors().find(|part| part.symlink_metadata().is_ok()).unwrap_or(Path::new("/"));
    let Ok(space) = rustix::fs::statvfs(above) else { return BTreeMap::new() };
    let value = space.f_bavail.saturating_mul(space.f_frsize);
    BTreeMap::from([(FREE_SPACE.to_owned(), Threshold { value, least, unit: BYTES.to_owned() })])
}

/// Whose cluster lies in production's data directory. Where this very run has kept it aside, it is the kept one: that the
/// place is empty then, or half restored, is no other cluster.
fn system_identifier(surroundings: &Surroundings, path: &Path) -> Option<u64> {
    if let Ok(control) = surroundings.postgres.control_data(path, &surroundings.environment) {
        return Some(control.system_identifier);
    }
    let run = surroundings.run.as_ref()?;
    let record = kept::read_record(run, &kept::home_of(run, path)).ok()??;
    record.system_identifier
}

/// What makes a set this one and no other of the same label.
fn identity_of(set: &BackupSet) -> String {
    let lsn = set.lsn().map_or_else(|| "no LSN".to_owned(), |lsn| format!("{} to {}", lsn.start, lsn.stop));
    format!(
        "{}, {} bytes, stopped {}",
        lsn,
        set.database_bytes().0,
        set.stop().to_rfc3339_opts(SecondsFormat::Secs, true)
    )
}

/// The digest of the program that runs: a plan is for the program that made it.
fn own_digest() -> Option<String> {
    std::fs::read("/proc/self/exe").ok().map(|bytes| Digest::of(&bytes).to_string())
}
