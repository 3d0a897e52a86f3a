//! Layout: html.
