//! Helpers of in-place recovery: each is one step of a runbook. What they found stands on standard output, one fact a
//! line (`name: value`); every one may be repeated.

use super::super::Exit;
use crate::domain::auto_conf::{FollowTimeline, RecoveryTarget, StopAt};
use crate::domain::event::RunId;
use crate::domain::lsn::Lsn;
use crate::domain::text::clean;
use crate::domain::wal::{SegmentSize, TimelineId};
use crate::engine::archives;
use crate::engine::catalog;
use crate::engine::environment::BaseEnvironment;
use crate::engine::kept::{self, RECORD, SetToRestore};
use crate::engine::pgbackrest::Pgbackrest;
use crate::engine::postgres::{PostgresPrograms, clear_stale_pid};
use crate::engine::psql::Psql;
use crate::engine::retarget;
use crate::engine::safety::{self, SegmentOwner};
use crate::planning::keeping::{Keeping, PlannedPart, Speeds, Way, keep_plan};
use anyhow::{Context as _, anyhow, bail};
use chrono::DateTime;
use std::collections::BTreeSet;
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
        /// postgresql.conf, where it is known; else asked of `postgres -C`.
        #[arg(long, value_name = "FILE")]
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
    /// Saves settings, slots, sequences and row estimates of the running server.
    SaveCatalog {
        /// The server's door.
        #[command(flatten)]
        server: Server,
        /// What is put in safety.
        #[arg(long, value_name = "DIR")]
        safety: PathBuf,
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
    /// Moves a postmaster.pid away that no server belongs to.
    ClearStalePid {
        /// The cluster.
        #[arg(long, value_name = "DIR")]
        data_directory: PathBuf,
    },
    /// Places saved segments that no repository has into the restored pg_wal.
    PlaceWal(PlaceWal),
    /// Replaces the recovery target.
    SetTarget(SetTarget),
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

/// Arguments of `place-wal`.
#[derive(Debug, clap::Args)]
pub(super) struct PlaceWal {
    /// The restored cluster.
    #[arg(long, value_name = "DIR")]
    data_directory: PathBuf,
    /// What was put in safety.
    #[arg(long, value_name = "DIR")]
    safety: PathBuf,
    /// The timeline that recovery follows.
    #[arg(long)]
    timeline: u32,
    /// The stanza.
    #[arg(long)]
    stanza: String,
    /// pgBackRest.
    #[arg(long, value_name = "FILE")]
    pgbackrest: PathBuf,
    /// Its configuration, unless it is the default.
    #[arg(long, value_name = "FILE")]
    pgbackrest_config: Option<PathBuf>,
    /// PostgreSQL's programs.
    #[arg(long, value_name = "DIR")]
    postgres_bin: PathBuf,
}

/// Arguments of `set-target`.
#[derive(Debug, clap::Args)]
pub(super) struct SetTarget {
    /// The restored cluster.
    #[arg(long, value_name = "DIR")]
    data_directory: PathBuf,
    /// recovery_target_lsn, _time, _xid, _name, or recovery_target.
    #[arg(long)]
    setting: String,
    /// Its value; a time with its offset.
    #[arg(long)]
    value: String,
    /// After the target (on) or right before it (off).
    #[arg(long, value_name = "on|off")]
    inclusive: String,
    /// The timeline to follow: a number, current, latest.
    #[arg(long)]
    timeline: String,
    /// Makes recovery.signal where it is missing.
    #[arg(long)]
    signal: bool,
    /// PostgreSQL's programs.
    #[arg(long, value_name = "DIR")]
    postgres_bin: PathBuf,
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
            let file = config_file.as_deref().filter(|path| !path.as_os_str().is_empty());
            save_settings((data_directory, file), postgres_bin, safety, *log_limit, &mut told)?;
        }
        Helper::SaveCatalog { server, safety } => save_catalog(server, safety, &mut told)?,
        Helper::Keep { run, data_directory, kept, how, set_tablespaces, set_bytes } => {
            let run = RunId::parse(run)?;
            let set = SetToRestore { bytes: *set_bytes, tablespaces: oids(set_tablespaces)? };
            keep(&run, data_directory, kept, how, &set, &mut told)?;
        }
        Helper::PutBack { record } => put_back(record, &mut told)?,
        Helper::RemoveKept { record, run } => {
            let removed = kept::remove_kept(&RunId::parse(run)?, home_of(record)?)?;
            told.say("removed-entries", removed.entries);
            told.say("removed-bytes", removed.bytes);
        }
        Helper::ClearStalePid { data_directory } => {
            let moved = clear_stale_pid(data_directory)?;
            told.list("moved", moved.iter().map(|path| path.display()));
        }
        Helper::PlaceWal(args) => place_wal(args, &mut told)?,
        Helper::SetTarget(args) => set_target(args, &mut told)?,
    }
    told.print()?;
    Ok(Exit::Done)
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

fn oids(text: &str) -> anyhow::Result<BTreeSet<u32>> {
    if text == "none" {
        return Ok(BTreeSet::new());
    }
    let parse = |oid: &str| oid.trim().parse().with_context(|| format!("'{}' is no OID of a tablespace", clean(oid)));
    text.split(',').map(parse).collect()
}

fn keep(
    run: &RunId,
    data_directory: &Path,
    home: &Path,
    how: &str,
    set: &SetToRestore,
    told: &mut Told,
) -> anyhow::Result<()> {
    if how == "nothing" {
        // what was found before has to be so still
        if data_directory.join("PG_VERSION").symlink_metadata().is_ok() {
            bail!("{} holds a cluster: look again at how it is to be kept", data_directory.display());
        }
        return nothing_kept("nothing", "there was no cluster to keep", told);
    }
    let keeping = Keeping::of_word(how).ok_or_else(|| {
        anyhow!("'{}' is no way to keep a cluster: rename, reflink, copy, elsewhere, none", clean(how))
    })?;
    if keeping == Keeping::WalOnly {
        return nothing_kept(how, &keeping.way_back(None), told);
    }
    let (parts, back) = match known_parts(run, home)? {
        Some(parts) => (parts, None),
        None => planned_parts(run, data_directory, home, keeping, set)?,
    };
    let data = parts.first().context("the plan keeps no data directory")?;
    let wanted = match keeping {
        Keeping::Rename => Way::Rename,
        Keeping::Reflink => Way::Reflink,
        _ => Way::Copy,
    };
    if data.way != wanted || data.from != data_directory || data.chest != home {
        bail!(
            "{} is kept at {} in another way than '{}': go on with that one",
            data.from.display(),
            data.chest.display(),
            keeping.word()
        );
    }
    let kept = kept::keep_parts(run, chrono::Utc::now(), &parts)?;
    told.say("how", keeping.word());
    told.say("kept-at", kept.home.display());
    told.say("record", kept.home.join(RECORD).display());
    told.say("kept-bytes", kept::kept_bytes(&kept.record)?);
    told.list("parts", kept.record.parts.iter().map(|part| part.planned.from.display()));
    told.list(
        "left-in-place",
        kept.record.links.iter().map(|link| format!("{} -> {}", link.name, link.destination.display())),
    );
    told.say("way-back", keeping.way_back(back));
    Ok(())
}

fn nothing_kept(how: &str, way_back: &str, told: &mut Told) -> anyhow::Result<()> {
    for (name, value) in
        [("how", how), ("kept-at", "none"), ("record", "none"), ("kept-bytes", "0"), ("way-back", way_back)]
    {
        told.say(name, value);
    }
    Ok(())
}

/// The parts of an earlier attempt: what has moved is found by no survey.
fn known_parts(run: &RunId, home: &Path) -> anyhow::Result<Option<Vec<PlannedPart>>> {
    if home.symlink_metadata().is_err() {
        return Ok(None);
    }
    let record = kept::read_record(run, home)?;
    Ok(record.map(|record| record.parts.into_iter().map(|part| part.planned).collect()))
}

fn planned_parts(
    run: &RunId,
    data_directory: &Path,
    home: &Path,
    keeping: Keeping,
    set: &SetToRestore,
) -> anyhow::Result<(Vec<PlannedPart>, Option<f64>)> {
    // a copy elsewhere goes to the folder that holds its home
    let elsewhere = (keeping == Keeping::CopyElsewhere).then(|| home.parent()).flatten();
    let facts = kept::survey(run, data_directory, set, elsewhere)?;
    let plan = keep_plan(&facts, &Speeds::default());
    let option = plan.options.into_iter().find(|option| option.keeping == keeping);
    let option = option.with_context(|| format!("'{}' is no way here", keeping.word()))?;
    if !option.is_open() {
        bail!("the cluster can't be kept by '{}': {}", keeping.word(), option.refused.join("; "));
    }
    Ok((option.parts, option.back_seconds))
}

fn home_of(record: &Path) -> anyhow::Result<&Path> {
    if record.file_name() != Some(RECORD.as_ref()) {
        bail!("{} is no record of a kept cluster: its name would be {RECORD}", record.display());
    }
    record.parent().context("the record lies in no directory")
}

fn put_back(record: &Path, told: &mut Told) -> anyhow::Result<()> {
    let home = home_of(record)?;
    let back = kept::put_back(&kept::run_of(record)?, home)?;
    told.say("put-back", back.data_directory.display());
    told.list("aside", back.aside.iter().map(|path| path.display()));
    told.list("left-in-place", back.left_in_place.iter().map(|path| path.display()));
    told.say("system-identifier", back.record.system_identifier.map_or("none".to_owned(), |id| id.to_string()));
    Ok(())
}

fn place_wal(args: &PlaceWal, told: &mut Told) -> anyhow::Result<()> {
    let environment = BaseEnvironment::from_process()?.real;
    let programs = PostgresPrograms::at(&args.postgres_bin, &environment)?;
    let control = programs.control_data(&args.data_directory, &environment)?;
    let variables = environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
    let config = args.pgbackrest_config.as_deref().filter(|path| !path.as_os_str().is_empty());
    let pgbackrest = Pgbackrest::locate(Some(&args.pgbackrest), config, variables)?;
    let saved = safety::saved_names(&args.safety)?;
    let found = archives::names_in_any(&pgbackrest, &args.stanza, control.system_identifier, &saved)?;
    let owner = SegmentOwner {
        system_identifier: control.system_identifier,
        segment_size: SegmentSize::from_bytes(control.wal_segment_bytes)?,
        timeline: TimelineId(args.timeline),
    };
    let placed = safety::place_missing_wal(&args.data_directory, &args.safety, &found.names, &owner)?;
    told.list("placed", &placed.placed);
    told.list("there", &placed.there);
    told.say("in-repository", placed.in_repository);
    told.list("not-placed", placed.refused.iter().map(|(name, why)| format!("{name}: {why}")));
    told.list("repositories-unread", &found.unread);
    Ok(())
}

fn set_target(args: &SetTarget, told: &mut Told) -> anyhow::Result<()> {
    let value = args.value.as_str();
    let stop = match args.setting.as_str() {
        "recovery_target_lsn" => StopAt::Lsn(Lsn::parse(value)?),
        "recovery_target_time" => StopAt::Time(time(value)?),
        "recovery_target_xid" => StopAt::Xid(value.parse().with_context(|| format!("'{}' is no xid", clean(value)))?),
        "recovery_target_name" if (1..64).contains(&value.len()) => StopAt::Name(value.to_owned()),
        "recovery_target_name" => bail!("a restore point's name has 1 to 63 bytes, this one {}", value.len()),
        "recovery_target" if value == "immediate" => StopAt::Immediate,
        other => bail!("'{}' with the value '{}' is no recovery target", clean(other), clean(value)),
    };
    let inclusive = match args.inclusive.as_str() {
        "on" => true,
        "off" => false,
        other => bail!("--inclusive is on or off, not '{}'", clean(other)),
    };
    let timeline = match args.timeline.as_str() {
        "current" => FollowTimeline::Current,
        "latest" => FollowTimeline::Latest,
        number => {
            let number = number.parse().with_context(|| format!("'{}' is no timeline", clean(number)))?;
            FollowTimeline::Id(TimelineId(number))
        }
    };
    let environment = BaseEnvironment::from_process()?.real;
    let programs = PostgresPrograms::at(&args.postgres_bin, &environment)?;
    let target = RecoveryTarget { stop, inclusive, timeline };
    retarget::retarget(&programs, &environment, &args.data_directory, &target, args.signal)?;
    told.say("target", format!("{} = '{value}'", args.setting));
    told.say("inclusive", &args.inclusive);
    told.say("timeline", &args.timeline);
    told.say("action", "shutdown");
    Ok(())
}

/// A time with its offset, as plans hold it (`2026-11-21 23:13:00.000000+00`) and as RFC 3339.
fn time(text: &str) -> anyhow::Result<DateTime<chrono::Utc>> {
    let with_offset = ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"];
    let found = with_offset.iter().find_map(|format| DateTime::parse_from_str(text, format).ok());
    let found = found.ok_or_else(|| {
        anyhow!("'{}' is no time with an offset: it is written 2026-11-22 02:13:00.123456+03", clean(text))
    })?;
    Ok(found.with_timezone(&chrono::Utc))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_time_needs_its_offset() {
        for text in ["2026-11-22 02:13:00.25+03", "2026-11-21 23:13:00.250000+00", "2026-11-21T23:13:00.25Z"] {
            assert_eq!(time(text).unwrap().timestamp_millis(), 1_795_302_780_250, "{text}");
        }
        for text in ["2026-11-22 02:13:00", "2026-11-22 02:13:00 CET", "yesterday", ""] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tablespaces_are_numbers_or_none() {
        assert_eq!(oids("none").unwrap().len(), 0);
        assert_eq!(oids("16384, 16400").unwrap(), BTreeSet::from([16384, 16400]));
        assert!(oids("").is_err() && oids("16384,x").is_err());
    }

    #[test]
    fn a_line_stays_a_line() {
        let mut told = Told::default();
        told.say("left-out", "a\nkept-at: /elsewhere");
        told.list::<&str>("unknown", []);
        assert_eq!(told.0, "left-out: a␊kept-at: /elsewhere\nunknown: none\n");
    }
}
