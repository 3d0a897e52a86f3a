//! A session that stays: what it begins is open until it is told to end it.

use crate::cluster::Cluster;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// `psql`, statement by statement.
pub(crate) struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    /// A session in a database, with a search path.
    pub(crate) fn new(cluster: &Cluster, database: &str, schema: &str) -> Session {
        let mut child = cluster.psql(database).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut session = Session { child, input, output };
        session.does(&format!("SET search_path = {schema}"));
        session
    }

    /// Runs statements and returns what they print, when they are done.
    pub(crate) fn does(&mut self, statements: &str) -> String {
        writeln!(self.input, "{statements};\n\\echo -- done").unwrap();
        self.input.flush().unwrap();
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "{statements} failed: {said}");
            if line == "-- done\n" {
                return said.trim_end().to_owned();
            }
            said.push_str(&line);
        }
    }

    /// Begins a transaction and returns its id.
    pub(crate) fn begins(&mut self) -> u32 {
        self.does("BEGIN; SELECT pg_current_xact_id()").parse().unwrap()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        _ = self.input.write_all(b"\\q\n");
        _ = self.child.wait();
    }
}
