//! `pg_wal` copied aside: while the server runs, and again after it was stopped.

use crate::domain::digest::Digest;
use crate::domain::wal::WalSegment;
use crate::domain::wal_page::FirstPage;
use crate::engine::safety::{SafetyError, make_directory, open_plain, room_for, write_durably};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The list of the copies' SHA-256, as `sha256sum` writes and `sha256sum -c` reads it.
pub const SUMS: &str = "SHA256SUMS";

/// A segment is at most this large.
const LARGEST: u64 = 1 << 30;

/// What is in safety after a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SafeWal {
    /// The folder.
    pub directory: PathBuf,
    /// Every copy with its SHA-256, by name.
    pub files: BTreeMap<String, Digest>,
    /// Copied in this pass for the first time.
    pub added: Vec<String>,
    /// Copied again, since it had grown.
    pub grown: Vec<String>,
    /// Was there with another content: the earlier copy stays beside it under this name.
    pub set_beside: Vec<String>,
    /// Files under a future name whose content is an older segment's, and prepared ones: nothing to save.
    pub recycled: u64,
    /// Segments that PostgreSQL has not yet archived (`archive_status/*.ready`).
    pub not_archived: Vec<String>,
}

/// Copies `wal_directory` (`pg_wal`; a link to it is followed) into `safety/pg_wal`: segments, `.partial`, `.history`
/// and `.backup` files. Recycled segments are told by their header and left out. Done again it takes what is new or has
/// grown; nothing that is in safety is lost.
///
/// # Errors
/// [`SafetyError`]: no room (looked at before), what can't be read or written.
pub fn save_wal(wal_directory: &Path, safety: &Path) -> Result<SafeWal, SafetyError> {
    let directory = safety.join("pg_wal");
    make_directory(&directory)?;
    let mut safe = SafeWal { directory: directory.clone(), ..SafeWal::default() };
    let names = names(wal_directory)?;
    let mut needed = 0;
    for name in &names {
        let size = |path: PathBuf| path.symlink_metadata().map_or(0, |found| found.len());
        let (there, here) = (size(directory.join(name)), size(wal_directory.join(name)));
        needed += if there == here { 0 } else { here };
    }
    room_for(&directory, needed)?;
    for name in names {
        save_one(&wal_directory.join(&name), &directory, &name, &mut safe)?;
    }
    let status = wal_directory.join("archive_status");
    if let Ok(entries) = std::fs::read_dir(status) {
        let ready = |name: std::ffi::OsString| name.to_str()?.strip_suffix(".ready").map(str::to_owned);
        safe.not_archived = entries.flatten().filter_map(|entry| ready(entry.file_name())).collect();
        safe.not_archived.sort();
    }
    safe.files = sums(&directory)?;
    let text: String = safe.files.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
    write_durably(&directory.join(SUMS), text.as_bytes(), true)?;
    Ok(safe)
}

/// The names that WAL files have: anything else in the folder is not ours to judge.
fn names(wal_directory: &Path) -> Result<Vec<String>, SafetyError> {
    let entries = std::fs::read_dir(wal_directory).map_err(SafetyError::io(wal_directory, "listing it"))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(SafetyError::io(wal_directory, "listing it"))?.file_name();
        let Ok(name) = std::str::from_utf8(name.as_bytes()) else { continue };
        if is_wal_file(name) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn is_wal_file(name: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    let segment = |text: &str| WalSegment::parse(text).is_ok();
    segment(name)
        || name.strip_suffix(".partial").is_some_and(segment)
        || name.strip_suffix(".history").is_some_and(|stem| stem.len() == 8 && hex(stem))
        || name
            .strip_suffix(".backup")
            .and_then(|stem| stem.split_once('.'))
            .is_some_and(|(stem, offset)| segment(stem) && offset.len() == 8 && hex(offset))
}

fn save_one(from: &Path, directory: &Path, name: &str, safe: &mut SafeWal) -> Result<(), SafetyError> {
    // recycled or archived and removed since it was listed
    let Some(new) = read(from)? else { return Ok(()) };
    if let Ok(segment) = WalSegment::parse(name)
        && !is_written(&new, segment)
    {
        safe.recycled += 1;
        return Ok(());
    }
    let to = directory.join(name);
    let Some(old) = read(&to)? else {
        write_durably(&to, &new, false)?;
        safe.added.push(name.to_owned());
        return Ok(());
    };
    if old == new {
        return Ok(());
    }
    if !has_grown(&old, &new) {
        // another history under the same name: both are kept
        let beside = format!("{name}.{}", &Digest::of(&old).to_string()[..8]);
        let path = directory.join(&beside);
        if read(&path)?.is_none() {
            write_durably(&path, &old, false)?;
        }
        safe.set_beside.push(beside);
    }
    write_durably(&to, &new, true)?;
    safe.grown.push(name.to_owned());
    Ok(())
}

/// The name says which position it holds, and the header agrees. What can't be read as a header is saved: better too much.
fn is_written(bytes: &[u8], segment: WalSegment) -> bool {
    match FirstPage::parse(bytes) {
        Ok(page) => segment.start(page.segment_size) == Some(page.address),
        Err(crate::domain::wal_page::WalPageError::Empty) => false,
        Err(_) => true,
    }
}

/// WAL page by WAL page: what was written of the old one is in the new one too. Only the page that was last written may
/// have got more, and what followed it (zeros, or a recycled segment's rest) is nothing.
fn has_grown(old: &[u8], new: &[u8]) -> bool {
    const PAGE: usize = 8192;
    if old.len() != new.len() {
        return false;
    }
    let first_difference = old.iter().zip(new).position(|(one, other)| one != other).unwrap_or(old.len());
    // pages that hold what they should, counted from the beginning
    let written = |bytes: &[u8]| {
        let address = |page: &[u8]| page.get(8..16).and_then(|it| it.try_into().ok()).map(u64::from_le_bytes);
        let Some(start) = address(bytes) else { return 0 };
        let pages = bytes.chunks(PAGE).enumerate();
        pages.take_while(|(index, page)| address(page) == Some(start + (index * PAGE) as u64)).count() * PAGE
    };
    first_difference + PAGE >= written(old)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, SafetyError> {
    let Some(file) = open_plain(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(SafetyError::io(path, "reading it"))?;
    if bytes.len() as u64 > LARGEST {
        let why = "it is larger than any WAL segment".to_owned();
        return Err(SafetyError::Unexpected { path: path.to_owned(), why });
    }
    Ok(Some(bytes))
}

fn sums(directory: &Path) -> Result<BTreeMap<String, Digest>, SafetyError> {
    let mut sums = BTreeMap::new();
    for entry in std::fs::read_dir(directory).map_err(SafetyError::io(directory, "listing it"))? {
        let name = entry.map_err(SafetyError::io(directory, "listing it"))?.file_name();
        let Some(name) = name.to_str().filter(|name| *name != SUMS && !name.ends_with(".lifeboat-new")) else {
            continue;
        };
        if let Some(bytes) = read(&directory.join(name))? {
            sums.insert(name.to_owned(), Digest::of(&bytes));
        }
    }
    Ok(sums)
}
