//! Layout: text.
