//! The last known inventory on the disk, read by position: a console with 200,000 sets opens at once and stays small.
//!
//! Nobody but a helper ever has the whole of it in memory: the program executed again asks pgbackrest, writes the index
//! ([`crate::domain::inventory_index`]) to its standard output, which is a file, and ends.
//!
//! ```text
//! STATE/inventory/index      folder 0700, file 0600, replaced as a whole, opened without following links
//! ```
//!
//! It may be removed at any time. What is damaged, of another version or of another configuration is passed over, and
//! where none can be kept the answer lies in a file without a name.

use crate::domain::inventory::{Inventory, Known, Stanza};
use crate::domain::inventory_index::{self, Damage, HEADER_BYTES, IndexKey, Outline, Writer};
use crate::domain::text::clean_lines;
use crate::engine::environment::BaseEnvironment;
use crate::engine::pgbackrest_config::{BackrestConfig, ConfigError};
use crate::engine::store::Store;
use crate::engine::{desk, identity, look, paths};
use crate::settings::Settings;
use chrono::{DateTime, Utc};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;

/// Its folder in the state directory.
const FOLDER: &str = "inventory";
/// Its name there.
const NAME: &str = "index";
/// What files that are being written begin with.
const NEW: &str = "new-";
/// What a writer that was killed left behind is removed after this.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// More of the helper's words is not shown, in bytes.
const MOST_WORDS: u64 = 64 * 1024;

/// Why there is no index to read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file can't be read or written.
    #[error("the file with the inventory: {0}; look again")]
    Io(#[from] io::Error),
    /// It is not what was written.
    #[error("the file with the inventory: {0}; look again")]
    Damage(#[from] Damage),
    /// The helper could not be started, or was ended.
    #[error("the inventory can't be read: {0}")]
    Helper(String),
    /// Why pgBackRest told nothing.
    #[error("{0}")]
    Look(String),
    /// No such stanza in it.
    #[error("there is no stanza '{0}' any more; look again")]
    NoStanza(String),
}

/// An inventory whose stanzas are read one by one.
#[derive(Debug)]
pub struct IndexFile {
    file: File,
    outline: Outline,
}

impl IndexFile {
    fn open(file: File, key: IndexKey) -> Result<IndexFile, IndexError> {
        let bytes = file.metadata()?.len();
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0).map_err(|_| Damage::Foreign)?;
        let place = inventory_index::outline_place(&header, bytes, key)?;
        let outline = inventory_index::outline(&place, &read(&file, &place)?)?;
        Ok(IndexFile { file, outline })
    }

    /// What is told of all stanzas, and `stanza` whole: that of this name, else the first.
    ///
    /// # Errors
    /// When that stanza can't be read.
    pub fn known(&self, stanza: Option<&str>) -> Result<Known, IndexError> {
        let mut known = self.outline.known.clone();
        let named = stanza.filter(|name| known.stanza(name).is_some()).map(str::to_owned);
        if let Some(name) = named.or_else(|| known.stanzas.first().map(|stanza| stanza.name.clone())) {
            known.hold(self.stanza(&name)?.into());
        }
        Ok(known)
    }

    /// When the inventory was read.
    #[must_use]
    pub fn read_at(&self) -> DateTime<Utc> {
        self.outline.known.read_at
    }

    /// The stanza of this name.
    ///
    /// # Errors
    /// When it is not there, or what lies there is not what was written.
    pub fn stanza(&self, name: &str) -> Result<Stanza, IndexError> {
        let place = self.outline.place(name).ok_or_else(|| IndexError::NoStanza(name.to_owned()))?;
        Ok(place.stanza(&read(&self.file, &place)?)?)
    }
}

fn read(file: &File, place: &inventory_index::Place) -> Result<Vec<u8>, IndexError> {
    // A length that the file does not have is not asked of the memory.
    let end =
        place.offset.checked_add(place.length).filter(|end| file.metadata().is_ok_and(|found| *end <= found.len()));
    let length = usize::try_from(place.length).ok().filter(|_| end.is_some()).ok_or(Damage::Damaged)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, place.offset)?;
    Ok(bytes)
}

/// The inventory that was found last with these settings, where one is kept. Nothing is asked, and nothing is made.
#[must_use]
pub fn kept(settings: &Settings) -> Option<IndexFile> {
    let key = key(settings)?;
    let store = desk::existing_store(settings).ok()??;
    let found = open_kept(&store).and_then(|file| IndexFile::open(file, key));
    found.inspect_err(|error| tracing::debug!("no inventory is kept: {error}")).ok()
}

fn open_kept(store: &Store) -> Result<File, IndexError> {
    let folder = open_folder(&store.root().join(FOLDER))?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(&folder, NAME, flags, Mode::empty()).map_err(io::Error::from)?);
    let found = file.metadata()?;
    if found.is_file() && found.uid() == rustix::process::geteuid().as_raw() {
        Ok(file)
    } else {
        Err(io::Error::other("it is no file of ours").into())
    }
}

/// The folder, which has to be ours alone.
fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let found = folder.metadata()?;
    if found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0 {
        Ok(folder)
    } else {
        Err(io::Error::other(format!("{} is not ours alone", path.display())))
    }
}

/// Asks pgBackRest, and keeps what it tells for the next time. Where it can't be kept it is told all the same.
///
/// # Errors
/// [`IndexError::Look`] with the words of what went wrong.
pub fn look(settings: &Settings) -> Result<IndexFile, IndexError> {
    // Before the question: a configuration that changes meanwhile makes the answer one of another.
    let found_key = key(settings);
    let key = found_key.unwrap_or(IndexKey([0; 32]));
    let folder = found_key.and_then(|_| writable_folder(settings));
    let draft = folder.and_then(|folder| {
        forget_old(&folder);
        let draft = tempfile::Builder::new().prefix(NEW).tempfile_in(&folder).ok()?;
        Some((draft, folder))
    });
    let Some((draft, folder)) = draft else {
        let file = tempfile::tempfile()?;
        ask(settings, key, file.try_clone()?)?;
        return IndexFile::open(file, key);
    };
    ask(settings, key, draft.reopen()?)?;
    let index = IndexFile::open(draft.reopen()?, key)?;
    if let Err(error) = keep(draft, &folder) {
        tracing::debug!("the inventory is not kept: {error}");
    }
    Ok(index)
}

/// The folder to keep it in, made where it is missing; `None` where there can be none.
fn writable_folder(settings: &Settings) -> Option<PathBuf> {
    let folder = paths::ensure_state_directory(settings).ok()?.join(FOLDER);
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return None,
        _ => {}
    }
    open_folder(&folder).is_ok().then_some(folder)
}

/// Gives it its name. Not synced: what a power failure leaves half written does not have its sums.
fn keep(draft: NamedTempFile, folder: &Path) -> io::Result<()> {
    draft.persist(folder.join(NAME)).map(|_| ()).map_err(|error| error.error)
}

fn forget_old(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_new = entry.file_name().as_bytes().starts_with(NEW.as_bytes());
        let written = entry.metadata().and_then(|found| found.modified());
        let is_old = written.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > FORGOTTEN));
        if is_new && is_old {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Has a helper write an index to `out`.
fn ask(settings: &Settings, key: IndexKey, out: File) -> Result<(), IndexError> {
    let ended = |error: io::Error| IndexError::Helper(error.to_string());
    let mut helper = Command::new(identity::program_to_execute());
    helper.args(["internal", "inventory-index", "--key", &digits(key)]);
    helper.arg("--pgbackrest").arg(&settings.pgbackrest.binary);
    if let Some(config) = &settings.pgbackrest.config {
        helper.arg("--config").arg(config);
    }
    if let Some(stanza) = &settings.pgbackrest.stanza {
        helper.arg("--stanza").arg(stanza);
    }
    let mut helper = helper.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).spawn().map_err(ended)?;
    let mut words = Vec::new();
    if let Some(told) = helper.stderr.take() {
        told.take(MOST_WORDS).read_to_end(&mut words).map_err(ended)?;
    }
    let status = helper.wait().map_err(ended)?;
    let words = clean_lines(String::from_utf8_lossy(&words).trim());
    match status.signal() {
        None if status.success() => Ok(()),
        None if !words.is_empty() => Err(IndexError::Look(words)),
        _ => Err(IndexError::Helper(format!("the process that reads it ended with {status}"))),
    }
}

/// The helper's work: asks pgBackRest and writes the index to `out`, an empty file.
///
/// # Errors
/// Why there is no inventory, in words for the console.
pub fn answer(settings: &Settings, key: IndexKey, out: &File) -> Result<(), String> {
    // Who asked has gone: nobody reads the answer.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
    let words = |error: &dyn std::error::Error| clean_lines(&error.to_string());
    let pgbackrest = desk::pgbackrest(settings).map_err(|error| words(&error))?;
    let inventory =
        look::inventory(&pgbackrest, settings.pgbackrest.stanza.as_deref()).map_err(|error| words(&error))?;
    write(&inventory, key, out).map_err(|error| words(&error))
}

/// Writes an index to an empty file. Its header comes last: what is broken off is no index.
fn write(inventory: &Inventory, key: IndexKey, out: &File) -> Result<(), IndexError> {
    let mut file = BufWriter::new(out);
    file.write_all(&[0; HEADER_BYTES])?;
    let mut writer = Writer::new(key);
    for stanza in &inventory.stanzas {
        file.write_all(&writer.stanza(stanza)?)?;
    }
    let (outline, header) = writer.finish(inventory)?;
    file.write_all(&outline)?;
    file.flush()?;
    out.write_all_at(&header, 0)?;
    Ok(())
}

fn digits(key: IndexKey) -> String {
    key.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key whose digits these are.
#[must_use]
pub fn key_of_digits(text: &str) -> Option<IndexKey> {
    let mut key = [0; 32];
    let pairs = text.as_bytes().chunks_exact(2);
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(IndexKey(key))
}

/// What an answer rests on: program, settings, environment (of secrets only that they are set) and configuration files,
/// these by place, size and time. `None` where nothing can be told of them.
fn key(settings: &Settings) -> Option<IndexKey> {
    let environment = BaseEnvironment::from_process().ok()?;
    let mut digest = Sha256::new();
    let mut part = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    part(env!("CARGO_PKG_VERSION").as_bytes());
    part(settings.pgbackrest.binary.as_os_str().as_bytes());
    part(settings.pgbackrest.config.as_deref().map(|path| path.as_os_str().as_bytes()).unwrap_or_default());
    part(settings.pgbackrest.stanza.as_deref().unwrap_or_default().as_bytes());
    for (name, value) in &environment.shown {
        if name.starts_with("PGBACKREST_") || name == "PATH" {
            part(name.as_bytes());
            part(value.as_bytes());
        }
    }
    let config = match BackrestConfig::load(settings.pgbackrest.config.as_deref(), &environment.real) {
        Ok(config) => config,
        Err(ConfigError::NotConfigured { .. }) => return Some(IndexKey(digest.finalize().into())),
        Err(_) => return None,
    };
    for path in config.path().into_iter().chain(config.included().iter().map(PathBuf::as_path)) {
        part(path.as_os_str().as_bytes());
        let found = std::fs::metadata(path).ok()?;
        for number in [found.dev(), found.ino(), found.len(), found.mtime() as u64, found.mtime_nsec() as u64] {
            part(&number.to_le_bytes());
        }
    }
    Some(IndexKey(digest.finalize().into()))
}

#[cfg(test)]
mod tests;
