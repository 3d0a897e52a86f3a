//! Where a recovery is to stop, worked out on the WAL that is there: an exact position, what it keeps and what it discards.

use crate::domain::inventory::{BackupSet, Repository, Stanza};
use crate::domain::lsn::Lsn;
use crate::domain::text::clean;
use crate::domain::wal::TimelineId;
use crate::domain::wal_marks::TransactionEnd;
use crate::engine::checks::{CheckError, CheckReport, Input, set_of, wrong};
use crate::engine::clock;
use crate::engine::ground;
use crate::engine::moments::{Moment, Moments, MomentsError};
use crate::engine::wal_source::{Cluster, WalSource, saved_in};
use crate::planning::selection::{self, Wish};
use crate::planning::target::RecoveryTarget;
use chrono::SecondsFormat;
use std::path::Path;

/// What PostgreSQL is told, and what a person is.
struct Goal {
    setting: &'static str,
    value: String,
    inclusive: bool,
    last_kept: Option<TransactionEnd>,
    first_discarded: Option<TransactionEnd>,
    /// What a person has to know of it.
    remark: Option<String>,
}

impl Goal {
    /// Right before the record that begins at `lsn`.
    fn before(moment: Moment) -> Goal {
        let remark = moment.clock_went_back.then(|| {
            "the server's clock was set back near this moment: PostgreSQL goes by the order in the WAL; look at the commits on both sides".to_owned()
        });
        let (last_kept, first_discarded) = (moment.last_kept, moment.first_discarded);
        let value = moment.lsn_exclusive.to_string();
        Goal { setting: LSN, value, inclusive: false, last_kept, first_discarded, remark }
    }

    /// Right behind the record that begins at `lsn`.
    fn behind(lsn: Lsn, last_kept: Option<TransactionEnd>, first_discarded: Option<TransactionEnd>) -> Goal {
        Goal { setting: LSN, value: lsn.to_string(), inclusive: true, last_kept, first_discarded, remark: None }
    }
}

const LSN: &str = "recovery_target_lsn";

/// Why the target can't be reached, and what works instead.
struct Refused {
    what: String,
    remedy: String,
}

impl From<MomentsError> for Refused {
    fn from(error: MomentsError) -> Refused {
        let remedy = match &error {
            MomentsError::AfterEnd { last, gap, .. } => {
                let last = last.as_ref().map(|end| format!("; the last transaction that can come back is {}", ended(end)));
                let last = last.unwrap_or_default();
                match gap {
                    None => format!("The nearest that works is -p target=latest{last}."),
                    Some(gap) => format!("Bring back what is missing ({gap}){last}."),
                }
            }
            MomentsError::BeforeSet { floor, .. } => {
                format!("The nearest that works with this set is -p target={floor}; an older set reaches further back.")
            }
            MomentsError::Outside { lsn, from, .. } if lsn < from => {
                format!("The nearest that works with this set is -p target={from}; an older set reaches further back.")
            }
            MomentsError::Outside { gap: None, .. } => "The nearest that works is -p target=latest.".to_owned(),
            MomentsError::NotFound { .. } => {
                "Look for its number, or give the time or the LSN instead; the nearest that works without is -p target=latest."
                    .to_owned()
            }
            _ => "Choose a target inside of what there is; `lifeboat inventory` lists the sets.".to_owned(),
        };
        Refused { what: error.to_string(), remedy }
    }
}

/// Works out the target: what a person chose last at a decision (`decided.target`), else the one of the plan. A moved target
/// has its set chosen anew, since the plan's may have ended after it.
pub(super) fn recovery_goal(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let timeline = TimelineId(input.parsed("timeline")?);
    let safety = input.path("safety")?;
    let moved = input.with.contains_key("decided.target");
    let target = target(input, moved)?;
    let mut report = CheckReport::default();
    let stanza = input.stanza(None, None)?;
    let (key, label) = if moved {
        match chosen(input, &stanza, &target, timeline) {
            Ok(chosen) => chosen,
            Err(refusal) => {
                report.bad(refusal.to_string(), "Choose another target.");
                return Ok(report);
            }
        }
    } else {
        (input.repository_key()?, input.label()?)
    };
    let (repository, set) = set_of(&stanza, key, label)?;
    match worked_out(input, &stanza, (repository, set), &target, timeline, safety) {
        Ok(goal) => told(&goal, &target, timeline, (repository, set), &mut report),
        Err(refused) => report.bad(refused.what, refused.remedy),
    }
    Ok(report)
}

fn target(input: &Input<'_>, moved: bool) -> Result<RecoveryTarget, CheckError> {
    let (target, exclusive) = if moved { ("decided.target", "decided.exclusive") } else { ("target", "exclusive") };
    let (text, exclusive) = (input.text(target)?, input.text(exclusive)? == "true");
    let read = |exclusive| RecoveryTarget::parse(text, exclusive, clock::now().to_utc(), &chrono::Local);
    // what has no before has no exclusive either
    let found = if exclusive { read(true).or_else(|_| read(false)) } else { read(false) };
    found.map_err(|error| wrong("target", text, &error.to_string()))
}

type SetPlace = (crate::domain::inventory::RepositoryKey, crate::domain::label::BackupLabel);

fn chosen(
    input: &Input<'_>,
    stanza: &Stanza,
    target: &RecoveryTarget,
    timeline: TimelineId,
) -> Result<SetPlace, selection::Refusal> {
    let mut wish = Wish::new(target.clone());
    wish.timeline = Some(timeline);
    wish.production_timeline = Some(timeline);
    let histories = ground::histories(&input.around.pgbackrest, stanza);
    let choice = selection::choose(stanza, &wish, &histories)?;
    Ok((choice.repository, choice.set))
}

fn worked_out(
    input: &Input<'_>,
    stanza: &Stanza,
    (repository, set): (&Repository, &BackupSet),
    target: &RecoveryTarget,
    timeline: TimelineId,
    safety: &Path,
) -> Result<Goal, Refused> {
    let refused = |what: String, remedy: &str| Refused { what, remedy: remedy.to_owned() };
    let Some(lsn) = set.lsn() else {
        return Err(refused(
            format!(
                "the set {} was made without a server (or before pgBackRest 2.38): where its WAL ends is not known",
                set.label()
            ),
            "Choose a set that was made online, with -p set=…",
        ));
    };
    let cluster = Cluster::of_set(repository, set).ok_or_else(|| {
        refused("the repository does not say whose WAL it holds".to_owned(), "Look at its archive.info.")
    })?;
    let around = input.around;
    let source = WalSource::open(&around.pgbackrest, stanza, cluster, &[saved_in(safety)])
        .map_err(|error| refused(error.to_string(), "Look at the repositories."))?;
    std::fs::create_dir_all(safety)
        .map_err(|error| refused(format!("{}: {error}", safety.display()), "Make room or rights there."))?;
    let mut moments = Moments::open(&source, &around.postgres, &around.environment, safety, timeline, lsn.stop)?;
    goal(&mut moments, target)
}

fn goal(moments: &mut Moments, target: &RecoveryTarget) -> Result<Goal, Refused> {
    let all = moments.range();
    match target {
        RecoveryTarget::Latest => latest(moments),
        RecoveryTarget::Immediate => {
            let moment = moments.neighbours(all.start)?;
            let (last_kept, first_discarded) = (moment.last_kept, moment.first_discarded);
            let value = "immediate".to_owned();
            Ok(Goal { setting: "recovery_target", value, inclusive: true, last_kept, first_discarded, remark: None })
        }
        RecoveryTarget::Time { at, exclusive } => Ok(Goal::before(moments.resolve_time(*at, !exclusive)?)),
        RecoveryTarget::Lsn { lsn, exclusive } => {
            let last = moments.last_record()?;
            if last.start < *lsn {
                let start = last.start;
                let what = format!(
                    "{lsn} lies behind the last record there is, which begins at {start}: recovery would not stop there"
                );
                // With more behind a gap the end is none of the archive's own.
                return Err(match last.gap {
                    None => {
                        Refused { what, remedy: format!("The latest that works is -p target=latest, or lsn:{start}.") }
                    }
                    Some(gap) => Refused {
                        what: format!("{what}; {gap}"),
                        remedy: format!(
                            "Bring back what is missing, or take lsn:{start} (with exclusive=false), the last before the gap."
                        ),
                    },
                });
            }
            let moment = moments.neighbours(*lsn)?;
            if *exclusive {
                Ok(Goal::before(moment))
            } else {
                Ok(Goal::behind(*lsn, moment.last_kept, moment.first_discarded))
            }
        }
        RecoveryTarget::Xid { xid, exclusive } => transaction(moments, *xid, *exclusive),
        RecoveryTarget::Name { name } => {
            let point = moments.find_restore_point(name, all)?;
            let moment = moments.neighbours(point.end)?;
            Ok(Goal::behind(point.start, moment.last_kept, moment.first_discarded))
        }
    }
}

/// Everything there is. A gap with WAL behind it is no end: PostgreSQL would take it for one without a word.
fn latest(moments: &mut Moments) -> Result<Goal, Refused> {
    let last = moments.last_record()?;
    if let Some(gap) = last.gap {
        return Err(Refused {
            what: format!("WAL is missing: {gap}; there is more behind it, which can't be reached"),
            remedy: format!("The last that can be reached is lsn:{} (give it with exclusive=false).", last.start),
        });
    }
    Ok(Goal::behind(last.start, last.last_commit, None))
}

/// Before a transaction: before its first record where nobody else commits in between, since then none of its locks is held
/// at the pause; else before its end.
fn transaction(moments: &mut Moments, xid: u32, exclusive: bool) -> Result<Goal, Refused> {
    let all = moments.range();
    let end = moments.find_xid(xid, all.clone())?;
    if !exclusive {
        return Ok(Goal::before(moments.neighbours(end.end)?));
    }
    let at_end = moments.neighbours(end.start)?;
    if let Ok(first) = moments.first_record_of(xid, all.start..end.start)
        && let Ok(at_first) = moments.neighbours(first)
        && at_first.last_kept == at_end.last_kept
    {
        return Ok(Goal::before(at_first));
    }
    let mut goal = Goal::before(at_end);
    goal.remark.get_or_insert_with(|| {
        format!("others committed while transaction {xid} was open: it is open at the pause as well, and what it changed stays locked until promotion")
    });
    Ok(goal)
}

fn told(
    goal: &Goal,
    target: &RecoveryTarget,
    timeline: TimelineId,
    (repository, set): (&Repository, &BackupSet),
    report: &mut CheckReport,
) {
    let side = if goal.inclusive { "right behind" } else { "right before" };
    let exact = match goal.setting {
        LSN => format!("{side} the record at {}", goal.value),
        _ => "as soon as it is consistent".to_owned(),
    };
    let shown = format!("{target}: {exact}");
    let kept = goal.last_kept.as_ref().map_or_else(
        || "no commit after the backup set's end".to_owned(),
        |end| format!("{}, the last that is kept", commit(end)),
    );
    let discarded = goal
        .first_discarded
        .as_ref()
        .map_or_else(|| "nothing that is known".to_owned(), |end| format!("{}, the first that is lost", commit(end)));
    report.good(format!("{shown}; keeps {kept}; discards {discarded}"));
    if let Some(remark) = &goal.remark {
        report.good(remark);
    }
    report.put("setting", goal.setting);
    report.put("value", &goal.value);
    report.put("inclusive", if goal.inclusive { "on" } else { "off" });
    report.put("shown", goal.remark.as_ref().map_or_else(|| shown.clone(), |remark| format!("{shown} ({remark})")));
    report.put("set", set.label());
    report.put("repository", repository.key.0);
    report.put("timeline", timeline);
    report.put("set-stop", set.stop().to_rfc3339_opts(SecondsFormat::Secs, true));
    // Their labels say which commit each is.
    let bare = |end: &Option<TransactionEnd>, none: &str| clean(&end.as_ref().map_or_else(|| none.to_owned(), at));
    report.put("last-kept", bare(&goal.last_kept, &kept));
    report.put("first-discarded", bare(&goal.first_discarded, &discarded));
}

fn ended(end: &TransactionEnd) -> String {
    format!("{}, ended at {}", end.xid, end.time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

fn commit(end: &TransactionEnd) -> String {
    format!("commit of {}", at(end))
}

fn at(end: &TransactionEnd) -> String {
    format!("{} (xid {}, at {})", end.time.to_rfc3339_opts(SecondsFormat::Micros, true), end.xid, end.start)
}
