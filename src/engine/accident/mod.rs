//! Reads the WAL around a moment and asks which transaction did the damage. Nothing is changed; the live catalog is read
//! only where the person allows it.

mod archive;
mod catalog;
mod directory;
mod names;
mod request;
mod scan;
mod sizes;
mod source;
mod thrown_away;
mod window;

pub use crate::engine::ask::Cancel;
pub use archive::ArchiveSource;
pub use catalog::{CatalogError, LiveCatalog};
pub use directory::DirectorySource;
pub use request::{AccidentError, Found, Place, Request, investigate, list_commits};
pub use scan::{News, Progress, Tell, commits, find};
pub use source::{SegmentSource, SourceError};
pub use thrown_away::{Limits, Weighed, thrown_away};
