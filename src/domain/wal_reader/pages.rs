//! Room to read WAL into.

use std::ops::{Deref, DerefMut};

/// How PostgreSQL aligns what it reads and writes itself (`PG_IO_ALIGN_SIZE`, 16 on).
const ALIGNED_TO: usize = 4096;

/// Bytes that begin at an address which whole pages are copied to at full speed. A large `Vec<u8>` begins 16 bytes behind
/// a page: reading a file into one takes a fifth longer.
#[derive(Debug)]
pub struct Pages {
    bytes: Vec<u8>,
    begin: usize,
}

impl Pages {
    /// Room for so many bytes, all zero.
    #[must_use]
    pub fn new(bytes: usize) -> Pages {
        let mut room = vec![0; bytes.saturating_add(ALIGNED_TO)];
        // Where an address can't be told, it is not aligned, and all else holds.
        let begin = room.as_ptr().align_offset(ALIGNED_TO).min(ALIGNED_TO);
        room.truncate(begin + bytes);
        Pages { bytes: room, begin }
    }
}

impl Deref for Pages {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[self.begin..]
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.begin..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_there_and_begins_at_a_page() {
        for bytes in [0, 1, 4095, 4096, 256 << 10, (1 << 20) + 1] {
            let mut pages = Pages::new(bytes);
            assert_eq!(pages.len(), bytes);
            assert_eq!(pages.as_ptr().addr() % ALIGNED_TO, 0);
            pages.fill(7);
            assert!(pages.iter().all(|byte| *byte == 7));
        }
    }
}
