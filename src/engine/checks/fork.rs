//! A target on a timeline that production has left: what lies behind the fork is none of its past.

use crate::domain::lsn::Lsn;
use crate::domain::wal::TimelineId;
use crate::domain::wal_marks::TransactionEnd;
use crate::engine::checks::{CheckError, Input, wrong};
use crate::planning::target::RecoveryTarget;
use chrono::SecondsFormat;

/// Where production left the timeline that is followed, when the plan was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fork {
    switch: Lsn,
    timeline: TimelineId,
}

impl Fork {
    /// None on production's own timeline, where production is not replaced, and in plans that were sealed before this was
    /// asked.
    pub(super) fn given(input: &Input<'_>, timeline: TimelineId) -> Result<Option<Fork>, CheckError> {
        match input.with.get("left-at").map(String::as_str) {
            None | Some("none" | "") => Ok(None),
            Some(text) => Lsn::parse(text)
                .map(|switch| Some(Fork { switch, timeline }))
                .map_err(|error| wrong("left-at", text, &error.to_string())),
        }
    }

    /// What lies behind the fork, with what to do instead; only `latest` takes it back, in so many words. A time or a
    /// transaction means a state: it is refused where that keeps a commit of what was left.
    pub(super) fn refuses(
        self,
        target: &RecoveryTarget,
        (value, inclusive): (&str, bool),
        last_kept: Option<&TransactionEnd>,
    ) -> Option<(String, String)> {
        let Fork { switch, timeline } = self;
        let means_a_place = matches!(target, RecoveryTarget::Lsn { .. } | RecoveryTarget::Name { .. });
        let place = Lsn::parse(value).ok().filter(|_| means_a_place);
        let place = place.filter(|place| *place > switch || (inclusive && *place == switch));
        let kept = last_kept.filter(|end| end.start >= switch && *target != RecoveryTarget::Latest);
        let what = match (kept, place) {
            (Some(end), _) => {
                let time = end.time.to_rfc3339_opts(SecondsFormat::Micros, true);
                format!("it keeps the commit of xid {} at {}, {time}", end.xid, end.start)
            }
            (None, Some(place)) => format!("it lies at {place}"),
            (None, None) => return None,
        };
        Some((
            format!(
                "{target}: {what}, behind {switch}, where production left timeline {timeline}: that is no part of production's past, and everything committed since would be lost"
            ),
            format!(
                "The nearest that works is -p target={switch} -p timeline={timeline}. To get at what was discarded there: pitr-side-by-side with -p timeline={timeline}; to take all of it back: -p target=latest -p timeline={timeline}."
            ),
        ))
    }
}
