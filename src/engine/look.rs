//! Questions that change nothing.
