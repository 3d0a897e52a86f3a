//! What every repository has, or must not have, before an in-place recovery goes on.

use crate::domain::wal::{TimelineId, WalSegment};
use crate::engine::archives::{self, ArchivePlace};
use crate::engine::checks::{CheckError, CheckReport, Input, wrong};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Between two looks at the repositories: each costs about 0.1 s of pgbackrest, more on an object store.
const INTERVAL: Duration = Duration::from_secs(2);

/// Waits until a segment is in every repository, at most `limit` seconds.
pub(super) fn archived_everywhere(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let (stanza, segment): (_, WalSegment) = (input.text("stanza")?, input.parsed("segment")?);
    let limit = Duration::from_secs(seconds(input.text("limit")?)?);
    let pgbackrest = &input.around.pgbackrest;
    let folder = archives::folder_of(segment);
    let began = Instant::now();
    let mut had: BTreeMap<String, Duration> = BTreeMap::new();
    loop {
        let mut report = CheckReport::default();
        let mut missing = Vec::new();
        for place in archives::places(pgbackrest, stanza, None)? {
            let key = place.key.name();
            if had.contains_key(&key) {
                continue;
            }
            match unread_or_segments(input, &place, &folder) {
                Ok(found) if found.contains(&segment) => {
                    had.insert(key, began.elapsed());
                }
                Ok(_) => missing.push((key, "it is not there".to_owned())),
                Err(why) => missing.push((key, why)),
            }
        }
        if missing.is_empty() || began.elapsed() >= limit {
            for (key, after) in &had {
                report.good(format!("{key} has {segment} (seen after {} s)", after.as_secs()));
            }
            for (key, why) in &missing {
                report.bad(
                    format!("{key} has no {segment} after {} s: {why}", limit.as_secs()),
                    "Look at the server's log for what archive_command says, and at `pgbackrest check`. The segment is in pg_wal: it was or will be copied aside, so going on loses nothing that this copy has.",
                );
            }
            let names: Vec<String> = missing.into_iter().map(|(key, _)| key).collect();
            report.put("missing-in", if names.is_empty() { "none".to_owned() } else { names.join(", ") });
            return Ok(report);
        }
        std::thread::sleep(INTERVAL.min(limit.saturating_sub(began.elapsed())));
    }
}

fn unread_or_segments(input: &Input<'_>, place: &ArchivePlace, folder: &str) -> Result<BTreeSet<WalSegment>, String> {
    if let Some(why) = &place.unread {
        return Err(format!("the repository can't be read: {why}"));
    }
    place.segments(&input.around.pgbackrest, folder).map_err(|error| error.to_string())
}

/// `90`, `90s`, `10m`.
fn seconds(text: &str) -> Result<u64, CheckError> {
    let refused = || wrong("limit", text, "seconds are needed, as 90, 90s or 10m; at most a day");
    let (digits, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u64 = digits.parse().map_err(|_| refused())?;
    number.checked_mul(factor).filter(|seconds| *seconds <= 86_400).ok_or_else(refused)
}

/// The timelines above the followed one that each repository has, with the text of their history files.
type Higher = BTreeMap<TimelineId, BTreeMap<String, String>>;

/// The timeline that a promotion takes is free in every repository.
pub(super) fn history_free(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let (stanza, followed) = (input.text("stanza")?, TimelineId(input.parsed("timeline")?));
    let pgbackrest = &input.around.pgbackrest;
    let mut report = CheckReport::default();
    let (mut higher, mut read) = (Higher::new(), BTreeSet::new());
    for place in archives::places(pgbackrest, stanza, None)? {
        let key = place.key.name();
        if let Some(why) = &place.unread {
            report.bad(
                format!("{key} can't be read: {why}"),
                "Make it readable first: a timeline that it has and the others don't would be taken a second time.",
            );
            continue;
        }
        read.insert(key.clone());
        for timeline in place.histories(pgbackrest)?.into_iter().filter(|timeline| *timeline > followed) {
            let path = format!("{}/{}", place.path.as_deref().unwrap_or_default(), timeline.history_file());
            let text = pgbackrest.get(place.key.0, &path)?.unwrap_or_default();
            higher.entry(timeline).or_default().insert(key.clone(), String::from_utf8_lossy(&text).into_owned());
        }
    }
    judge(followed, &higher, &read, stanza, &mut report);
    Ok(report)
}

/// PostgreSQL asks for one history file after the other from the followed timeline on, and takes the first number that has
/// none. What every repository has is an earlier recovery's and passed over by it; what only some have is a stray, which
/// an archive-get that does not reach that repository takes for free: the push then ends with error 45, or overwrites it.
fn judge(followed: TimelineId, higher: &Higher, read: &BTreeSet<String>, stanza: &str, report: &mut CheckReport) {
    let mut next = TimelineId(followed.0.saturating_add(1));
    while higher.contains_key(&next) {
        next = TimelineId(next.0.saturating_add(1));
    }
    for (timeline, by_repository) in higher {
        let file = timeline.history_file();
        let has: Vec<&str> = by_repository.keys().map(String::as_str).collect();
        let texts: BTreeSet<&String> = by_repository.values().collect();
        let what = if *timeline > next {
            format!(
                "{file} is in {}, and timeline {next} before it is not: a promotion would take {next}, and later recoveries could follow {timeline}",
                has.join(" and ")
            )
        } else if has.len() < read.len() {
            format!("{file} is in {} and not in the other repositories: a stray timeline", has.join(" and "))
        } else if texts.len() > 1 {
            format!("{file} is another one in each of {}", has.join(" and "))
        } else {
            report.good(format!("{file} is in every repository: an earlier recovery's; a promotion passes over it"));
            continue;
        };
        report.bad(
            what,
            format!(
                "Find out which cluster made it (a drill or a copy that archived). If nobody needs it, move that file out of archive/{stanza}/… of {} by hand; if it is the production's own, name its timeline instead of {followed}.",
                has.join(" and ")
            ),
        );
    }
    report.put("next-timeline", next);
    if report.holds() {
        report.good(format!("{} is in no repository: a promotion makes timeline {next}", next.history_file()));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn judged(found: &[(u32, &[(&str, &str)])]) -> CheckReport {
        let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, text)| ((*key).into(), (*text).into())).collect();
        let higher: Higher = found.iter().map(|(timeline, pairs)| (TimelineId(*timeline), of(pairs))).collect();
        let read = BTreeSet::from(["repo1".to_owned(), "repo2".to_owned()]);
        let mut report = CheckReport::default();
        judge(TimelineId(1), &higher, &read, "main", &mut report);
        report
    }

    #[test]
    fn the_next_timeline_is_named_where_it_is_free() {
        let free = judged(&[]);
        assert!(free.holds());
        assert_eq!(free.captures["next-timeline"], "2");
        let earlier = judged(&[(2, &[("repo1", "1\t0/5\n"), ("repo2", "1\t0/5\n")])]);
        assert!(earlier.holds());
        assert_eq!(earlier.captures["next-timeline"], "3");
    }

    #[test]
    fn strays_twins_and_gaps_are_refused() {
        for (found, said) in [
            (judged(&[(2, &[("repo2", "1\t0/5\n")])]), "00000002.history is in repo2 and not in the other"),
            (judged(&[(2, &[("repo1", "1\t0/5\n"), ("repo2", "1\t0/6\n")])]), "another one in each of repo1 and repo2"),
            (
                judged(&[(7, &[("repo1", "x"), ("repo2", "x")])]),
                "00000007.history is in repo1 and repo2, and timeline 2",
            ),
        ] {
            let bad = found.findings.iter().find(|finding| !finding.holds).unwrap();
            assert!(bad.what.contains(said), "{bad:?}");
            assert!(bad.remedy.contains("archive/main/"), "{bad:?}");
        }
    }

    #[test]
    fn a_limit_is_seconds_or_minutes() {
        for (text, number) in [("90", 90), ("90s", 90), ("10m", 600), ("0", 0)] {
            assert_eq!(seconds(text).unwrap(), number);
        }
        for text in ["", "m", "1h", "-1", "99999999999999999999", "2000m"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
