//! One segment, from the first place that has a sound copy of it.

use crate::domain::inventory::RepositoryKey;
use crate::domain::wal::{SegmentSize, WalSegment};
use crate::domain::wal_page::{FirstPage, HEADER_BYTES, Mismatch, WalPageError};
use crate::engine::pgbackrest::PgbackrestError;
use crate::engine::wal_source::cache::Draft;
use crate::engine::wal_source::directory::WalDirectory;
use crate::engine::wal_source::name::{Compression, Sha1Sum};
use crate::engine::wal_source::piece::{Content, Piece};
use crate::engine::wal_source::{ArchivedFile, Attempt, CopyError, Origin, WalSource, WalSourceError, unpack};
use sha1::{Digest as _, Sha1};
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

impl WalSource {
    /// A whole segment, or its last piece (`.partial`: what a timeline that was left had of it), from the first place that has
    /// a sound copy.
    ///
    /// # Errors
    /// [`WalSourceError::Missing`], [`WalSourceError::Unusable`], [`WalSourceError::Conflict`].
    pub fn open_piece(&self, segment: WalSegment, is_partial: bool) -> Result<Piece, WalSourceError> {
        self.look_for(segment, is_partial)
    }

    fn look_for(&self, segment: WalSegment, is_partial: bool) -> Result<Piece, WalSourceError> {
        let copies = if is_partial { self.catalog.partial_copies(segment)? } else { self.catalog.copies(segment)? };
        let mut tried = Vec::new();
        for copy in copies {
            match self.read_copy(copy) {
                Ok(piece) => return Ok(Piece { passed_over: tried, ..piece }),
                Err(error) => {
                    tracing::warn!("{} in {} is no use: {error}", copy.segment, copy.place());
                    tried.push(Attempt { origin: Origin::Repository(copy.repository), error });
                }
            }
        }
        for directory in self.directories.iter() {
            let names = if is_partial { &directory.partials } else { &directory.segments };
            if !names.contains(&segment) {
                continue;
            }
            match self.read_in(directory, segment, is_partial) {
                Ok(Some(piece)) => return Ok(Piece { passed_over: tried, ..piece }),
                Ok(None) => {}
                Err(error) => tried.push(Attempt { origin: Origin::Directory(directory.path.clone()), error }),
            }
        }
        Err(self.not_to_be_had(segment, tried))
    }

    fn read_copy(&self, copy: &ArchivedFile) -> Result<Piece, CopyError> {
        let owner = self.cluster.system_identifier;
        let cache = self.cache.as_ref().filter(|_| !copy.is_partial);
        if let Some((cache, file)) = cache.and_then(|cache| Some((cache, cache.get(owner, copy)?))) {
            match self.verified(copy, &Arc::new(file)) {
                Ok(piece) => return Ok(Piece { origin: Origin::Cache, ..piece }),
                Err(_) => cache.forget(owner, copy),
            }
        }
        let draft = cache.map_or_else(Draft::passing, |cache| cache.draft().or_else(|_| Draft::passing()))?;
        let is_there = self.pgbackrest.get_into(copy.repository.0, &copy.path(&self.stanza.name), draft.share());
        if !is_there.map_err(|error| self.refused(copy.repository, error))? {
            return Err(CopyError::Gone);
        }
        let piece = self.verified(copy, &draft.share())?;
        if let Some(cache) = cache {
            cache.keep(draft, owner, copy);
        }
        Ok(piece)
    }

    /// What is stored, found to be what its name says. Nothing of it is kept in memory: what unpacks quickly is unpacked
    /// again when it is read, the rest goes into a file without a name, where there is room for one.
    fn verified(&self, copy: &ArchivedFile, stored: &Arc<File>) -> Result<Piece, CopyError> {
        let is_slow = matches!(copy.compression, Compression::Gzip | Compression::Bzip2);
        let mut plain = if is_slow { tempfile::tempfile().ok() } else { None };
        let mut sha1 = Sha1::new();
        let (mut head, mut bytes, mut longest) = (Vec::with_capacity(HEADER_BYTES), 0, unpack::LARGEST_BYTES);
        let mut stored_file = &**stored;
        stored_file.rewind()?;
        unpack::unpack(stored_file, copy.compression, unpack::LARGEST_BYTES, &mut |block| {
            if head.is_empty() {
                head.extend_from_slice(&block[..HEADER_BYTES.min(block.len())]);
                longest = FirstPage::parse(&head).map_or(longest, |page| page.segment_size.bytes());
            }
            bytes += block.len() as u64;
            sha1.update(block);
            // What goes on is no segment, and may go on for long.
            if bytes > longest {
                return ControlFlow::Break(());
            }
            if plain.as_mut().is_some_and(|file| file.write_all(block).is_err()) {
                plain = None;
            }
            ControlFlow::Continue(())
        })?;
        if bytes > longest {
            return Err(CopyError::TooLong { expected: longest });
        }
        SegmentSize::from_bytes(bytes)?;
        let found = Sha1Sum::of_digest(sha1.finalize().into());
        let page = FirstPage::parse(&head);
        if found != copy.sha1 {
            let cut = page.ok().and_then(|page| cut(&page, bytes));
            return Err(cut.unwrap_or(CopyError::Sha1 { found, expected: copy.sha1 }));
        }
        let (segment, page) = (copy.segment, self.checked(copy.segment, &head, bytes)?);
        let content = match plain {
            Some(file) => Content::stored(Arc::new(file), Compression::None),
            None => Content::stored(Arc::clone(stored), copy.compression),
        };
        Ok(Piece { segment, content, page, origin: Origin::Repository(copy.repository), passed_over: Vec::new() })
    }

    /// A segment of a directory; `None` when under its name there is another one's content, or nothing yet.
    fn read_in(
        &self,
        directory: &WalDirectory,
        segment: WalSegment,
        is_partial: bool,
    ) -> Result<Option<Piece>, CopyError> {
        let Some((file, bytes)) = directory.open(segment, is_partial)? else { return Ok(None) };
        let mut head = [0; HEADER_BYTES];
        let length = bytes.min(HEADER_BYTES as u64) as usize;
        file.read_exact_at(&mut head[..length], 0)?;
        match self.checked(segment, &head[..length], bytes) {
            Ok(page) => {
                let origin = Origin::Directory(directory.path.clone());
                let content = Content::shared(file, head, bytes);
                Ok(Some(Piece { segment, content, page, origin, passed_over: Vec::new() }))
            }
            Err(CopyError::Page(WalPageError::Empty) | CopyError::Mismatch(Mismatch::Address { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The header of a segment that is what its name says.
    fn checked(&self, segment: WalSegment, head: &[u8], bytes: u64) -> Result<FirstPage, CopyError> {
        let page = FirstPage::parse(head)?;
        if let Some(error) = cut(&page, bytes) {
            return Err(error);
        }
        let (owner, size) = (self.cluster.system_identifier, self.size.get().copied().unwrap_or(page.segment_size));
        match page.check(segment, owner, size, None) {
            // the segment in which a timeline begins starts with a page of its parent
            Err(Mismatch::Timeline { .. }) => {
                let history = self.history(segment.timeline).ok();
                page.check(segment, owner, size, history.as_ref())?;
            }
            other => other?,
        }
        self.size.get_or_init(|| page.segment_size);
        Ok(page)
    }

    /// What pgBackRest refused with, told as a wrong passphrase where it is one.
    pub(super) fn refused(&self, key: RepositoryKey, error: PgbackrestError) -> CopyError {
        let repository = self.stanza.repository(key);
        let encrypted = repository.is_none_or(|repository| &*repository.cipher != "none");
        match error {
            PgbackrestError::Refused { code, .. } if encrypted && matches!(code.0, 29 | 95) => {
                CopyError::Passphrase { repository: key.name(), code: code.0 }
            }
            other => CopyError::Pgbackrest(other),
        }
    }
}

/// A piece of a segment, by its size and its header.
fn cut(page: &FirstPage, bytes: u64) -> Option<CopyError> {
    let expected = page.segment_size.bytes();
    (bytes != expected).then_some(CopyError::Length { found: bytes, expected })
}
