//! Where a recovery is to stop, worked out on the WAL that is there: an exact position, what it keeps and what it discards.

use crate::domain::inventory::{BackupSet, Repository, RepositoryKey, Stanza};
use crate::domain::lsn::Lsn;
use crate::domain::text::clean;
use crate::domain::wal::{TimelineId, WalSegment};
use crate::domain::wal_marks::{LockedRelation, TransactionEnd};
use crate::engine::checks::fork::Fork;
use crate::engine::checks::{CheckError, CheckReport, Input, set_of, wrong};
use crate::engine::clock;
use crate::engine::ground;
use crate::engine::moments::{Moment, Moments, MomentsError};
use crate::engine::placed::{self, WalAtHand};
use crate::engine::wal_source::{Cluster, WalSource, saved_in};
use crate::planning::selection::{self, Wish};
use crate::planning::target::RecoveryTarget;
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeSet;
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
    /// WAL that not every repository has, in words.
    elsewhere: Vec<String>,
}

impl Goal {
    /// Right before the record that begins at `lsn`.
    fn before(moment: Moment) -> Goal {
        let remark = moment.clock_went_back.then(|| {
            "the server's clock was set back near this moment: PostgreSQL goes by the order in the WAL; look at the commits on both sides".to_owned()
        });
        let (last_kept, first_discarded) = (moment.last_kept, moment.first_discarded);
        let value = moment.lsn_exclusive.to_string();
        let elsewhere = Vec::new();
        Goal { setting: LSN, value, inclusive: false, last_kept, first_discarded, remark, elsewhere }
    }

    /// With a transaction that is open there and keeps these relations locked.
    fn locking(mut self, xid: u32, locked: &BTreeSet<LockedRelation>) -> Goal {
        if locked.is_empty() {
            return self;
        }
        let each = locked.iter().take(5).map(|lock| format!("OID {} in database {}", lock.relation, lock.database));
        let more = locked.len().checked_sub(5).filter(|more| *more > 0).map(|more| format!(" and {more} more"));
        let said = format!(
            "others committed while transaction {xid} was open: it is open at the pause as well, and what it locked stays locked until promotion, even for reading: {}{}",
            each.collect::<Vec<_>>().join(", "),
            more.unwrap_or_default()
        );
        self.remark = Some(self.remark.map_or(said.clone(), |remark| format!("{remark}; {said}")));
        self
    }

    /// Right behind the record that begins at `lsn`.
    fn behind(lsn: Lsn, last_kept: Option<TransactionEnd>, first_discarded: Option<TransactionEnd>) -> Goal {
        let (remark, elsewhere) = (None, Vec::new());
        Goal { setting: LSN, value: lsn.to_string(), inclusive: true, last_kept, first_discarded, remark, elsewhere }
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
    std::fs::create_dir_all(safety).map_err(|source| CheckError::Io { path: safety.to_owned(), source })?;
    let (key, label) = if moved {
        match chosen(input, &stanza, &target, timeline, safety) {
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
    let fork = Fork::given(input, timeline)?;
    let goal = worked_out(input, &stanza, (repository, set), &target, timeline, safety).and_then(|goal| {
        let stop = (goal.value.as_str(), goal.inclusive);
        match fork.and_then(|fork| fork.refuses(&target, stop, goal.last_kept.as_ref())) {
            Some((what, remedy)) => Err(Refused { what, remedy }),
            None => Ok(goal),
        }
    });
    match goal {
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
    safety: &Path,
) -> Result<SetPlace, selection::Refusal> {
    let mut wish = Wish::new(target.clone());
    wish.timeline = Some(timeline);
    wish.production_timeline = Some(timeline);
    let histories = ground::histories(&input.around.pgbackrest, stanza);
    let around = input.around;
    let at_hand = WalAtHand {
        pgbackrest: &around.pgbackrest,
        postgres: &around.postgres,
        environment: &around.environment,
        directories: &[saved_in(safety)],
        below: safety,
    };
    let choice = placed::choose(stanza, &wish, &histories, &at_hand)?;
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
    let mut moments = Moments::open(&source, &around.postgres, &around.environment, safety, timeline, lsn.stop)?;
    let mut goal = goal(&mut moments, target)?;
    goal.elsewhere = elsewhere(&source, stanza, timeline, lsn.stop, Lsn::parse(&goal.value).unwrap_or(lsn.stop));
    Ok(goal)
}

/// What of the WAL up to the target is not in every repository: a gap in one of them does no harm while another has it.
fn elsewhere(source: &WalSource, stanza: &Stanza, timeline: TimelineId, from: Lsn, to: Lsn) -> Vec<String> {
    let Ok(way) = source.way(timeline, from) else { return Vec::new() };
    let last = way.road.place_of(to);
    let needed: Vec<WalSegment> = way
        .segments
        .into_iter()
        .filter(|segment| way.road.place(*segment).is_some_and(|place| place <= last))
        .collect();
    let keys = |segment: &WalSegment| -> Vec<RepositoryKey> {
        let copies = source.catalog().segments.get(segment);
        copies.into_iter().flatten().map(|copy| copy.repository).collect()
    };
    let some = |found: &[WalSegment]| match found {
        [only] => only.to_string(),
        [first, .., last] => format!("{} segments between {first} and {last}", found.len()),
        [] => String::new(),
    };
    let mut said = Vec::new();
    for repository in stanza.repositories.iter().filter(|repository| repository.was_read()) {
        let lacks = |segment: &&WalSegment| {
            let keys = keys(segment);
            !keys.is_empty() && !keys.contains(&repository.key)
        };
        let lacking: Vec<WalSegment> = needed.iter().filter(lacks).copied().collect();
        if !lacking.is_empty() {
            let name = repository.key.name();
            said.push(format!("{name} lacks WAL on the way, {}: it is taken from another repository", some(&lacking)));
        }
    }
    let saved: Vec<WalSegment> = needed.iter().filter(|segment| keys(segment).is_empty()).copied().collect();
    if !saved.is_empty() {
        said.push(format!("no repository has {}: it is taken from what was saved", some(&saved)));
    }
    said
}

fn goal(moments: &mut Moments, target: &RecoveryTarget) -> Result<Goal, Refused> {
    let all = moments.range();
    match target {
        RecoveryTarget::Latest => latest(moments),
        RecoveryTarget::Immediate => {
            let moment = moments.neighbours(all.start)?;
            let (last_kept, first_discarded) = (moment.last_kept, moment.first_discarded);
            let value = "immediate".to_owned();
            let goal = Goal::behind(all.start, last_kept, first_discarded);
            Ok(Goal { setting: "recovery_target", value, ..goal })
        }
        RecoveryTarget::Time { at, exclusive } => time(moments, *at, !exclusive),
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

/// Between the last commit that a time keeps and the first that it discards: before that one's first record where nobody
/// else commits in between, since then none of its locks is held at the pause; else where PostgreSQL would stop.
fn time(moments: &mut Moments, at: DateTime<Utc>, inclusive: bool) -> Result<Goal, Refused> {
    let moment = moments.resolve_time(at, inclusive)?;
    let Some(first) = moment.first_discarded else { return Ok(Goal::before(moment)) };
    let before = moments.before_transaction(&first)?;
    if !before.is_open && before.moment.lsn_exclusive < moment.lsn_exclusive {
        return Ok(Goal::before(Moment { clock_went_back: moment.clock_went_back, ..before.moment }));
    }
    Ok(Goal::before(moment).locking(first.xid, &before.locked))
}

/// Before a transaction: before its first record where nobody else commits in between, else before its end.
fn transaction(moments: &mut Moments, xid: u32, exclusive: bool) -> Result<Goal, Refused> {
    let end = moments.find_xid(xid, moments.range())?;
    if !exclusive {
        return Ok(Goal::before(moments.neighbours(end.end)?));
    }
    let before = moments.before_transaction(&end)?;
    let mut goal = Goal::before(before.moment).locking(xid, &before.locked);
    if before.is_open {
        goal.remark.get_or_insert_with(|| {
            format!("others committed while transaction {xid} was open: it is open at the pause as well, and rows it changed are as they were before it")
        });
    }
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
    goal.elsewhere.iter().for_each(|said| report.good(said));
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
