//! The program: parse, call the library, map the exit status.

fn main() {}
