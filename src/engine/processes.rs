//! Processes by their mark, ended through pidfds.
