//! The build of a practice cluster, step by step.

use crate::engine::rehearsal::configuration::{self, DATABASE, STANZA, SUPERUSER};
use crate::engine::rehearsal::error::RehearsalError;
use crate::engine::rehearsal::layout::{self, Claimed, Layout};
use crate::engine::rehearsal::marker::Marker;
use crate::engine::rehearsal::programs::{self, Asker, Programs};
use crate::engine::rehearsal::{Rehearsal, shop, writer};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// What a practice cluster is built from.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// Where to build; a fresh directory below the system's temporary one where absent.
    pub directory: Option<PathBuf>,
    /// PostgreSQL's programs; the newest installed where absent.
    pub bin_directory: Option<PathBuf>,
    /// The pgbackrest program; the one in PATH where absent.
    pub pgbackrest: Option<PathBuf>,
    /// Whether the shop goes on selling: starts the writer.
    pub writer: bool,
    /// Set by a signal handler: the build then ends what it started, removes everything and returns
    /// [`RehearsalError::Interrupted`].
    pub interrupted: Arc<AtomicBool>,
}

/// Builds a practice cluster with real backups and leaves its server (and writer) running.
///
/// `progress` gets one line before each piece of work. On any failure everything that was started is ended
/// and everything that was made is removed.
///
/// # Errors
/// [`RehearsalError`]; with what the failing program said.
pub fn build(options: &BuildOptions, progress: &mut dyn FnMut(&str)) -> Result<Rehearsal, RehearsalError> {
    if rustix::process::geteuid().is_root() {
        return Err(RehearsalError::Root);
    }
    let started = Instant::now();
    let programs = Programs::find(options.bin_directory.as_deref(), options.pgbackrest.as_deref())?;
    let claimed = layout::claim(options.directory.as_deref())?;
    let mut rehearsal = mark(&claimed, &programs).inspect_err(|_| unclaim(&claimed))?;
    let builder = Builder {
        asker: Asker {
            directory: claimed.directory.clone(),
            environment: programs::environment(&claimed.directory, &rehearsal.marker.owner),
            interrupted: Arc::clone(&options.interrupted),
        },
        programs,
        rehearsal: rehearsal.clone(),
        with_writer: options.writer,
    };
    if let Err(error) = builder.work(progress) {
        progress("ending and removing what was built so far");
        match rehearsal.stop().and_then(|()| rehearsal.remove()) {
            Ok(()) => progress("nothing is left of the practice cluster"),
            Err(trouble) => progress(&format!("could not remove all of it: {trouble}")),
        }
        return Err(error);
    }
    rehearsal.marker.ready_seconds = Some((started.elapsed().as_secs_f64() * 10.0).round() / 10.0);
    rehearsal.marker.write_to(&claimed.directory)?;
    Ok(rehearsal)
}

/// Writes the marker, before anything else is made.
fn mark(claimed: &Claimed, programs: &Programs) -> Result<Rehearsal, RehearsalError> {
    let short_directory = layout::short_directory(&claimed.directory)?;
    let marker = Marker {
        schema: 1,
        directory: claimed.directory.clone(),
        made_directory: claimed.made,
        short_directory: short_directory.clone(),
        bin_directory: programs.bin_directory.clone(),
        pgbackrest: programs.pgbackrest.clone(),
        port: free_port()?,
        owner: own_name()?,
        scenario: "shop".to_owned(),
        ready_seconds: None,
    };
    marker.write_to(&claimed.directory)?;
    if short_directory != claimed.directory {
        marker.write_to(&short_directory)?;
    }
    Ok(Rehearsal::of(marker))
}

fn unclaim(claimed: &Claimed) {
    if claimed.made {
        // Best effort on the way out of another error; only an empty directory goes.
        let _ = fs::remove_dir(&claimed.directory);
    }
}

/// A number that no TCP server has, so that somebody who turns TCP on in practice collides with nothing.
fn free_port() -> Result<u16, RehearsalError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(RehearsalError::io("cannot find a free port on", "the loopback interface"))
}

/// The name of the user this process has; asked of `id`, which knows every source of users that the host has.
fn own_name() -> Result<String, RehearsalError> {
    duct::cmd!("/usr/bin/id", "-un")
        .read()
        .map(|name| name.trim().to_owned())
        .map_err(RehearsalError::io("cannot ask for the user's name", "/usr/bin/id"))
}

struct Builder {
    asker: Asker,
    programs: Programs,
    rehearsal: Rehearsal,
    with_writer: bool,
}

impl Builder {
    fn work(&self, progress: &mut dyn FnMut(&str)) -> Result<(), RehearsalError> {
        let layout = &self.rehearsal.layout;
        progress(&format!("practice cluster in {}", layout.directory.display()));
        for folder in layout.folders() {
            layout::private(&folder)?;
        }
        progress("initdb with page checksums");
        self.create_cluster(layout)?;
        self.configure(layout)?;
        progress("starting the server");
        self.start_server(layout)?;
        progress("database shop: customers, orders, payments");
        self.sql("making roles and the database", "postgres", shop::ROLES)?;
        self.sql("making the shop", DATABASE, &shop::schema())?;
        progress("stanza-create and check in both repositories");
        self.pgbackrest("creating the stanza", &["stanza-create"])?;
        self.pgbackrest("checking the stanza", &["check"])?;
        if self.with_writer {
            progress("starting the writer");
            writer::start(&self.rehearsal)?;
        }
        self.backup("full", 1, progress)?;
        self.backup("full", 2, progress)?;
        self.sql("selling", DATABASE, shop::CHANGES)?;
        self.backup("diff", 1, progress)?;
        self.sql("selling", DATABASE, shop::CHANGES)?;
        self.backup("incr", 1, progress)?;
        // Committed after the newest backup: what only the archived WAL brings back.
        self.sql("selling", DATABASE, shop::CHANGES)?;
        self.asker.not_interrupted()
    }

    fn create_cluster(&self, layout: &Layout) -> Result<(), RehearsalError> {
        let arguments: Vec<OsString> = vec![
            "--data-checksums".into(),
            "--no-sync".into(),
            "--encoding=UTF8".into(),
            "--locale=C".into(),
            "--auth-local=trust".into(),
            "--auth-host=reject".into(),
            format!("--username={SUPERUSER}").into(),
            "-D".into(),
            layout.production().into(),
        ];
        self.asker.ask("making the cluster", &self.programs.postgres("initdb"), &arguments).map(drop)
    }

    fn configure(&self, layout: &Layout) -> Result<(), RehearsalError> {
        let marker = &self.rehearsal.marker;
        let passphrase = layout::random_hex::<32>()?;
        write_private(&layout.pgbackrest_config(), &configuration::pgbackrest(layout, marker, &passphrase))?;
        write_private(&layout.settings(), &configuration::lifeboat(layout, marker))?;
        let path = layout.production().join("postgresql.conf");
        OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(configuration::postgresql(layout, marker).as_bytes()))
            .map_err(RehearsalError::io("cannot write", &path))
    }

    fn start_server(&self, layout: &Layout) -> Result<(), RehearsalError> {
        let arguments: Vec<OsString> = vec![
            "start".into(),
            "-s".into(),
            "-w".into(),
            "-t".into(),
            "60".into(),
            "-D".into(),
            layout.production().into(),
            // Without a log file the server would keep our pipe open, and the wait for pg_ctl would never end.
            "-l".into(),
            layout.server_log().into(),
        ];
        self.asker.ask("starting the server", &self.programs.postgres("pg_ctl"), &arguments).map(drop)
    }

    fn backup(&self, kind: &str, repository: u8, progress: &mut dyn FnMut(&str)) -> Result<(), RehearsalError> {
        progress(&format!("{kind} backup to repository {repository}"));
        let what = format!("the {kind} backup to repository {repository}");
        self.pgbackrest(&what, &[&format!("--repo={repository}"), &format!("--type={kind}"), "backup"])
    }

    fn pgbackrest(&self, what: &str, arguments: &[&str]) -> Result<(), RehearsalError> {
        let mut all: Vec<OsString> = vec![
            format!("--config={}", self.rehearsal.layout.pgbackrest_config().display()).into(),
            format!("--stanza={STANZA}").into(),
        ];
        all.extend(arguments.iter().map(OsString::from));
        self.asker.ask(what, &self.programs.pgbackrest, &all).map(drop)
    }

    fn sql(&self, what: &str, database: &str, text: &str) -> Result<(), RehearsalError> {
        let arguments = self.rehearsal.psql_arguments(SUPERUSER, database);
        self.asker.ask_with_input(what, &self.programs.postgres("psql"), &arguments, text).map(drop)
    }
}

fn write_private(path: &Path, text: &str) -> Result<(), RehearsalError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(RehearsalError::io("cannot write", path))
}
