//! Plain segments of a directory: a server's `pg_wal`, or copies of it.

use crate::domain::wal::{SegmentSize, TimelineHistory, TimelineId, WalSegment};
use crate::domain::wal_page::{FirstPage, HEADER_BYTES};
use crate::engine::accident::source::{SegmentSource, SourceError};
use crate::engine::wal_source::read_shared;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// The plain segments of a directory, along its newest timeline.
#[derive(Debug)]
pub struct DirectorySource {
    directory: PathBuf,
    files: BTreeMap<WalSegment, PathBuf>,
    size: SegmentSize,
    system_identifier: u64,
}

impl DirectorySource {
    /// Lists a directory. What a server has recycled (a name of the future, the content of the past) is left out; of a
    /// segment that is there only as `NAME.partial` that is taken. Along the newest timeline, with the ancestors that its
    /// history file names; without that file, that timeline alone.
    ///
    /// # Errors
    /// When the directory can't be read or holds no segment.
    pub fn open(directory: &Path) -> Result<DirectorySource, SourceError> {
        let unreadable = |source| SourceError::Unreadable { path: directory.to_owned(), source };
        let (mut named, mut partial) = (BTreeMap::new(), BTreeMap::new());
        for entry in std::fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            // A pipe of that name would be waited for.
            if !path.metadata().is_ok_and(|file| file.is_file()) {
                continue;
            }
            if let Ok(segment) = WalSegment::parse(name) {
                named.insert(segment, path);
            } else if let Some(segment) = name.strip_suffix(".partial").and_then(|name| WalSegment::parse(name).ok()) {
                partial.insert(segment, path);
            }
        }
        for (segment, path) in partial {
            named.entry(segment).or_insert(path);
        }
        let Some((_, newest)) = named.last_key_value() else { return Err(SourceError::Empty(directory.to_owned())) };
        let newest_page = first_page(newest)?;
        let mut files = BTreeMap::new();
        // By cluster and size: a directory of copies may hold those of several.
        let mut cluster = None;
        for (segment, path) in named.iter().rev() {
            let Ok(page) = first_page(path)? else { continue };
            let own = (page.system_identifier, page.segment_size);
            if segment.start(page.segment_size) == Some(page.address) && *cluster.get_or_insert(own) == own {
                files.insert(*segment, path.clone());
            }
        }
        let Some((system_identifier, size)) = cluster else {
            return Err(match newest_page {
                Err(error) => SourceError::NoneFits { directory: directory.to_owned(), error },
                Ok(_) => SourceError::Empty(directory.to_owned()),
            });
        };
        keep_one_way(directory, &mut files, size);
        Ok(DirectorySource { directory: directory.to_owned(), files, size, system_identifier })
    }
}

impl SegmentSource for DirectorySource {
    fn segments(&self) -> Result<Vec<WalSegment>, SourceError> {
        let mut segments: Vec<WalSegment> = self.files.keys().copied().collect();
        segments.sort_by_key(|segment| (segment.log, segment.seg));
        Ok(segments)
    }

    fn size(&self) -> SegmentSize {
        self.size
    }

    fn system_identifier(&self) -> u64 {
        self.system_identifier
    }

    fn read(&mut self, segment: WalSegment, feed: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), SourceError> {
        let Some(path) = self.files.get(&segment) else {
            return Err(SourceError::Other(format!("{segment} is not in {}", self.directory.display())));
        };
        let unreadable = |source| SourceError::Unreadable { path: path.clone(), source };
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let mut head = [0; HEADER_BYTES];
        file.read_exact_at(&mut head, 0).map_err(unreadable)?;
        let is_own = FirstPage::parse(&head).is_ok_and(|page| {
            segment.start(self.size) == Some(page.address) && page.system_identifier == self.system_identifier
        });
        if !is_own {
            return Err(SourceError::Other(format!(
                "{}: the server has recycled it since it was listed",
                path.display()
            )));
        }
        read_shared(&file, &head, bytes, feed).map_err(|error| match error.kind() {
            ErrorKind::Other => SourceError::Other(format!("{}: {error}", path.display())),
            _ => unreadable(error),
        })
    }

    fn place(&self) -> String {
        self.directory.display().to_string()
    }
}

fn first_page(path: &Path) -> Result<Result<FirstPage, crate::domain::wal_page::WalPageError>, SourceError> {
    let mut head = Vec::with_capacity(HEADER_BYTES);
    let read = File::open(path).and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut head));
    match read {
        Ok(_) => Ok(FirstPage::parse(&head)),
        // A server removes and renames segments while it is looked at.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(FirstPage::parse(&[])),
        Err(source) => Err(SourceError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Of every position the segment on the newest timeline's own way.
fn keep_one_way(directory: &Path, files: &mut BTreeMap<WalSegment, PathBuf>, size: SegmentSize) {
    let Some(newest) = files.keys().map(|segment| segment.timeline).max() else { return };
    let text = std::fs::read_to_string(directory.join(newest.history_file())).unwrap_or_default();
    let entries = TimelineHistory::parse(newest, &text).map(|history| history.entries).unwrap_or_default();
    let place = |segment: &WalSegment| (segment.log, segment.seg);
    // Each timeline with the segment that is the first of the next one.
    let ends: BTreeMap<TimelineId, (u32, u32)> =
        entries.iter().map(|entry| (entry.parent, place(&WalSegment::of(entry.switch, size, entry.parent)))).collect();
    let begins: BTreeMap<TimelineId, (u32, u32)> = ends
        .values()
        .zip(ends.keys().skip(1).copied().chain([newest]))
        .map(|(begin, timeline)| (timeline, *begin))
        .collect();
    let known: BTreeSet<TimelineId> = ends.keys().copied().chain([newest]).collect();
    files.retain(|segment, _| {
        known.contains(&segment.timeline)
            && ends.get(&segment.timeline).is_none_or(|end| place(segment) < *end)
            && begins.get(&segment.timeline).is_none_or(|begin| place(segment) >= *begin)
    });
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// The heads of real segments (PostgreSQL 15.20), promoted once at 0/2000FC0.
    const FILES: [(&str, &[u8]); 4] = [
        ("000000010000000000000001", include_bytes!("../../../tests/fixtures/wal_page/000000010000000000000001.head")),
        ("000000010000000000000002", include_bytes!("../../../tests/fixtures/wal_page/000000010000000000000002.head")),
        ("000000020000000000000002", include_bytes!("../../../tests/fixtures/wal_page/000000020000000000000002.head")),
        ("000000020000000000000003", include_bytes!("../../../tests/fixtures/wal_page/000000020000000000000003.head")),
    ];
    const HISTORY: &str = include_str!("../../../tests/fixtures/wal_page/00000002.history");

    fn listed(change: impl FnOnce(&Path)) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in FILES {
            std::fs::write(directory.path().join(name), bytes).unwrap();
        }
        std::fs::write(directory.path().join("00000002.history"), HISTORY).unwrap();
        change(directory.path());
        let source = DirectorySource::open(directory.path()).unwrap();
        source.segments().unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_newest_timeline_is_followed_through_its_history() {
        let all = ["000000010000000000000001", "000000020000000000000002", "000000020000000000000003"];
        assert_eq!(listed(|_| {}), all);
        let without = listed(|directory| std::fs::remove_file(directory.join("00000002.history")).unwrap());
        assert_eq!(without, all[1..]);
    }

    #[test]
    fn recycled_files_are_left_out_and_partial_ones_taken() {
        let names = listed(|directory| {
            // Named for the future, and of the past.
            std::fs::write(directory.join("000000020000000000000009"), FILES[0].1).unwrap();
            std::fs::rename(directory.join(FILES[3].0), directory.join("000000020000000000000003.partial")).unwrap();
            std::fs::create_dir(directory.join("000000020000000000000007")).unwrap();
        });
        assert_eq!(names, ["000000010000000000000001", "000000020000000000000002", "000000020000000000000003"]);
    }

    #[test]
    fn a_segment_that_is_recycled_meanwhile_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let (name, other) = (FILES[3].0, FILES[0].1);
        let path = directory.path().join(name);
        let mut whole = FILES[3].1.to_vec();
        whole.resize(1 << 20, 7);
        let segment = WalSegment::parse(name).unwrap();
        for after in [0, 1, 3] {
            std::fs::write(&path, &whole).unwrap();
            let mut source = DirectorySource::open(directory.path()).unwrap();
            let recycle = || File::options().write(true).open(&path).unwrap().write_all_at(other, 0).unwrap();
            if after == 0 {
                recycle();
            }
            let mut parts = 0;
            let read = source.read(segment, &mut |_| {
                parts += 1;
                if parts == after {
                    recycle();
                }
                ControlFlow::Continue(())
            });
            let said = read.unwrap_err().to_string();
            assert!(said.contains("recycled") && !said.contains("owner") && parts == after, "{parts}: {said}");
        }
    }
}
