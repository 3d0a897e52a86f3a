//! Which PostgreSQL wrote a page.

/// The major version whose layouts a page follows: `XLOG_PAGE_MAGIC` of `access/xlog_internal.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WalVersion {
    /// PostgreSQL 12, magic number `D101`.
    V12,
    /// PostgreSQL 13, magic number `D106`.
    V13,
    /// PostgreSQL 14, magic number `D10D`.
    V14,
    /// PostgreSQL 15, magic number `D110`.
    V15,
    /// PostgreSQL 16, magic number `D113`.
    V16,
    /// PostgreSQL 17, magic number `D116`.
    V17,
    /// PostgreSQL 18, magic number `D118`.
    V18,
    /// PostgreSQL 19, magic number `D121`.
    V19,
}

impl WalVersion {
    /// Every version that is read, oldest first.
    pub const ALL: [WalVersion; 8] = [
        WalVersion::V12,
        WalVersion::V13,
        WalVersion::V14,
        WalVersion::V15,
        WalVersion::V16,
        WalVersion::V17,
        WalVersion::V18,
        WalVersion::V19,
    ];

    /// The version that writes this magic number; `None` for older, newer and other bytes.
    #[must_use]
    pub fn from_magic(magic: u16) -> Option<WalVersion> {
        WalVersion::ALL.into_iter().find(|version| version.magic() == magic)
    }

    /// The magic number of its pages.
    #[must_use]
    pub fn magic(self) -> u16 {
        match self {
            WalVersion::V12 => 0xD101,
            WalVersion::V13 => 0xD106,
            WalVersion::V14 => 0xD10D,
            WalVersion::V15 => 0xD110,
            WalVersion::V16 => 0xD113,
            WalVersion::V17 => 0xD116,
            WalVersion::V18 => 0xD118,
            WalVersion::V19 => 0xD121,
        }
    }

    /// The major version: 15.
    #[must_use]
    pub fn major(self) -> u32 {
        match self {
            WalVersion::V12 => 12,
            WalVersion::V13 => 13,
            WalVersion::V14 => 14,
            WalVersion::V15 => 15,
            WalVersion::V16 => 16,
            WalVersion::V17 => 17,
            WalVersion::V18 => 18,
            WalVersion::V19 => 19,
        }
    }

    /// Whether what is read of it has been compared with PostgreSQL's own reader. The others follow the layouts of
    /// their headers and have not been tried on a server of that version.
    #[must_use]
    pub fn is_proven(self) -> bool {
        self == WalVersion::V15
    }

    /// `XLP_FIRST_IS_OVERWRITE_CONTRECORD`: 19 gave it the bit of `XLP_BKP_REMOVABLE`, which is gone there.
    pub(super) fn overwrite_flag(self) -> u16 {
        if self >= WalVersion::V19 { 0x0004 } else { 0x0008 }
    }
}
