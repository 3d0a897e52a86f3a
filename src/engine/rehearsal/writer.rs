//! The writer: a shop that never sleeps, and that notes what it was promised.
//!
//! About ten times a second it commits one order with its payment and appends the acknowledged commit to
//! `writer/acknowledged.jsonl`. What is in that file was promised to a customer: after a recovery it says
//! which rows had to come back and which were lost. A row can be in the table without a line here (the
//! writer died in between); a line here without a row is a lost promise.
//!
//! What fails goes to `writer/failures.jsonl`, a lost server each time it is asked in vain, and the shop does what still works: orders that are paid later,
//! else new customers only.

use crate::engine::rehearsal::Rehearsal;
use crate::engine::rehearsal::configuration::DATABASE;
use crate::engine::rehearsal::error::RehearsalError;
use crate::engine::rehearsal::programs;
use rustix::fs::FlockOperation;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Pause between two orders.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause before a lost server is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the shop does, best first: the next is tried where one fails. Each is one statement, so one transaction, that
/// gives the names after it. The times are those of the row, so that a row can be told from a later one with the same
/// number: a recovered sequence hands out numbers again.
const WORK: [(&str, &[&str]); 3] = [
    (
        "WITH placed AS (
  INSERT INTO orders (customer_id, status, total_cents)
  SELECT customer_id, 'paid', 500 + floor(random() * 20000)::int FROM customers
  WHERE customer_id >= (SELECT 1 + floor(random() * (SELECT max(customer_id) FROM customers)))
  ORDER BY customer_id LIMIT 1
  RETURNING order_id, total_cents, placed_at
), paid AS (
  INSERT INTO payments (order_id, amount_cents, method) SELECT order_id, total_cents, 'card' FROM placed
  RETURNING payment_id
)
SELECT order_id, payment_id, placed_at AS at, txid_current() AS xid FROM placed, paid",
        &["order_id", "payment_id"],
    ),
    (
        "INSERT INTO orders (customer_id, total_cents)
VALUES (1 + floor(random() * 2000)::int, 500 + floor(random() * 20000)::int)
RETURNING order_id, placed_at AS at, txid_current() AS xid",
        &["order_id"],
    ),
    (
        "INSERT INTO customers (email, full_name, city)
VALUES ('guest-' || md5(random()::text || clock_timestamp()) || '@example.org', 'Guest', 'Cork')
RETURNING customer_id, created_at AS at, txid_current() AS xid",
        &["customer_id"],
    ),
];

/// The text for psql that does one piece of work and prints one line: the acknowledged commit or the failure.
///
/// `committed_at` is the time in the commit record; `lsn` is the position right after the commit was
/// acknowledged, at or after the commit record; `timeline` is the one that the server writes.
fn in_psql(statement: &str, numbers: &[&str]) -> String {
    let numbers: String = numbers.iter().map(|name| format!("'{name}', :{name}, ")).collect();
    format!(
        "{statement} \\gset
\\if :ERROR
SELECT json_build_object('failed', :'LAST_ERROR_MESSAGE', 'sqlstate', :'LAST_ERROR_SQLSTATE', 'at', now());
\\else
SELECT json_build_object({numbers}'at', :'at'::timestamptz, 'xid', :xid,
  'committed_at', pg_xact_commit_timestamp(:'xid'::xid), 'lsn', pg_current_wal_insert_lsn(),
  'timeline', ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int);
\\endif
"
    )
}

/// Starts the writer as a process of its own and waits until its first order is acknowledged.
///
/// # Errors
/// When it can't be started or ends before that.
pub(super) fn start(rehearsal: &Rehearsal) -> Result<(), RehearsalError> {
    let log = rehearsal.layout.writer().join("log");
    let stderr = append(&log)?;
    let mut child = Command::new("/proc/self/exe")
        .arg0("lifeboat")
        .args(["internal", "rehearsal-writer", "--directory"])
        .arg(&rehearsal.layout.directory)
        .env_clear()
        .envs(programs::environment(&rehearsal.layout.directory, &rehearsal.marker.owner))
        .current_dir(&rehearsal.layout.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .map_err(RehearsalError::io("cannot start the writer by", "/proc/self/exe"))?;
    let mut ready = [0u8; 1];
    let said = child.stdout.take().map(|mut stdout| stdout.read_exact(&mut ready));
    if matches!(said, Some(Ok(()))) {
        return Ok(());
    }
    let status = child.wait().map_err(RehearsalError::io("cannot wait for", "the writer"))?;
    let note = std::fs::read_to_string(&log).unwrap_or_default();
    let note = note.lines().next_back().unwrap_or("it left no note").to_owned();
    Err(RehearsalError::Writer(format!("{status}; {}", crate::domain::text::clean(&note))))
}

/// Whether a writer is at work in this practice cluster.
///
/// # Errors
/// When its lock can't be opened.
pub(super) fn at_work(rehearsal: &Rehearsal) -> Result<bool, RehearsalError> {
    let held = append(&rehearsal.layout.writer().join("lock"))?;
    Ok(rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive).is_err())
}

/// Is the writer: leaves the caller's session, writes a ready byte to standard output with the first acknowledged
/// order, and goes on until TERM, INT or HUP, or until the practice cluster is gone. A lost server is asked again
/// every second.
///
/// # Errors
/// When the directory holds no practice cluster, another writer is at work in it, or its files can't be written.
pub fn write(directory: &Path) -> Result<(), RehearsalError> {
    let rehearsal = Rehearsal::open(directory)?;
    rustix::process::setsid()
        .map_err(|error| RehearsalError::io("cannot leave the session of", "the writer's caller")(error.into()))?;
    let lock = rehearsal.layout.writer().join("lock");
    let held = append(&lock)?;
    rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| RehearsalError::Writer("another writer is at work in this practice cluster".to_owned()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RehearsalError::io("cannot make", "the writer's event loop"))?;
    runtime.block_on(Writer::open(rehearsal)?.go_on())
}

fn append(path: &Path) -> Result<File, RehearsalError> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(RehearsalError::io("cannot open", path))
}

struct Writer {
    rehearsal: Rehearsal,
    acknowledged: File,
    failures: File,
    reported: bool,
}

/// How a conversation with the server ended.
enum Ended {
    /// The server or psql went away.
    Lost,
    /// A signal asked for the end.
    Asked,
}

struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?]))
    }

    async fn any(&mut self) {
        let [term, int, hup] = &mut self.0;
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {}, _ = hup.recv() => {} }
    }
}

impl Writer {
    fn open(rehearsal: Rehearsal) -> Result<Self, RehearsalError> {
        let acknowledged = append(&rehearsal.layout.acknowledged())?;
        let failures = append(&rehearsal.layout.failures())?;
        Ok(Self { rehearsal, acknowledged, failures, reported: false })
    }

    async fn go_on(mut self) -> Result<(), RehearsalError> {
        let mut signals = Signals::listen().map_err(RehearsalError::io("cannot listen for", "signals"))?;
        loop {
            if matches!(self.converse(&mut signals).await?, Ended::Asked) {
                return Ok(());
            }
            if Rehearsal::open(&self.rehearsal.layout.directory).is_err() {
                return Ok(());
            }
            let lost = serde_json::json!({"failed": "the server is gone or lets nobody in", "at": chrono::Utc::now()});
            self.note_failure(&lost.to_string())?;
            tokio::select! { () = tokio::time::sleep(AGAIN) => {}, () = signals.any() => return Ok(()) }
        }
    }

    /// Places orders through one psql until it ends or a signal comes.
    async fn converse(&mut self, signals: &mut Signals) -> Result<Ended, RehearsalError> {
        let psql = self.rehearsal.marker.bin_directory.join("psql");
        let mut child = tokio::process::Command::new(&psql)
            .args(self.rehearsal.psql_arguments("shop_app", DATABASE))
            // A failure is noted, and the next customer served.
            .args(["-v", "ON_ERROR_STOP=0"])
            .env_clear()
            .envs(programs::environment(&self.rehearsal.layout.directory, &self.rehearsal.marker.owner))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(RehearsalError::io("cannot start", &psql))?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Ok(Ended::Lost);
        };
        let mut lines = BufReader::new(stdout).lines();
        let mut work = 0;
        let ended = loop {
            let (statement, numbers) = WORK[work];
            let answer = async {
                stdin.write_all(in_psql(statement, numbers).as_bytes()).await?;
                stdin.flush().await?;
                lines.next_line().await
            };
            let line = tokio::select! {
                line = answer => line,
                () = signals.any() => break Ended::Asked,
            };
            let Ok(Some(line)) = line else { break Ended::Lost };
            work = if line.starts_with("{\"failed\"") {
                self.note_failure(&line)?;
                (work + 1) % WORK.len()
            } else {
                self.note(&line)?;
                0
            };
            // The next best thing is tried at once; then everything from the start.
            let pause = if work == 0 { PAUSE } else { Duration::ZERO };
            tokio::select! { () = tokio::time::sleep(pause) => {}, () = signals.any() => break Ended::Asked }
        };
        drop(stdin);
        if tokio::time::timeout(Duration::from_secs(2), child.wait()).await.is_err() {
            child.kill().await.map_err(RehearsalError::io("cannot end", &psql))?;
        }
        Ok(ended)
    }

    /// Appends what could not be done, and why.
    fn note_failure(&mut self, line: &str) -> Result<(), RehearsalError> {
        let path = self.rehearsal.layout.failures();
        self.failures.write_all(format!("{line}\n").as_bytes()).map_err(RehearsalError::io("cannot append to", &path))
    }

    /// Appends one acknowledged commit in a single write, so that no reader sees half a line of a live writer.
    fn note(&mut self, line: &str) -> Result<(), RehearsalError> {
        let path = self.rehearsal.layout.acknowledged();
        self.acknowledged
            .write_all(format!("{line}\n").as_bytes())
            .map_err(RehearsalError::io("cannot append to", &path))?;
        if !self.reported {
            self.reported = true;
            // The starter waits for this byte; where it has gone meanwhile, nobody needs it.
            let mut stdout = std::io::stdout();
            let _ = stdout.write_all(b"\n").and_then(|()| stdout.flush());
        }
        Ok(())
    }
}
