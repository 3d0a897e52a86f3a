//! What PostgreSQL's own reader says.

use crate::cluster::{Cluster, done, program};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

/// Records, bytes without images, bytes of images.
pub(crate) type Figures = (u64, u64, u64);

/// A record as `pg_waldump` prints it (PostgreSQL 15).
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) rmgr: String,
    pub(crate) record_bytes: u64,
    pub(crate) total_bytes: u64,
    pub(crate) xid: u32,
    pub(crate) lsn: String,
    pub(crate) previous: String,
    /// `INSERT`, `COMMIT`, …
    pub(crate) name: String,
    /// What follows the name.
    pub(crate) rest: String,
}

/// Totals by resource manager and name of the record.
pub(crate) fn totals(cluster: &Cluster, first: &str, last: &str) -> BTreeMap<(String, String), Figures> {
    let mut command = program("pg_waldump");
    command.args(["--stats=record", "-p"]).arg(cluster.wal()).args([first, last]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut found = BTreeMap::new();
    for line in text.lines() {
        // "Heap/INSERT+INIT   1234 ( 12.34)   5678 (  1.23)   0 (  0.00)   5678 (  1.20)"
        let words: Vec<&str> = line.split_whitespace().filter(|word| !word.ends_with(')') && *word != "(").collect();
        let Some((rmgr, name)) = line.split_once("  ").and_then(|(kind, _)| kind.split_once('/')) else { continue };
        let numbers: Vec<u64> = words.iter().rev().take(4).rev().filter_map(|word| word.parse().ok()).collect();
        if let [count, record, image, _] = numbers[..] {
            found.insert((rmgr.to_owned(), name.to_owned()), (count, record, image));
        }
    }
    assert!(!found.is_empty(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    found
}

/// Calls `each` with every record, in order.
pub(crate) fn lines(cluster: &Cluster, first: &str, last: &str, each: impl FnMut(Line)) {
    lines_in(&cluster.wal(), first, last, each);
}

/// The same of segments in any directory; returns what it says where it ends.
pub(crate) fn lines_in(directory: &Path, first: &str, last: &str, mut each: impl FnMut(Line)) -> String {
    let mut command = program("pg_waldump");
    command.arg("-p").arg(directory).args([first, last]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        each(read(&line.unwrap()));
    }
    // A line or two: it never fills the pipe while the records are read.
    String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap()
}

/// The transaction behind a position that dropped a database.
pub(crate) fn drops_database(cluster: &Cluster, begin: &str) -> u32 {
    let mut command = program("pg_waldump");
    command.arg("-p").arg(cluster.wal()).args(["-r", "Database", "-s", begin]);
    // It ends with an error at the end of what is written.
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let line = text.lines().find(|line| line.contains("desc: DROP")).unwrap_or_else(|| panic!("{text}"));
    read(line).xid
}

/// Whether the reader still knows its own options: a wrong call must not pass for an empty WAL.
pub(crate) fn version() -> String {
    String::from_utf8(done(program("pg_waldump").arg("--version")).stdout).unwrap()
}

fn read(line: &str) -> Line {
    let parsed = || {
        let rest = line.strip_prefix("rmgr: ")?;
        let (rmgr, rest) = rest.split_once("len (rec/tot):")?;
        let (record, rest) = rest.split_once('/')?;
        let (total, rest) = rest.split_once(", tx:")?;
        let (xid, rest) = rest.split_once(", lsn:")?;
        let (lsn, rest) = rest.split_once(", prev ")?;
        let (previous, rest) = rest.split_once(", desc: ")?;
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        Some(Line {
            rmgr: rmgr.trim().to_owned(),
            record_bytes: record.trim().parse().ok()?,
            total_bytes: total.trim().parse().ok()?,
            xid: xid.trim().parse().ok()?,
            lsn: lsn.trim().to_owned(),
            previous: previous.trim().to_owned(),
            name: name.trim_end_matches(',').to_owned(),
            rest: rest.to_owned(),
        })
    };
    parsed().unwrap_or_else(|| panic!("not a record: {line}"))
}
