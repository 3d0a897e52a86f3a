//! Layout: json.
