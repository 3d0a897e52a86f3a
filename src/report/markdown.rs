//! Layout: markdown.
