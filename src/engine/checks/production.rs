//! That a drill left production alone: what its data directory and its archives said before and after.

use crate::domain::text::clean;
use crate::engine::checks::{CheckError, CheckReport, Input, wrong};
use crate::engine::postgres::live_tablespaces;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is compared. It is a captured value (JSON), so it stands in the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Baseline {
    /// The cluster in the production data directory; `None` where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<Cluster>,
    /// By `repo1/15-1`.
    archives: BTreeMap<String, ArchiveState>,
    /// Repositories that could not be read then.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    unread: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cluster {
    system_identifier: u64,
    timeline: u32,
    /// By OID.
    tablespaces: BTreeMap<u32, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ArchiveState {
    histories: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<String>,
}

/// Captures how production is, as `baseline`.
pub(super) fn baseline(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let now = read(input)?;
    let mut report = CheckReport::default();
    let cluster = now.cluster.as_ref().map_or("no cluster".to_owned(), |cluster| {
        format!("system identifier {}, timeline {}", cluster.system_identifier, cluster.timeline)
    });
    let histories: usize = now.archives.values().map(|archive| archive.histories.len()).sum();
    report.good(format!("noted of production: {cluster}, {} archives, {histories} history files", now.archives.len()));
    let text = serde_json::to_string(&now).map_err(|error| wrong("baseline", "", &error.to_string()))?;
    report.put("baseline", text);
    Ok(report)
}

/// Compares how production is with how it was.
pub(super) fn untouched(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let text = input.text("baseline")?;
    let before: Baseline =
        serde_json::from_str(text).map_err(|error| wrong("baseline", text, &clean(&error.to_string())))?;
    let now = read(input)?;
    let mut report = CheckReport::default();
    compare_clusters(before.cluster.as_ref(), now.cluster.as_ref(), &mut report);
    for (place, before) in &before.archives {
        match now.archives.get(place) {
            Some(now) => compare_archives(place, before, now, &mut report),
            None => report.bad(format!("{place} can't be read any more"), "Look at `lifeboat inventory`."),
        }
    }
    for place in now.archives.keys().filter(|place| !before.archives.contains_key(*place)) {
        let repository = place.split('/').next().unwrap_or(place);
        if before.unread.contains(repository) {
            report.good(format!("{place} could not be read at the start: there is nothing to compare it with"));
        } else {
            report.bad(format!("{place} is a new archive"), "Find out who began to archive there.");
        }
    }
    Ok(report)
}

fn read(input: &Input<'_>) -> Result<Baseline, CheckError> {
    let production = input.path("production")?;
    let mut found = Baseline::default();
    if production.join("global/pg_control").symlink_metadata().is_ok() {
        let control = input.around.postgres.control_data(production, &input.around.environment)?;
        let tablespaces = live_tablespaces(production)?.into_iter();
        found.cluster = Some(Cluster {
            system_identifier: control.system_identifier,
            timeline: control.timeline,
            tablespaces: tablespaces.map(|one| (one.oid, clean(&one.location.to_string_lossy()))).collect(),
        });
    }
    let stanza = input.stanza(None, None)?;
    for repository in &stanza.repositories {
        if !repository.was_read() {
            found.unread.insert(repository.key.name());
            continue;
        }
        for archive in &repository.archives {
            let path = format!("archive/{}/{}", stanza.name, archive.id);
            let listing = input.around.pgbackrest.list(repository.key.0, &path, false)?;
            let histories = listing.files().map(|(name, _)| name).filter(|name| name.ends_with(".history"));
            let state = ArchiveState {
                histories: histories.map(str::to_owned).collect(),
                newest: archive.max.map(|segment| segment.to_string()),
            };
            found.archives.insert(format!("{}/{}", repository.key.name(), archive.id), state);
        }
    }
    Ok(found)
}

fn compare_clusters(before: Option<&Cluster>, now: Option<&Cluster>, report: &mut CheckReport) {
    let (before, now) = match (before, now) {
        (Some(before), Some(now)) => (before, now),
        (None, None) => return report.good("there is no production cluster on this host"),
        (None, Some(_)) => {
            return report.bad("a cluster appeared in the production data directory", "Find out who made it.");
        }
        (Some(_), None) => {
            return report.bad("the production data directory has no control file any more", "Look at it at once.");
        }
    };
    if before.system_identifier == now.system_identifier && before.timeline == now.timeline {
        report.good(format!(
            "production still has system identifier {} and timeline {}",
            now.system_identifier, now.timeline
        ));
    } else {
        report.bad(
            format!(
                "production had system identifier {} and timeline {}, now it has {} and {}",
                before.system_identifier, before.timeline, now.system_identifier, now.timeline
            ),
            "Somebody restored or promoted production meanwhile: find out who.",
        );
    }
    for (oid, place) in &before.tablespaces {
        if now.tablespaces.get(oid) != Some(place) {
            let what = format!("production's tablespace {oid} at {place} is gone or moved");
            report.bad(what, "Find out who dropped it; if nobody did, look at its files at once.");
        }
    }
}

fn compare_archives(place: &str, before: &ArchiveState, now: &ArchiveState, report: &mut CheckReport) {
    let added: Vec<&str> = now.histories.difference(&before.histories).map(String::as_str).collect();
    if !added.is_empty() {
        report.bad(
            format!("{place} got new history files: {}", added.join(", ")),
            "A cluster was promoted and archives here. If it was not production, restores to the latest timeline fail from now on: use --target-timeline=current, and find out whose it is before removing anything.",
        );
    }
    let timeline = |newest: &Option<String>| newest.as_deref().and_then(|name| name.get(..8)).map(str::to_owned);
    let shown = |newest: &Option<String>| newest.clone().unwrap_or_else(|| "nothing".to_owned());
    let forward = before.newest <= now.newest;
    let same = before.newest.is_none() || timeline(&before.newest) == timeline(&now.newest);
    if forward && same {
        report.good(format!(
            "{place}: no new timeline; newest segment {} before, {} now",
            shown(&before.newest),
            shown(&now.newest)
        ));
    } else {
        report.bad(
            format!("{place}: the newest segment was {}, now it is {}", shown(&before.newest), shown(&now.newest)),
            "Another cluster archives here, or WAL was removed: look into the archive with `pgbackrest repo-ls`.",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(histories: &[&str], newest: Option<&str>) -> ArchiveState {
        ArchiveState {
            histories: histories.iter().map(|name| (*name).to_owned()).collect(),
            newest: newest.map(str::to_owned),
        }
    }

    fn holds(before: &ArchiveState, now: &ArchiveState) -> bool {
        let mut report = CheckReport::default();
        compare_archives("repo1/15-1", before, now, &mut report);
        report.holds()
    }

    #[test]
    fn going_forward_on_one_timeline_is_untouched() {
        let before = archive(&["00000002.history"], Some("000000020000000000000004"));
        assert!(holds(&before, &before));
        assert!(holds(&before, &archive(&["00000002.history"], Some("000000020000000100000000"))));
        // expire removes what is old
        assert!(holds(&before, &archive(&[], Some("000000020000000000000004"))));
        assert!(holds(&archive(&[], None), &archive(&[], Some("000000010000000000000001"))));
    }

    #[test]
    fn a_new_timeline_or_a_step_back_is_not() {
        let before = archive(&[], Some("000000010000000000000004"));
        assert!(!holds(&before, &archive(&["00000002.history"], Some("000000010000000000000004"))));
        assert!(!holds(&before, &archive(&[], Some("000000020000000000000004"))));
        assert!(!holds(&before, &archive(&[], Some("000000010000000000000003"))));
        assert!(!holds(&before, &archive(&[], None)));
    }

    #[test]
    fn a_changed_cluster_is_seen() {
        let cluster =
            |system_identifier, timeline| Cluster { system_identifier, timeline, tablespaces: BTreeMap::new() };
        let holds = |before: Option<&Cluster>, now: Option<&Cluster>| {
            let mut report = CheckReport::default();
            compare_clusters(before, now, &mut report);
            report.holds()
        };
        let own = cluster(1, 1);
        assert!(holds(Some(&own), Some(&own)) && holds(None, None));
        for other in [cluster(2, 1), cluster(1, 2)] {
            assert!(!holds(Some(&own), Some(&other)));
        }
        assert!(!holds(Some(&own), None) && !holds(None, Some(&own)));
        let mut with = own.clone();
        with.tablespaces.insert(16400, "/srv/ts".to_owned());
        assert!(holds(Some(&own), Some(&with)) && !holds(Some(&with), Some(&own)));
    }
}
