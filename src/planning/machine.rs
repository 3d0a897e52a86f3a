//! What happens next, as data.
