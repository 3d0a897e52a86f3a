//! How wide lines for a person may be.

/// The columns of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Width(usize);

impl Width {
    /// For a terminal of 80 columns, and for a log: one less than it has, which else wraps a full line twice.
    pub const USUAL: Width = Width(79);

    /// Lines longer than this are hard to read; the rest of a wide terminal stays empty.
    const WIDEST: usize = 110;
    /// Narrower ones are not laid out for: words there are broken by the terminal itself.
    const NARROWEST: usize = 40;

    /// For a terminal of so many columns.
    #[must_use]
    pub fn of_terminal(columns: usize) -> Width {
        Width(columns.saturating_sub(1).clamp(Width::NARROWEST, Width::WIDEST))
    }

    /// As a number.
    #[must_use]
    pub fn columns(self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_used_as_far_as_it_can_be_read() {
        let columns: Vec<usize> = [0, 60, 80, 100, 250].map(|columns| Width::of_terminal(columns).columns()).to_vec();
        assert_eq!(columns, [40, 59, 79, 99, 110]);
        assert_eq!(Width::of_terminal(80), Width::USUAL);
    }
}
