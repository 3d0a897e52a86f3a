//! What a recovery throws away, counted in the WAL that is there, and where that WAL is.

use crate::domain::text::clean;
use crate::engine::accident::{Limits, Place, Request, thrown_away};
use crate::engine::checks::{CheckError, CheckReport, Input};
use crate::engine::clock;
use crate::engine::wal_source::saved_in;
use crate::planning::accident::{Boundary, Window, throws_away};
use crate::planning::parameters::ParameterType;
use crate::settings::PgbackrestSettings;
use std::time::Duration;

/// A busy hour of WAL; more is said to be more.
const LIMITS: Limits = Limits { segments: 512, time: Duration::from_secs(90) };

/// Counts the commits behind a target along the timeline that is left, in the repositories and in what was put in safety.
/// It never keeps a run waiting: what can't be counted is said instead.
pub(super) fn thrown_away_by(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let mut report = CheckReport::default();
    let (stanza, safety) = (input.text("stanza")?, input.path("safety")?);
    let timeline = crate::domain::wal::TimelineId(input.parsed("timeline")?);
    let (value, is_inclusive) = (input.text("value")?, input.text("inclusive")? == "on");
    let saved = saved_in(safety);
    let around = input.around;
    let place = Place {
        pgbackrest: PgbackrestSettings {
            binary: around.pgbackrest.binary.clone(),
            config: around.pgbackrest.config.clone(),
            stanza: Some(stanza.to_owned()),
        },
        bin_directory: Some(around.postgres.bin_directory.clone()),
        // Where the names were saved before the server was stopped.
        state_directory: Some(safety.to_owned()),
        cache_limit_bytes: 0,
        is_read_only: false,
        environment: around.environment.clone(),
    };
    let now = clock::now().to_utc();
    let request = Request {
        timeline: Some(timeline),
        beside: saved.is_dir().then_some(saved).into_iter().collect(),
        user: Some(input.text("user")?.to_owned()),
        ..Request::around(Window { from: now, to: now, around: now })
    };
    let position = (input.text("setting")? == "recovery_target_lsn").then(|| ParameterType::Lsn.parse(value));
    let boundary = match position {
        Some(Ok(_)) if is_inclusive => Boundary::Behind(input.parsed("value")?),
        Some(_) => Boundary::Before(input.parsed("value")?),
        None => {
            report.good("the target is where the backup set becomes consistent: everything later is thrown away");
            report.put("shown", "everything behind the backup set; not counted");
            report.put("where", format!("timeline {timeline}, in the repositories"));
            return Ok(report);
        }
    };
    let (shown, read_from) = match thrown_away(&place, &request, boundary, LIMITS) {
        Ok(weighed) => {
            weighed.notes.iter().for_each(|note| report.good(clean(note)));
            (throws_away(&weighed.thrown), weighed.place)
        }
        Err(error) => {
            let said = clean(&error.to_string());
            (format!("not counted: {said}"), format!("the repositories and {}", saved_in(safety).display()))
        }
    };
    report.good(format!("thrown away of timeline {timeline}: {}", clean(&shown)));
    report.put("shown", clean(&shown));
    report.put("where", clean(&format!("timeline {timeline} in {read_from}")));
    Ok(report)
}
