//! Helpers of in-place recovery: each is one step of a runbook. What they found stands on standard output, one fact a
//! line (`name: value`); every one may be repeated.

mod keep;
mod target;

use super::super::Exit;
use crate::domain::event::RunId;
use crate::domain::text::clean;
use crate::engine::catalog;
use crate::engine::catalog_memory;
use crate::engine::clock;
use crate::engine::environment::BaseEnvironment;
use crate::engine::kept::{self, SetToRestore};
use crate::engine::managers::{Held, StartConf};
use crate::engine::postgres::{PostgresPrograms, clear_stale_pid};
use crate::engine::psql::Psql;
use crate::engine::safety;
use clap::builder::{OsStringValueParser, TypedValueParser};
use std::fmt::Display;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The helpers.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Helper {
    /// Copies pg_wal aside: what is new or has grown.
    SaveWal {
        /// The directory of the WAL.
        #[arg(long, value_name = "DIR")]
        pg_wal: PathBuf,
        /// What is put in safety.
        #[arg(long, value_name = "DIR")]
        safety: PathBuf,
    },
    /// Saves configuration, certificates and logs.
    SaveSettings {
        /// The cluster.
        #[arg(long, value_name = "DIR")]
        data_directory: PathBuf,
        /// postgresql.conf; empty: asked of `postgres -C`.
        #[arg(long, value_name = "FILE", value_parser = file_or_none())]
        config_file: Option<PathBuf>,
        /// PostgreSQL's programs.
        #[arg(long, value_name = "DIR")]
        postgres_bin: PathBuf,
        /// What is put in safety.
        #[arg(long, value_name = "DIR")]
        safety: PathBuf,
        /// Of the logs the newest so many bytes.
        #[arg(long, value_name = "BYTES", default_value_t = 256 << 20)]
        log_limit: u64,
    },
    /// Saves settings, slots, sequences and row estimates of the running server, and what its tables are called.
    SaveCatalog {
        /// The server's door.
        #[command(flatten)]
        server: Server,
        /// What is put in safety.
        #[arg(long, value_name = "DIR")]
        safety: PathBuf,
        /// The stanza under which the names of tables are saved; without it they are not.
        #[arg(long, value_name = "STANZA", requires = "system_identifier")]
        names_of: Option<String>,
        /// The cluster that the names are of.
        #[arg(long, value_name = "NUMBER")]
        system_identifier: Option<u64>,
    },
    /// Keeps the old cluster, disarmed.
    Keep {
        /// The run.
        #[arg(long)]
        run: String,
        /// The cluster.
        #[arg(long, value_name = "DIR")]
        data_directory: PathBuf,
        /// Where it goes: what the check `room-to-keep` said.
        #[arg(long, value_name = "DIR")]
        kept: PathBuf,
        /// rename, reflink, copy, elsewhere; none keeps nothing, nothing says that there is no cluster.
        #[arg(long)]
        how: String,
        /// The OIDs of the set's tablespaces, with commas; none.
        #[arg(long, value_name = "OIDS")]
        set_tablespaces: String,
        /// What the set restores.
        #[arg(long, value_name = "BYTES")]
        set_bytes: u64,
    },
    /// Brings the kept cluster back.
    PutBack {
        /// The record that keeping wrote.
        #[arg(long, value_name = "FILE")]
        record: PathBuf,
        /// Refuses a record of another data directory.
        #[arg(long, value_name = "DIR")]
        data_directory: Option<PathBuf>,
    },
    /// Tells what was kept; changes nothing.
    ShowKept {
        /// The record that keeping wrote.
        #[arg(long, value_name = "FILE")]
        record: PathBuf,
    },
    /// Removes the kept cluster.
    RemoveKept {
        /// The record that keeping wrote.
        #[arg(long, value_name = "FILE")]
        record: PathBuf,
        /// The run that kept it.
        #[arg(long)]
        run: String,
    },
    /// Keeps pg_ctlcluster from starting a Debian cluster; any other is left alone.
    HoldCluster {
        /// The run.
        #[arg(long)]
        run: String,
        /// Its postgresql.conf.
        #[arg(long, value_name = "FILE")]
        config_file: PathBuf,
    },
    /// Lets pg_ctlcluster start it again.
    LetClusterGo {
        /// Its postgresql.conf.
        #[arg(long, value_name = "FILE")]
        config_file: PathBuf,
    },
    /// Moves a postmaster.pid away that no server belongs to.
    ClearStalePid {
        /// The cluster.
        #[arg(long, value_name = "DIR")]
        data_directory: PathBuf,
    },
    /// Places saved segments that no repository has into the restored pg_wal.
    PlaceWal(target::PlaceWal),
    /// Replaces the recovery target.
    SetTarget(target::SetTarget),
    /// Makes the place that a restore with --delta accepts.
    MakeReady {
        /// Where it is restored to.
        #[arg(long, value_name = "DIR")]
        data_directory: PathBuf,
    },
}

/// A server's door.
#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// PostgreSQL's programs.
    #[arg(long, value_name = "DIR")]
    postgres_bin: PathBuf,
    /// The directory of its socket.
    #[arg(long, value_name = "DIR")]
    socket_directory: PathBuf,
    /// Its port.
    #[arg(long)]
    port: u16,
    /// Who asks.
    #[arg(long)]
    user: String,
    /// Where it is asked first.
    #[arg(long)]
    database: String,
}

/// Runs the helper.
///
/// # Errors
/// Anything that keeps it from its work, in words.
pub(super) fn run(helper: &Helper) -> anyhow::Result<Exit> {
    let mut told = Told::default();
    match helper {
        Helper::SaveWal { pg_wal, safety } => save_wal(pg_wal, safety, &mut told)?,
        Helper::SaveSettings { data_directory, config_file, postgres_bin, safety, log_limit } => {
            let file = named(config_file.as_deref());
            save_settings((data_directory, file), postgres_bin, safety, *log_limit, &mut told)?;
        }
        Helper::SaveCatalog { server, safety, names_of, system_identifier } => {
            save_catalog(server, safety, &mut told)?;
            if let (Some(stanza), Some(cluster)) = (names_of, system_identifier) {
                save_names(server, safety, stanza, *cluster, &mut told)?;
            }
        }
        Helper::Keep { run, data_directory, kept, how, set_tablespaces, set_bytes } => {
            let run = RunId::parse(run)?;
            let set = SetToRestore { bytes: *set_bytes, tablespaces: keep::oids(set_tablespaces)? };
            keep::keep(&run, data_directory, kept, how, &set, &mut told)?;
        }
        Helper::PutBack { record, data_directory } => keep::put_back(record, data_directory.as_deref(), &mut told)?,
        Helper::ShowKept { record } => keep::show(record, &mut told)?,
        Helper::RemoveKept { record, run } => {
            let removed = kept::remove_kept(&RunId::parse(run)?, keep::home_of(record)?)?;
            told.say("removed-entries", removed.entries);
            told.say("removed-bytes", removed.bytes);
        }
        Helper::HoldCluster { run, config_file } => hold_cluster(&RunId::parse(run)?, config_file, &mut told)?,
        Helper::LetClusterGo { config_file } => let_cluster_go(config_file, &mut told)?,
        Helper::ClearStalePid { data_directory } => {
            let moved = clear_stale_pid(data_directory)?;
            told.list("moved", moved.iter().map(|path| path.display()));
        }
        Helper::PlaceWal(args) => target::place_wal(args, &mut told)?,
        Helper::SetTarget(args) => target::set_target(args, &mut told)?,
        Helper::MakeReady { data_directory } => {
            let how = kept::make_ready(data_directory)?;
            told.say("data-directory", format!("{}: {how}", data_directory.display()));
        }
    }
    told.print()?;
    Ok(Exit::Done)
}

/// A path, or nothing at all: clap's own parser of paths refuses an empty argument.
fn file_or_none() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// The file, where one is named.
fn named(file: Option<&Path>) -> Option<&Path> {
    file.filter(|path| !path.as_os_str().is_empty())
}

/// Lines for standard output.
#[derive(Default)]
struct Told(String);

impl Told {
    fn say(&mut self, name: &str, value: impl Display) {
        self.0.push_str(&format!("{name}: {}\n", clean(&value.to_string())));
    }

    /// A list as one line; `none` when it is empty.
    fn list<T: Display>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        self.say(name, if values.is_empty() { "none".to_owned() } else { values.join(", ") });
    }

    fn print(&self) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(self.0.as_bytes()).and_then(|()| out.flush())
    }
}

fn hold_cluster(run: &RunId, config_file: &Path, told: &mut Told) -> anyhow::Result<()> {
    let Some(conf) = StartConf::beside(config_file) else {
        told.say("start-conf", "none: this is no cluster of Debian's tools");
        return Ok(());
    };
    let (before, held) = (conf.says(), conf.hold(run)?);
    told.say("start-conf", conf.path().display());
    told.say(
        "said",
        match held {
            Held::Now => format!("{before}; disabled now"),
            Held::Before => "disabled, by an earlier pass of a recovery".to_owned(),
            Held::ByOthers => {
                format!("{before}, by somebody else: it stays so, and has to be changed to start it again")
            }
        },
    );
    Ok(())
}

fn let_cluster_go(config_file: &Path, told: &mut Told) -> anyhow::Result<()> {
    let Some(conf) = StartConf::beside(config_file) else {
        told.say("start-conf", "none: this is no cluster of Debian's tools");
        return Ok(());
    };
    let was_held = conf.let_go()?;
    told.say("start-conf", conf.path().display());
    told.say("says", format!("{}{}", conf.says(), if was_held { " again" } else { "; it was not held" }));
    Ok(())
}

fn save_wal(pg_wal: &Path, safety: &Path, told: &mut Told) -> anyhow::Result<()> {
    let safe = safety::save_wal(pg_wal, safety)?;
    told.say("saved-wal", safe.directory.display());
    told.say("files", safe.files.len());
    told.say("added", safe.added.len());
    told.say("grown", safe.grown.len());
    told.list("set-beside", &safe.set_beside);
    told.say("recycled", safe.recycled);
    told.list("not-archived", &safe.not_archived);
    Ok(())
}

fn save_settings(
    (data_directory, config_file): (&Path, Option<&Path>),
    postgres_bin: &Path,
    safety: &Path,
    log_limit: u64,
    told: &mut Told,
) -> anyhow::Result<()> {
    let environment = BaseEnvironment::from_process()?.real;
    let programs = PostgresPrograms::at(postgres_bin, &environment)?;
    let places = safety::places(&programs, &environment, data_directory, config_file)?;
    let saved = safety::save_configuration(data_directory, &places, safety)?;
    safety::save_control(data_directory, safety)?;
    told.say("saved-settings", safety.display());
    told.say("files", saved.saved.len());
    told.say("bytes", saved.bytes);
    told.list("left-out", saved.left_out.iter().map(|(path, why)| format!("{}: {why}", path.display())));
    let place = |name: &str| places.files.get(name).map_or("unknown".to_owned(), |path| path.display().to_string());
    told.say("config-file", place("config_file"));
    told.say("hba-file", place("hba_file"));
    told.list("unknown", &places.unknown);
    if let Some(folder) = places.files.get("log_directory") {
        let logs = safety::save_logs(folder, safety, log_limit)?;
        told.say("logs", logs.saved.len());
        told.say("log-bytes", logs.bytes);
        told.say("logs-left-out", logs.left_out.len());
    } else {
        told.say("logs", "unknown: log_directory could not be asked for");
    }
    Ok(())
}

/// A server that is down has no catalog to be saved: that is said and no failure. The one of an earlier pass stays.
fn save_catalog(server: &Server, safety: &Path, told: &mut Told) -> anyhow::Result<()> {
    let environment = BaseEnvironment::from_process()?.real;
    let programs = PostgresPrograms::at(&server.postgres_bin, &environment)?;
    let psql = Psql::new(&programs, &environment, &server.socket_directory, server.port, &server.user);
    match catalog::read(&psql, &server.database) {
        Ok(found) => {
            let path = found.save(safety)?;
            told.say("catalog", path.display());
            told.say("settings", found.settings.len());
            told.list("slots", found.slots.keys());
            told.list("databases", found.databases.keys());
            told.say("sequences", found.databases.values().map(|one| one.sequences.len()).sum::<usize>());
        }
        Err(error) if error.is_down() => {
            told.say("catalog", format!("unknown: {error}"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// WAL knows tables by numbers: what is thrown away is told by name when the server is stopped already. Missing names keep
/// nobody from going on.
fn save_names(server: &Server, safety: &Path, stanza: &str, cluster: u64, told: &mut Told) -> anyhow::Result<()> {
    let environment = BaseEnvironment::from_process()?.real;
    let programs = PostgresPrograms::at(&server.postgres_bin, &environment)?;
    let asked =
        catalog_memory::Server::at(&programs, &environment, &server.socket_directory, server.port, &server.user);
    let now = clock::now().to_utc();
    let saved = catalog_memory::read_catalogs(&asked)
        .and_then(|found| catalog_memory::remember(safety, stanza, cluster, found.relations, now));
    match saved {
        Ok(saved) => told.say("names", format!("{} in {}", saved.total, saved.file.display())),
        Err(error) => told.say("names", format!("unknown: {error}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fact that says nothing is an empty argument: no configuration is named where pgBackRest finds its own.
    #[test]
    fn a_file_that_is_not_named_is_an_empty_argument() {
        use clap::Parser as _;
        let place =
            "place-wal --data-directory /d --safety /s --timeline 1 --stanza main --pgbackrest /p --postgres-bin /b";
        let save = "save-settings --data-directory /d --postgres-bin /b --safety /s";
        for (words, option) in [(place, "--pgbackrest-config"), (save, "--config-file")] {
            for value in ["", "/etc/x.conf"] {
                // as a whole: the options for everybody have names that these have as well
                let line = ["lifeboat", "internal"].into_iter().chain(words.split(' ')).chain([option, value]);
                let parsed = crate::cli::Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{words}: {error}"));
                let Some(crate::cli::Command::Internal(args)) = parsed.command else { panic!("{words}") };
                let super::super::Helper::Incident(helper) = args.helper else { panic!("{words}") };
                let taken = match &helper {
                    Helper::PlaceWal(args) => args.named_config(),
                    Helper::SaveSettings { config_file, .. } => named(config_file.as_deref()),
                    _ => panic!("{words}"),
                };
                assert_eq!(taken, (!value.is_empty()).then_some(Path::new(value)));
            }
        }
    }

    #[test]
    fn a_line_stays_a_line() {
        let mut told = Told::default();
        told.say("left-out", "a\nkept-at: /elsewhere");
        told.list::<&str>("unknown", []);
        assert_eq!(told.0, "left-out: a␊kept-at: /elsewhere\nunknown: none\n");
    }
}
