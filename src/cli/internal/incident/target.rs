//! What a restored cluster is given before its first start: WAL that no repository has, and its target.

use super::Told;
use crate::domain::auto_conf::{FollowTimeline, RecoveryTarget, StopAt};
use crate::domain::lsn::Lsn;
use crate::domain::text::clean;
use crate::domain::wal::{SegmentSize, TimelineId};
use crate::engine::archives;
use crate::engine::environment::BaseEnvironment;
use crate::engine::pgbackrest::Pgbackrest;
use crate::engine::postgres::PostgresPrograms;
use crate::engine::retarget;
use crate::engine::safety::{self, SegmentOwner};
use anyhow::{Context as _, anyhow, bail};
use chrono::DateTime;
use std::path::{Path, PathBuf};

/// Arguments of `place-wal`.
#[derive(Debug, clap::Args)]
pub(in super::super) struct PlaceWal {
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
    /// Its configuration; empty: the one it finds itself.
    #[arg(long, value_name = "FILE", value_parser = super::file_or_none())]
    pgbackrest_config: Option<PathBuf>,
    /// PostgreSQL's programs.
    #[arg(long, value_name = "DIR")]
    postgres_bin: PathBuf,
}

impl PlaceWal {
    pub(super) fn named_config(&self) -> Option<&Path> {
        super::named(self.pgbackrest_config.as_deref())
    }
}

/// Arguments of `set-target`.
#[derive(Debug, clap::Args)]
pub(in super::super) struct SetTarget {
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

pub(super) fn place_wal(args: &PlaceWal, told: &mut Told) -> anyhow::Result<()> {
    let environment = BaseEnvironment::from_process()?.real;
    let programs = PostgresPrograms::at(&args.postgres_bin, &environment)?;
    let control = programs.control_data(&args.data_directory, &environment)?;
    let variables = environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
    let pgbackrest = Pgbackrest::locate(Some(&args.pgbackrest), args.named_config(), variables)?;
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

pub(super) fn set_target(args: &SetTarget, told: &mut Told) -> anyhow::Result<()> {
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
}
