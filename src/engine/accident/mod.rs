//! Reads the WAL around a moment and asks which transaction did the damage. Nothing is changed; the live catalog is read
//! only where the person allows it.

mod catalog;
mod directory;
mod scan;
mod source;
mod thrown_away;
mod window;

pub use catalog::{CatalogError, LiveCatalog};
pub use directory::DirectorySource;
pub use scan::{Progress, commits, find, window_around};
pub use source::{SegmentSource, SourceError};
pub use thrown_away::{Limits, thrown_away};
