//! A cursor in a list.

/// The row the cursor is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Its row, from 0.
    pub at: usize,
}

impl Cursor {
    /// Moves by `rows` within `count` of them.
    pub fn step(&mut self, rows: isize, count: usize) {
        self.at = self.at.saturating_add_signed(rows).min(count.saturating_sub(1));
    }

    /// Comes back in where the list got shorter.
    pub fn clamp(&mut self, count: usize) {
        self.step(0, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_cursor_is_always_on_a_row(
            moves in proptest::collection::vec(-50isize..50, 0..20), count in 0usize..100,
        ) {
            let mut cursor = Cursor::default();
            for step in moves {
                cursor.step(step, count);
                prop_assert!(cursor.at < count.max(1));
            }
        }
    }
}
