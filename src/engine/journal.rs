//! The journal: append, sync, read back, torn tail.
