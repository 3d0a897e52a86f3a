//! The WAL's own records: `catalog/pg_control.h` (kinds, checkpoints) and `access/xlog_internal.h`.

use crate::domain::lsn::Lsn;
use crate::domain::wal::TimelineId;
use crate::domain::wal_reader::bytes::{Cursor, PgTime, u32_at};
use crate::domain::wal_reader::content::Content;
use crate::domain::wal_reader::version::WalVersion;

/// A checkpoint. Only what stands at the same place from 12 to 19 is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whether the server was shut down with it.
    pub is_shutdown: bool,
    /// Where replay from it starts.
    pub redo: Lsn,
    /// Its timeline.
    pub timeline: TimelineId,
    /// The next transaction id, with its epoch in the upper half.
    pub next_xid: u64,
}

/// A restore point made with `pg_create_restore_point`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestorePoint<'a> {
    /// When.
    pub time: PgTime,
    /// Its name, as bytes without the closing zero. It comes from outside: clean it before it is shown.
    pub name: &'a [u8],
}

/// The server ended a recovery and began a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndOfRecovery {
    /// When.
    pub time: PgTime,
    /// The timeline that began.
    pub timeline: TimelineId,
    /// The one that was left.
    pub previous: TimelineId,
}

/// Settings that a standby has to follow were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterChange {
    /// `max_connections`.
    pub max_connections: u32,
    /// `max_prepared_transactions`.
    pub max_prepared_transactions: u32,
    /// `wal_level`: 0 minimal, 1 replica, 2 logical.
    pub wal_level: u32,
}

/// Reads a record of the resource manager *XLOG*.
pub(super) fn read<'a>(info: u8, main: &'a [u8], version: WalVersion) -> Option<Content<'a>> {
    let mut rest = Cursor(main);
    match info & 0xF0 {
        kind @ (0x00 | 0x10) => checkpoint(main, kind == 0x00).map(Content::Checkpoint),
        0x30 => rest.u32().map(Content::NextOid),
        0x40 => Some(Content::Switch),
        0x60 if main.len() >= 24 => Some(Content::Parameters(ParameterChange {
            max_connections: u32_at(main, 0),
            max_prepared_transactions: u32_at(main, 12),
            wal_level: u32_at(main, 20),
        })),
        0x70 => {
            let time = rest.time()?;
            let name = rest.take(64)?.split(|byte| *byte == 0).next()?;
            Some(Content::RestorePoint(RestorePoint { time, name }))
        }
        0x90 => {
            let time = rest.time()?;
            let (timeline, previous) = (TimelineId(rest.u32()?), TimelineId(rest.u32()?));
            Some(Content::EndOfRecovery(EndOfRecovery { time, timeline, previous }))
        }
        // Nothing happened, a backup ended, page images, their switch, a cut record left behind.
        0x20 | 0x50 | 0x80 | 0xA0 | 0xB0 | 0xD0 => Some(Content::Other),
        0xE0 if version >= WalVersion::V17 => Some(Content::Other),
        _ => None,
    }
}

fn checkpoint(main: &[u8], is_shutdown: bool) -> Option<Checkpoint> {
    let mut rest = Cursor(main);
    let (redo, timeline) = (Lsn(rest.u64()?), TimelineId(rest.u32()?));
    // The timeline before; whether full page images are on, 17 on with wal_level behind it.
    rest.take(12)?;
    Some(Checkpoint { is_shutdown, redo, timeline, next_xid: rest.u64()? })
}
