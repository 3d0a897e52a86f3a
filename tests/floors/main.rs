//! The house stands: a floor looks only down, rooms of a floor form no circle, and the pure floors stay pure.
//!
//! Prose alone does not hold this: the test reads every path in `src/`, whether it stands in a `use` or in the code.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod house;
mod source;

use house::{Complaint, complaints};
use std::path::{Path, PathBuf};

/// Every source file of the crate: its path below `src/` and its text.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// What the checker says of an invented house.
fn of(files: &[(&str, &str)]) -> Vec<Complaint> {
    let files: Vec<(PathBuf, String)> =
        files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
    complaints(&files)
}

#[test]
fn no_floor_looks_up_and_no_room_stands_in_a_circle() {
    let files = sources();
    assert!(files.len() > 100, "the sources were not found: {}", files.len());
    let found = complaints(&files);
    let list: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "\n{}", list.join("\n"));
}

/// What lies behind the door that `engine::client` is.
const BEHIND_THE_CLIENT: [&str; 4] = ["store", "journal", "runner", "step_process"];

/// Paths in a file of the console that go past the client.
fn past_the_client(text: &str) -> Vec<String> {
    let paths = source::read(text).paths.into_iter().map(|written| written.segments);
    let goes_past = |path: &Vec<String>| {
        let room = path.iter().skip_while(|part| *part != "engine").nth(1);
        room.is_some_and(|room| BEHIND_THE_CLIENT.contains(&room.as_str()))
    };
    paths.filter(goes_past).map(|path| path.join("::")).collect()
}

#[test]
fn the_console_reads_runs_through_the_client_alone() {
    let files = sources();
    let console = files.iter().filter(|(path, _)| path.starts_with("ui"));
    let found: Vec<String> = console
        .flat_map(|(path, text)| past_the_client(text).into_iter().map(move |way| format!("{}: {way}", path.display())))
        .collect();
    assert!(found.is_empty(), "engine::client is the door to runs:\n{}", found.join("\n"));
    let uses_it = |(_, text): &(PathBuf, String)| text.contains("engine::client");
    assert!(files.iter().filter(|(path, _)| path.starts_with("ui")).any(uses_it));
    for text in [
        "use crate::engine::store::RunFolder;",
        "use crate::engine::{desk, journal::Follower};",
        "fn f() { crate::engine::step_process::OUTPUT; }",
    ] {
        assert_eq!(past_the_client(text).len(), 1, "{text}");
    }
    assert!(past_the_client("use crate::engine::{client, desk};").is_empty());
}

#[test]
fn main_is_thin() {
    let (_, main) = sources().into_iter().find(|(path, _)| path == Path::new("main.rs")).unwrap();
    assert!(main.lines().count() < 30, "src/main.rs maps an exit status and nothing else");
}

#[test]
fn looking_up_is_found_in_uses_and_in_code() {
    for text in [
        "use crate::engine::clock;",
        "use crate::{domain::lsn, engine::{self, clock}};",
        "fn now() { crate::engine::clock::now() }",
        "use super::super::engine::clock;",
        "pub use crate::planning::machine as m;",
        "fn f() -> impl Fn() { move || { crate::report::text::of() } }",
    ] {
        let found = of(&[("domain/wal.rs", text), ("domain/mod.rs", "mod wal; mod lsn;"), ("domain/lsn.rs", "")]);
        assert!(matches!(found.as_slice(), [Complaint::LooksUp { .. }, ..]), "{text}: {found:?}");
    }
    assert!(matches!(of(&[("planning/a.rs", "use crate::settings::Settings;")])[..], [Complaint::LooksUp { .. }]));
    assert!(matches!(of(&[("settings.rs", "use crate::planning::a;")])[..], [Complaint::LooksUp { .. }]));
    assert!(matches!(of(&[("engine/a.rs", "use crate::report::a;")])[..], [Complaint::LooksUp { .. }]));
    assert!(matches!(of(&[("report/a.rs", "use crate::engine::a;")])[..], [Complaint::LooksUp { .. }]));
    assert!(matches!(of(&[("ui/a.rs", "use crate::cli::a;")])[..], [Complaint::LooksUp { .. }]));
    assert!(matches!(of(&[("cli/a.rs", "use crate::ui::a;")])[..], [Complaint::LooksUp { .. }]));
}

#[test]
fn looking_down_is_fine() {
    for (file, text) in [
        ("planning/a.rs", "use crate::domain::lsn;"),
        ("engine/a.rs", "use crate::{domain::lsn, planning::a, settings::Settings};"),
        ("settings/mod.rs", "mod reader; use crate::domain::text; use crate::settings::reader::Reader;"),
        ("report/a.rs", "use crate::planning::a;"),
        ("cli/a.rs", "use crate::report::a; use crate::engine::clock;"),
        ("ui/a.rs", "use crate::engine::client;"),
    ] {
        assert_eq!(of(&[(file, text)]), [], "{file}: {text}");
    }
}

#[test]
fn what_is_no_code_counts_for_nothing() {
    let text = r##"
        //! [`crate::engine::clock`]
        /* use crate::engine::clock; /* and std::fs */ */
        /// `crate::cli`
        const A: &str = "use crate::engine::clock; \" std::fs";
        const B: &str = r#"crate::engine " std::fs"#;
        const C: char = '"';
        fn f<'a>(x: &'a str) -> &'a str { x }
        #[cfg(test)]
        mod tests { use crate::engine::clock; use std::fs; fn f() { if true { } } }
        #[cfg(test)]
        use crate::engine::clock;
    "##;
    assert_eq!(of(&[("domain/a.rs", text)]), []);
    let found = of(&[("domain/a.rs", &format!("{text}\nuse std::fs;"))]);
    assert!(matches!(found[..], [Complaint::Impure { .. }]), "what follows is still read: {found:?}");
    let file = [("domain/a/mod.rs", "#[cfg(test)]\nmod tests;"), ("domain/a/tests.rs", "use std::fs;")];
    assert_eq!(of(&file), [], "a file that is only built for tests");
    assert!(matches!(of(&[("domain/a/mod.rs", "mod tests;"), file[1]])[..], [Complaint::Impure { .. }]));
}

#[test]
fn pure_floors_name_nothing_that_touches_the_machine() {
    for path in [
        "std::fs",
        "std::fs::File",
        "std::{fmt, process}",
        "std::net::TcpStream",
        "std::env::var",
        "std::time::{Duration, Instant}",
        "std::time::SystemTime",
        "std::time",
        "tokio::sync::mpsc",
        "ratatui",
        "chrono::Local",
        "chrono::{DateTime, Local}",
        "rustix::fs::open",
        "duct::cmd",
    ] {
        for file in ["domain/a.rs", "planning/a/b.rs"] {
            let found = of(&[(file, &format!("use {path};"))]);
            assert!(matches!(found[..], [Complaint::Impure { .. }]), "{path}: {found:?}");
        }
        assert_eq!(of(&[("engine/a.rs", &format!("use {path};"))]), []);
    }
    for code in
        ["fn f() { chrono::Utc::now() }", "use chrono::Utc; fn f() { Utc::now() }", "fn f() { ::std::fs::read(x) }"]
    {
        let found = of(&[("domain/a.rs", code)]);
        assert!(matches!(found[..], [Complaint::Impure { .. }]), "{code}: {found:?}");
    }
    let fine = "use std::time::Duration; use std::path::Path; use chrono::{DateTime, Utc}; use std::{fmt, io};";
    assert_eq!(of(&[("domain/a.rs", fine)]), []);
}

#[test]
fn a_circle_of_rooms_is_named() {
    let two = [("engine/a.rs", "use crate::engine::b;"), ("engine/b/mod.rs", "mod c;"), ("engine/b/c.rs", "")];
    assert_eq!(of(&two), []);
    let closed = [two[0], two[1], ("engine/b/c.rs", "use crate::engine::a::A;")];
    let found = of(&closed);
    assert!(matches!(found[..], [Complaint::Circle { .. }]), "{found:?}");
    assert!(found[0].to_string().contains("engine: a → b → a"), "{}", found[0]);
    let three = of(&[
        ("cli/a.rs", "use super::b::B;"),
        ("cli/b.rs", "fn f() { crate::cli::c::f() }"),
        ("cli/c.rs", "use crate::cli::{a, d};"),
        ("cli/d.rs", ""),
    ]);
    assert!(three[0].to_string().contains("cli: a → b → c → a"), "{three:?}");
    let itself = [("engine/a/mod.rs", "use crate::engine::a::b;"), ("engine/a/b.rs", "use crate::engine::a::X;")];
    assert_eq!(of(&itself), [], "inside a room paths may go both ways");
}

#[test]
fn the_entrance_of_a_floor_counts_as_a_room() {
    let entrance = ("cli/mod.rs", "mod a; mod b; pub use b::{B, Other as O}; fn main() { a::run() } struct C;");
    let b = ("cli/b.rs", "pub struct B;");
    assert_eq!(of(&[entrance, b, ("cli/a.rs", "use super::{B, O};")]), [], "a name handed on belongs to its room");
    let found = of(&[entrance, b, ("cli/a.rs", "use super::C;")]);
    assert!(found[0].to_string().contains("cli: a → mod → a"), "{found:?}");
}

#[test]
fn everything_at_once_hides_the_direction() {
    for text in ["use crate::*;", "use crate::engine::*;", "use crate::cli;"] {
        let found = of(&[("cli/a.rs", text)]);
        assert!(matches!(found[..], [Complaint::Hidden { .. }]), "{text}: {found:?}");
    }
}

/// SQL runs only when a step of the plan or the person asks for it: where the work is, is read from files.
#[test]
fn progress_asks_nobody() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/progress");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["engine::ask", "process::Command", "psql", "UnixStream"] {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
        files += 1;
    }
    assert!(files >= 3);
}
