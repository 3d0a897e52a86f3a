//! Which way the old cluster is kept before an in-place restore, what each way takes, and what it costs.
//!
//! Two things belong together. A cluster that is *renamed* away leaves nothing in place, so everything is restored anew:
//! pgBackRest refuses (error 40) when a tablespace is left behind, so all parts are renamed or none. A cluster that is
//! *copied* (reflinks or bytes) stays in place, and the restore goes over it with `--delta`. Hard links are no copy:
//! PostgreSQL and pgBackRest write into files.
//!
//! Nothing is chosen that has no way back: where no way is open, nothing is recommended and a person decides.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A part of a cluster that lies in a directory of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartKind {
    /// The data directory.
    Data,
    /// The directory that `pg_wal` links to.
    Wal,
    /// The directory of this version in a tablespace's location.
    Tablespace(
        /// The tablespace's OID.
        u32,
    ),
}

/// How a part is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Moved away on the same file system; nothing is left in place.
    Rename,
    /// Copied by sharing blocks, where the file system can (XFS, Btrfs, ZFS from 2.2).
    Reflink,
    /// Copied byte by byte.
    Copy,
}

/// What pgBackRest has to do afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreKind {
    /// A restore into empty directories, without `--delta`.
    Fresh,
    /// A restore over what is there, with `--delta`.
    Delta,
}

/// A file system, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Its device number: the same number is the same file system.
    pub file_system: u64,
    /// What this user may still write, in bytes.
    pub free_bytes: u64,
}

/// A part as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartFacts {
    /// Which.
    pub kind: PartKind,
    /// Its directory, without symbolic links.
    pub from: PathBuf,
    /// Where it goes on the same file system.
    pub chest: PathBuf,
    /// What its files take on disk.
    pub bytes: u64,
    /// How many files and directories.
    pub entries: u64,
    /// The file system it lies on.
    pub space: Space,
    /// Whether a reflink was tried there and done.
    pub reflink: bool,
    /// Why it can't be renamed.
    pub obstacle: Option<String>,
    /// It is a mount point itself, and nothing is mounted below it: what is in it can be copied away and back.
    pub mounted: bool,
    /// The set to be restored has it. A tablespace that was made after the set is renamed in every way: `--delta` does not
    /// look into it, and replay would make its files anew over the old ones, which may be longer.
    pub in_set: bool,
}

/// Everything the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepFacts {
    /// All parts, the data directory first.
    pub parts: Vec<PartFacts>,
    /// What the set restores, in bytes.
    pub restored_bytes: u64,
    /// A directory for copies on another file system, and its space.
    pub elsewhere: Option<(PathBuf, Space)>,
}

/// How fast things go here, in bytes a second; measured where possible.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speeds {
    /// Copying files.
    pub copy: f64,
    /// A restore out of the repository.
    pub restore: f64,
    /// A delta restore's reading of what is in place.
    pub compare: f64,
}

impl Default for Speeds {
    /// Careful figures for one disk: 1.5 GB took 3.2 s to restore and 1.0 s to compare on two warm cores.
    fn default() -> Speeds {
        Speeds { copy: 150e6, restore: 150e6, compare: 500e6 }
    }
}

/// Making, moving or cloning one file, in seconds: with a sync of the folder.
const ENTRY_SECONDS: f64 = 0.000_3;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeping {
    /// All parts are renamed on their file systems.
    Rename,
    /// All parts are copied by reflinks.
    Reflink,
    /// All parts are copied on their own file systems.
    Copy,
    /// All parts are copied to another file system.
    CopyElsewhere,
    /// Nothing is copied here: a standby that is stopped right behind the old cluster is the copy.
    Standby,
    /// Only `pg_wal` is saved: the old state can be had again by a replay, if every segment is at hand.
    WalOnly,
}

/// A part and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPart {
    /// Which.
    pub kind: PartKind,
    /// How.
    pub way: Way,
    /// Its directory.
    pub from: PathBuf,
    /// The marked directory it goes to.
    pub chest: PathBuf,
}

/// One way to keep the old cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeepOption {
    /// Which.
    pub keeping: Keeping,
    /// What goes where, the data directory first; empty for [`Keeping::WalOnly`].
    pub parts: Vec<PlannedPart>,
    /// What pgBackRest does afterwards.
    pub restore: RestoreKind,
    /// How long keeping takes, about.
    pub keep_seconds: f64,
    /// How long the restore's copying takes afterwards, about (replay not counted).
    pub restore_seconds: f64,
    /// How long the way back takes, about; `None` where there is none but a replay.
    pub back_seconds: Option<f64>,
    /// What has to be free, by file system, in bytes.
    pub needs: BTreeMap<u64, u64>,
    /// What it costs, in words.
    pub costs: Vec<String>,
    /// Why it can't be done; empty when it can.
    pub refused: Vec<String>,
}

impl KeepOption {
    /// Whether it can be done.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.refused.is_empty()
    }
}

impl Keeping {
    /// Its word in runbooks and on command lines.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Keeping::Rename => "rename",
            Keeping::Reflink => "reflink",
            Keeping::Copy => "copy",
            Keeping::CopyElsewhere => "elsewhere",
            Keeping::Standby => "standby",
            Keeping::WalOnly => "none",
        }
    }

    /// The way of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Keeping> {
        let copies = [Keeping::Rename, Keeping::Reflink, Keeping::Copy, Keeping::CopyElsewhere];
        copies.into_iter().chain([Keeping::Standby, Keeping::WalOnly]).find(|keeping| keeping.word() == word)
    }

    /// The way back in words, for the gate; `seconds` as in [`KeepOption::back_seconds`].
    #[must_use]
    pub fn way_back(self, seconds: Option<f64>) -> String {
        let about = seconds.map_or(String::new(), |seconds| format!(", in about {:.0} s", seconds.max(1.0)));
        match self {
            Keeping::Rename => format!("the kept cluster is moved back by renaming{about}"),
            Keeping::Reflink | Keeping::Copy => format!("the copy is moved into place by renaming{about}"),
            Keeping::CopyElsewhere => format!("the copy is copied back{about}"),
            Keeping::Standby => {
                "the stopped standby is the copy: start it and promote it, or copy its directory back".to_owned()
            }
            Keeping::WalOnly => format!(
                "no copy; the way back is another restore and a replay to the end of its timeline{about} (at the pause: 'back' with target=latest, then promote)"
            ),
        }
    }
}

/// All ways, in the order of recommendation.
#[derive(Debug, Clone, PartialEq)]
pub struct KeepPlan {
    /// The ways; the one that keeps WAL only comes last.
    pub options: Vec<KeepOption>,
}

impl KeepPlan {
    /// The first way that is open and leads back to the old cluster. `None`: a person has to decide.
    #[must_use]
    pub fn recommended(&self) -> Option<&KeepOption> {
        self.options.iter().find(|option| option.is_open() && option.back_seconds.is_some())
    }
}

/// Works out every way.
#[must_use]
pub fn keep_plan(facts: &KeepFacts, speeds: &Speeds) -> KeepPlan {
    let mut ways = vec![Keeping::Rename, Keeping::Reflink, Keeping::Copy];
    if facts.elsewhere.is_some() {
        ways.push(Keeping::CopyElsewhere);
    }
    ways.extend([Keeping::Standby, Keeping::WalOnly]);
    KeepPlan { options: ways.into_iter().map(|keeping| option(keeping, facts, speeds)).collect() }
}

fn option(keeping: Keeping, facts: &KeepFacts, speeds: &Speeds) -> KeepOption {
    let total: u64 = facts.parts.iter().map(|part| part.bytes).sum();
    let entries: u64 = facts.parts.iter().map(|part| part.entries).sum();
    let (restored, copied) = (facts.restored_bytes as f64, total as f64);
    let handling = entries as f64 * ENTRY_SECONDS;
    let moving = 1.0 + facts.parts.len() as f64 * 0.1;
    let delta = copied / speeds.compare + restored / speeds.restore;
    let (keep_seconds, restore_seconds, back_seconds) = match keeping {
        Keeping::Rename => (moving, restored / speeds.restore, Some(moving)),
        Keeping::Reflink => (moving + handling, delta, Some(moving)),
        Keeping::Copy => (moving + handling + copied / speeds.copy, delta, Some(moving)),
        Keeping::CopyElsewhere => {
            let seconds = moving + handling + copied / speeds.copy;
            // what is in place by then is copied aside first
            let back = if is_mounted(facts) { seconds + handling + restored / speeds.copy } else { seconds };
            (seconds, delta, Some(back))
        }
        Keeping::Standby | Keeping::WalOnly => (0.0, delta, None),
    };
    let needs = needs(keeping, facts);
    let mut refused = obstacles(keeping, facts);
    refused.extend(too_full(facts, &needs));
    KeepOption {
        keeping,
        parts: parts(keeping, facts),
        restore: if keeping == Keeping::Rename { RestoreKind::Fresh } else { RestoreKind::Delta },
        keep_seconds,
        restore_seconds,
        back_seconds,
        needs,
        costs: costs(keeping, total, is_mounted(facts)),
        refused,
    }
}

fn parts(keeping: Keeping, facts: &KeepFacts) -> Vec<PlannedPart> {
    let way = match keeping {
        Keeping::Rename => Way::Rename,
        Keeping::Reflink => Way::Reflink,
        Keeping::Copy | Keeping::CopyElsewhere => Way::Copy,
        Keeping::Standby | Keeping::WalOnly => return Vec::new(),
    };
    let chest = |part: &PartFacts| match (&facts.elsewhere, keeping) {
        (Some((directory, _)), Keeping::CopyElsewhere) => directory.join(match part.kind {
            PartKind::Data => "data".to_owned(),
            PartKind::Wal => "pg_wal".to_owned(),
            PartKind::Tablespace(oid) => oid.to_string(),
        }),
        _ => part.chest.clone(),
    };
    let planned = |part: &PartFacts| {
        if part.in_set {
            return PlannedPart { kind: part.kind, way, from: part.from.clone(), chest: chest(part) };
        }
        PlannedPart { kind: part.kind, way: Way::Rename, from: part.from.clone(), chest: part.chest.clone() }
    };
    facts.parts.iter().map(planned).collect()
}

/// Bytes that have to be free: what the restore brings where nothing stays in place, or what the copies take.
fn needs(keeping: Keeping, facts: &KeepFacts) -> BTreeMap<u64, u64> {
    let mut needs = BTreeMap::new();
    let mut add = |file_system: u64, bytes: u64| *needs.entry(file_system).or_insert(0u64) += bytes;
    let total: u64 = facts.parts.iter().map(|part| part.bytes).sum();
    // a cluster that lost files grows by what the set has more; where that goes is not known before
    let growth = facts.restored_bytes.saturating_sub(total);
    for part in &facts.parts {
        let here = part.space.file_system;
        match (keeping, &facts.elsewhere) {
            (Keeping::Rename | Keeping::Copy, _) => add(here, part.bytes),
            (Keeping::CopyElsewhere, Some((_, space))) => add(space.file_system, part.bytes),
            _ => {}
        }
        if part.kind == PartKind::Data {
            add(here, growth);
        }
    }
    needs.retain(|_, bytes| *bytes > 0);
    needs
}

fn obstacles(keeping: Keeping, facts: &KeepFacts) -> Vec<String> {
    let mut found = Vec::new();
    for part in &facts.parts {
        let path = part.from.display();
        match keeping {
            Keeping::Rename => found.extend(part.obstacle.clone()),
            // the way back moves what is in place aside
            Keeping::Reflink | Keeping::Copy | Keeping::CopyElsewhere => {
                let copied_back = keeping == Keeping::CopyElsewhere && part.mounted;
                if let Some(obstacle) = part.obstacle.as_ref().filter(|_| !copied_back) {
                    found.push(format!("the way back could not be gone: {obstacle}"));
                }
            }
            Keeping::Standby | Keeping::WalOnly if !part.in_set => found.push(format!(
                "{path} is of a tablespace that is not in the set, and would be written over: take a set that has it, or a way that keeps it"
            )),
            Keeping::Standby | Keeping::WalOnly => {}
        }
        if keeping == Keeping::Reflink && !part.reflink {
            found.push(format!("the file system of {path} can't share blocks between files"));
        }
    }
    found
}

fn too_full(facts: &KeepFacts, needs: &BTreeMap<u64, u64>) -> Vec<String> {
    let mut spaces: BTreeMap<u64, (u64, String)> = BTreeMap::new();
    for part in &facts.parts {
        let at = part.from.display().to_string();
        spaces.entry(part.space.file_system).or_insert((part.space.free_bytes, at));
    }
    if let Some((directory, space)) = &facts.elsewhere {
        spaces.entry(space.file_system).or_insert((space.free_bytes, directory.display().to_string()));
    }
    let short = |(file_system, bytes): (&u64, &u64)| {
        let (free, at) = spaces.get(file_system)?;
        (free < bytes).then(|| format!("the file system of {at} has {free} bytes free, {bytes} are needed"))
    };
    needs.iter().filter_map(short).collect()
}

fn is_mounted(facts: &KeepFacts) -> bool {
    facts.parts.iter().any(|part| part.mounted)
}

fn costs(keeping: Keeping, total: u64, mounted: bool) -> Vec<String> {
    let texts: &[&str] = match keeping {
        Keeping::Rename => &[
            "the restore copies everything anew: no --delta",
            "the old and the new cluster lie side by side until the kept one is removed",
        ],
        Keeping::Reflink => &[
            "every block the restore or the server writes takes space of its own from then on: at most the cluster's size",
        ],
        Keeping::Copy => &["a whole copy is written before the restore begins"],
        Keeping::CopyElsewhere => {
            &["a whole copy is written before the restore begins", "the way back copies everything again"]
        }
        Keeping::Standby => &[
            "no copy is made here: the standby is stopped right after production, and stays so until this is over",
            "it serves as the copy only if it had received everything, and nobody lets it follow the recovered cluster",
        ],
        Keeping::WalOnly => &[
            "no copy of the cluster: the way back is a restore and a replay to the end of its timeline",
            "what is in no WAL is lost: unlogged tables, logs, settings that were not saved",
        ],
    };
    let mut costs: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
    if matches!(keeping, Keeping::Copy | Keeping::CopyElsewhere) {
        costs.push(format!("{total} bytes are copied"));
    }
    if keeping == Keeping::CopyElsewhere && mounted {
        costs.push(
            "what is mounted can't be renamed: the way back copies what is in place aside to the same directory, which needs as much room there once more, and empties it before the old cluster is copied back"
                .to_owned(),
        );
    }
    costs
}

#[cfg(test)]
mod tests;
