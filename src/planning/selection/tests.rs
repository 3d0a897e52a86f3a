#![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]

use super::*;
use crate::domain::info;
use crate::domain::inventory::Inventory;
use crate::domain::lsn::Lsn;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

const F1: &str = "20261120-020000F";
const F1_I: &str = "20261120-020000F_20261121-020000I";
const F2: &str = "20261122-020000F";

fn time(text: &str) -> DateTime<Utc> {
    format!("2026-11-{text}Z").parse().unwrap()
}

fn to_time(text: &str) -> Wish {
    Wish::new(RecoveryTarget::Time { at: time(text), exclusive: false })
}

fn to_lsn(text: &str) -> Wish {
    Wish::new(RecoveryTarget::Lsn { lsn: Lsn::parse(text).unwrap(), exclusive: true })
}

/// A set that stopped at a day and time of that November, on a timeline, with its last LSN's lower half.
fn set(repository: u32, label: &str, stop: &str, timeline: u32, lsn: u32) -> Value {
    let prior = label.contains('_').then(|| label[..16].to_owned());
    let kind = if prior.is_some() { "incr" } else { "full" };
    let segment = format!("{timeline:08X}00000000{:08X}", lsn >> 24);
    let stop = time(stop).timestamp();
    json!({
        "label": label, "type": kind, "prior": prior, "reference": prior.map(|prior| [prior]),
        "archive": {"start": segment, "stop": segment},
        "lsn": {"start": format!("0/{:X}", lsn - 1), "stop": format!("0/{lsn:X}")},
        "timestamp": {"start": stop - 5, "stop": stop},
        "database": {"id": 1, "repo-key": repository},
        "backrest": {"format": 5, "version": "2.45"},
        "info": {"size": 100, "delta": 100, "repository": {"size": 10, "delta": 10}},
        "error": false,
    })
}

fn with(mut set: Value, path: &str, value: Value) -> Value {
    *set.pointer_mut(path).unwrap() = value;
    set
}

/// One stanza; each repository has database 1 (system 7001) and the given status.
fn stanza_with(repositories: &[(u32, i64, &str)], databases: Value, sets: Vec<Value>) -> Stanza {
    let listed: Vec<Value> = repositories
        .iter()
        .map(|(key, code, message)| json!({"key": key, "cipher": "none", "status": {"code": code, "message": message}}))
        .collect();
    let document = json!([{
        "name": "main", "cipher": "none", "repo": listed, "db": databases, "archive": [], "backup": sets,
        "status": {"code": 0, "message": "ok", "lock": {"backup": {"held": false}}},
    }]);
    let decoded = info::decode(document.to_string().as_bytes()).unwrap();
    let inventory = Inventory::from_info(decoded, time("23T00:00:00"), "2.45");
    inventory.stanza("main").unwrap().clone()
}

fn database(repository: u32, id: u32, system: u64, version: &str) -> Value {
    json!({"id": id, "repo-key": repository, "system-id": system, "version": version})
}

fn stanza(sets: Vec<Value>) -> Stanza {
    let databases = json!([database(1, 1, 7001, "15"), database(2, 1, 7001, "15")]);
    stanza_with(&[(1, 0, "ok"), (2, 0, "ok")], databases, sets)
}

/// Three sets in repo1, and a later full set in repo2.
fn usual() -> Stanza {
    stanza(vec![
        set(1, F1, "20T02:05:00", 1, 0x0300_0100),
        set(1, F1_I, "21T02:01:00", 1, 0x0500_0100),
        set(2, F2, "22T02:06:00", 1, 0x0800_0100),
    ])
}

fn taken(stanza: &Stanza, wish: &Wish) -> (u32, String) {
    let choice = choose(stanza, wish, &Histories::new()).unwrap();
    (choice.repository.0, choice.set.to_string())
}

fn refusal(stanza: &Stanza, wish: &Wish) -> String {
    choose(stanza, wish, &Histories::new()).unwrap_err().to_string()
}

fn own(stanza: &Stanza, wish: &Wish) -> Option<(u32, String)> {
    pgbackrest_choice(stanza, wish.repository, &wish.target).map(|place| (place.repository.0, place.set.to_string()))
}

#[test]
fn the_set_that_replays_least_and_where_pgbackrest_differs() {
    let stanza = usual();
    // (wish, ours, pgBackRest's)
    type Taken = (u32, &'static str);
    let cases: [(Wish, Taken, Option<Taken>); 8] = [
        // pgBackRest stops at the first repository that has any: a day more to replay.
        (to_time("22T03:00:00"), (2, F2), Some((1, F1_I))),
        (to_time("21T12:00:00"), (1, F1_I), Some((1, F1_I))),
        // The second in which a set stopped doesn't do; the next one does.
        (to_time("21T02:01:00.999999"), (1, F1), Some((1, F1))),
        (to_time("21T02:01:01"), (1, F1_I), Some((1, F1_I))),
        (to_lsn("0/5000100"), (1, F1_I), Some((1, F1_I))),
        (to_lsn("0/50000FF"), (1, F1), Some((1, F1))),
        (to_lsn("0/9000000"), (2, F2), Some((1, F1_I))),
        (Wish::new(RecoveryTarget::Latest), (2, F2), Some((1, F1_I))),
    ];
    for (wish, ours, theirs) in cases {
        assert_eq!(taken(&stanza, &wish), (ours.0, ours.1.to_owned()), "{wish:?}");
        assert_eq!(own(&stanza, &wish), theirs.map(|(key, label)| (key, label.to_owned())), "{wish:?}");
    }
    let choice = choose(&stanza, &to_time("22T03:00:00"), &Histories::new()).unwrap();
    assert!(choice.reason.contains("of 3 sets") && choice.reason.contains("3240 s before the target"), "{choice:?}");
    let others: Vec<String> = choice.alternatives.iter().map(Place::to_string).collect();
    assert_eq!(others, [format!("{F1_I} in repo1"), format!("{F1} in repo1")]);
    assert_eq!(choice.pgbackrest.unwrap().to_string(), format!("{F1_I} in repo1"));
    assert_eq!(choice.timeline, TimelineId(1));
}

#[test]
fn the_same_set_in_two_repositories_is_taken_from_the_lower_key() {
    let stanza = stanza(vec![set(2, F1, "20T02:05:00", 1, 0x0300_0100), set(1, F1, "20T02:05:00", 1, 0x0300_0100)]);
    assert_eq!(taken(&stanza, &Wish::new(RecoveryTarget::Latest)).0, 1);
    let only = Wish { repository: Some(RepositoryKey(2)), ..Wish::new(RecoveryTarget::Latest) };
    assert_eq!(taken(&stanza, &only).0, 2);
}

/// Labels are local time: after a change of the zone the label that sorts last may be the older set.
#[test]
fn the_stop_decides_and_not_the_label() {
    let stanza = stanza(vec![
        set(1, "20261121-160000F", "21T07:00:00", 1, 0x0300_0100),
        set(1, "20261121-090000F", "21T09:00:00", 1, 0x0500_0100),
    ]);
    let wish = to_time("21T12:00:00");
    assert_eq!(taken(&stanza, &wish), (1, "20261121-090000F".to_owned()));
    assert_eq!(own(&stanza, &wish), Some((1, "20261121-160000F".to_owned())));
}

#[test]
fn before_the_first_set_the_earliest_moment_is_named() {
    let said = refusal(&usual(), &to_time("20T02:05:00"));
    assert!(said.contains("no backup set can be recovered to time 2026-11-20 02:05:00.000000+00"), "{said}");
    assert!(said.contains(&format!("2026-11-20 02:05:01+00 and later, from {F1} in repo1")), "{said}");
    assert_eq!(own(&usual(), &to_time("20T02:05:00")), None);
    let said = refusal(&usual(), &to_lsn("0/3000000"));
    assert!(said.contains(&format!("0/3000100 and later, from {F1} in repo1")), "{said}");
}

#[test]
fn a_named_set_must_have_ended_before_the_target() {
    let stanza = usual();
    let named = |label: &str, wish: Wish| Wish { set: Some(label.parse().unwrap()), ..wish };
    assert_eq!(taken(&stanza, &named(F1, to_time("22T03:00:00"))), (1, F1.to_owned()));
    let said = refusal(&stanza, &named(F2, to_time("22T02:05:59")));
    assert!(said.contains("ended at 2026-11-22 02:06:00+00, not before the target"), "{said}");
    assert!(said.contains(&format!("nearest that works: {F1_I} in repo1, to the same target")), "{said}");
    let absent = named("20261101-000000F", to_time("22T03:00:00"));
    let said = refusal(&stanza, &absent);
    assert!(said.contains("no set 20261101-000000F in repo1, repo2; the newest is"), "{said}");
    let elsewhere = Wish { repository: Some(RepositoryKey(1)), ..named(F2, to_time("22T03:00:00")) };
    assert!(refusal(&stanza, &elsewhere).contains(&format!("there is {F2} in repo2")));
}

#[test]
fn a_set_with_page_errors_is_only_taken_by_name() {
    let bad = |label: &str, stop: &str, lsn| with(set(1, label, stop, 1, lsn), "/error", json!(true));
    let latest = Wish::new(RecoveryTarget::Latest);
    let one = stanza(vec![set(1, F1, "20T02:05:00", 1, 0x0300_0100), bad(F2, "22T02:06:00", 0x0800_0100)]);
    assert_eq!(taken(&one, &latest), (1, F1.to_owned()));
    assert_eq!(own(&one, &latest), Some((1, F2.to_owned())));
    // It takes its files from the full set before it, errors and all.
    let below = stanza(vec![bad(F1, "20T02:05:00", 0x0300_0100), set(1, F1_I, "21T02:01:00", 1, 0x0500_0100)]);
    let said = refusal(&below, &latest);
    assert!(
        said.contains(&format!("{F1_I} in repo1, if it is named: page checksum errors were found in {F1}")),
        "{said}"
    );
    let named = Wish { set: Some(F1_I.parse().unwrap()), ..latest };
    let choice = choose(&below, &named, &Histories::new()).unwrap();
    assert!(choice.warnings[0].contains("page checksum errors"), "{choice:?}");
}

#[test]
fn a_broken_chain_and_an_offline_set_are_passed_over() {
    let stanza = stanza(vec![
        set(1, F1, "19T02:05:00", 1, 0x0300_0100),
        set(1, "20261121-000000F_20261121-020000I", "21T02:01:00", 1, 0x0500_0100),
        with(set(1, F2, "22T02:06:00", 1, 0x0800_0100), "/archive", json!({"start": null, "stop": null})),
    ]);
    let latest = Wish::new(RecoveryTarget::Latest);
    assert_eq!(taken(&stanza, &latest), (1, F1.to_owned()));
    let broken = Wish { set: Some("20261121-000000F_20261121-020000I".parse().unwrap()), ..latest.clone() };
    assert!(refusal(&stanza, &broken).contains("builds upon 20261121-000000F, which is not there"));
    let offline = Wish { set: Some(F2.parse().unwrap()), ..latest };
    assert!(refusal(&stanza, &offline).contains("taken offline"));
}

#[test]
fn after_an_upgrade_only_the_current_database_counts() {
    let databases = json!([database(1, 1, 7001, "14"), database(1, 2, 7002, "15")]);
    let old = set(1, F1, "20T02:05:00", 1, 0x0300_0100);
    let new = with(set(1, F2, "22T02:06:00", 1, 0x0100_0100), "/database/id", json!(2));
    let both = stanza_with(&[(1, 0, "ok")], databases.clone(), vec![old.clone(), new]);
    let before = to_time("21T00:00:00");
    let said = refusal(&both, &before);
    assert!(
        said.contains("another database (PostgreSQL 14)") && said.contains("2026-11-22 02:06:01+00 and later"),
        "{said}"
    );
    assert_eq!(own(&both, &before), Some((1, F1.to_owned())), "pgBackRest takes any database for a time");
    let named = Wish { set: Some(F1.parse().unwrap()), production_timeline: Some(TimelineId(9)), ..before };
    let choice = choose(&both, &named, &Histories::new()).unwrap();
    assert!(choice.warnings[0].contains("PostgreSQL 14"), "{choice:?}");
    assert_eq!(choice.timeline, TimelineId(1), "production's timeline is another cluster's");
    // Upgraded, and no backup since: the status says ok.
    let none = stanza_with(&[(1, 0, "ok")], databases, vec![old]);
    assert_eq!(own(&none, &Wish::new(RecoveryTarget::Latest)), None);
    assert!(refusal(&none, &Wish::new(RecoveryTarget::Latest)).contains("not of the current one"));
}

#[test]
fn production_says_which_cluster_is_meant() {
    let databases = json!([database(1, 1, 7001, "15"), database(2, 1, 7002, "15")]);
    let sets = vec![set(1, F1, "20T02:05:00", 1, 0x0300_0100), set(2, F2, "22T02:06:00", 1, 0x0100_0100)];
    let stanza = stanza_with(&[(1, 0, "ok"), (2, 0, "ok")], databases, sets);
    let latest = Wish::new(RecoveryTarget::Latest);
    assert!(refusal(&stanza, &latest).contains("repo1 and repo2 hold different database clusters"));
    let of = |system| Wish { production_system: Some(SystemId(system)), ..latest.clone() };
    assert_eq!(taken(&stanza, &of(7001)), (1, F1.to_owned()));
    assert_eq!(taken(&stanza, &of(7002)), (2, F2.to_owned()));
    assert!(refusal(&stanza, &of(7003)).contains("identifier 7003"));
}

#[test]
fn a_repository_that_cannot_be_read_is_not_one_without_backups() {
    let databases = json!([database(2, 1, 7001, "15")]);
    let sets = vec![set(2, F2, "22T02:06:00", 1, 0x0800_0100)];
    let stanza = stanza_with(&[(1, 99, "[FileOpenError] unable to open"), (2, 0, "ok")], databases, sets);
    let latest = Wish::new(RecoveryTarget::Latest);
    assert_eq!(taken(&stanza, &latest), (2, F2.to_owned()));
    assert_eq!(own(&stanza, &latest), Some((2, F2.to_owned())));
    let said = refusal(&stanza, &Wish { repository: Some(RepositoryKey(1)), ..latest.clone() });
    assert!(said.contains("sets may be there nevertheless") && said.contains("repo1: [FileOpenError]"), "{said}");
    let said = refusal(&stanza, &Wish { repository: Some(RepositoryKey(3)), ..latest.clone() });
    assert!(said.contains("has no repo3; configured: repo1, repo2"), "{said}");
    let absent = Wish { set: Some(F1.parse().unwrap()), ..latest };
    assert!(refusal(&stanza, &absent).contains("repo1 could not be read"));
}

#[test]
fn no_sets_is_said_as_that() {
    let empty = stanza_with(&[(1, 2, "no valid backups")], json!([database(1, 1, 7001, "15")]), vec![]);
    assert!(refusal(&empty, &Wish::new(RecoveryTarget::Latest)).contains("has no backup set in repo1"));
}

#[test]
fn transactions_and_names_are_never_chosen_blindly() {
    for target in [RecoveryTarget::Xid { xid: 743, exclusive: true }, RecoveryTarget::Name { name: "release".into() }] {
        let wish = Wish::new(target);
        let said = refusal(&usual(), &wish);
        assert!(said.contains("name a set that ended before it"), "{said}");
        assert!(said.contains(&format!("{F2} in repo2, ended 2026-11-22 02:06:00+00\n  {F1_I}")), "{said}");
        assert_eq!(own(&usual(), &wish), Some((1, F1_I.to_owned())));
        let named = Wish { set: Some(F1.parse().unwrap()), ..wish.clone() };
        let choice = choose(&usual(), &named, &Histories::new()).unwrap();
        assert!(choice.warnings[0].contains("nothing in the inventory says"), "{choice:?}");
        // Where there is one set only there is nothing to choose.
        let single = stanza(vec![set(1, F1, "20T02:05:00", 1, 0x0300_0100)]);
        assert_eq!(taken(&single, &wish), (1, F1.to_owned()));
    }
}

#[test]
fn an_unknown_position_is_not_guessed() {
    let mut old = set(1, F2, "22T02:06:00", 1, 0x0800_0100);
    old.as_object_mut().unwrap().remove("lsn");
    let stanza = stanza(vec![set(1, F1, "20T02:05:00", 1, 0x0300_0100), old]);
    assert_eq!(taken(&stanza, &to_lsn("0/9000000")), (1, F1.to_owned()));
    // pgBackRest gives the repository up there.
    assert_eq!(own(&stanza, &to_lsn("0/9000000")), None);
    let named = Wish { set: Some(F2.parse().unwrap()), ..to_lsn("0/9000000") };
    assert!(refusal(&stanza, &named).contains("LSN is not known"));
}

/// Production was promoted to timeline 2 at 0/6000000, after F1_I and before F2.
#[test]
fn a_set_must_be_an_ancestor_of_the_timeline() {
    let stanza = stanza(vec![
        set(1, F1, "20T02:05:00", 1, 0x0300_0100),
        set(1, F1_I, "21T02:01:00", 1, 0x0700_0100),
        set(1, F2, "22T02:06:00", 2, 0x0800_0100),
    ]);
    let history = TimelineHistory::parse(TimelineId(2), "1\t0/6000000\tno recovery target specified\n").unwrap();
    let histories = Histories::from([(RepositoryKey(2), BTreeMap::from([(TimelineId(2), history)]))]);
    let on = |timeline, wish: Wish| Wish { production_timeline: Some(TimelineId(timeline)), ..wish };
    let chosen = |wish: &Wish| {
        choose(&stanza, wish, &histories)
            .map(|choice| (choice.set.to_string(), choice.timeline.0))
            .map_err(|error| error.to_string())
    };
    let latest = || Wish::new(RecoveryTarget::Latest);
    assert_eq!(chosen(&on(2, latest())), Ok((F2.to_owned(), 2)));
    // F1_I ended on timeline 1 after that was left: the one before it leads to timeline 2.
    assert_eq!(chosen(&on(2, to_time("22T00:00:00"))), Ok((F1.to_owned(), 2)));
    assert_eq!(chosen(&on(1, latest())), Ok((F1_I.to_owned(), 1)), "a set of timeline 2 can't go back to 1");
    // Unknown: the set's own, never `latest`.
    assert_eq!(chosen(&to_time("22T00:00:00")), Ok((F1_I.to_owned(), 1)));
    let discarded = Wish { timeline: Some(TimelineId(1)), ..on(2, to_time("22T00:00:00")) };
    assert_eq!(chosen(&discarded), Ok((F1_I.to_owned(), 1)), "a wish goes before production's");
    let named = Wish { set: Some(F1_I.parse().unwrap()), ..on(2, to_time("22T00:00:00")) };
    let said = chosen(&named).unwrap_err();
    assert!(said.contains("timeline 1, which does not lead to timeline 2") && said.contains(F1), "{said}");
    // `immediate` stays on the set's own timeline, and needs no history.
    assert_eq!(chosen(&Wish { target: RecoveryTarget::Immediate, ..named.clone() }), Ok((F1_I.to_owned(), 1)));
    let unknown = choose(&stanza, &named, &Histories::new()).unwrap_err().to_string();
    assert!(unknown.contains("without 00000002.history nobody can tell"), "{unknown}");
}

#[test]
fn a_position_behind_where_production_left_a_timeline_is_none_of_its_past() {
    let history = |timeline, text: &str| TimelineHistory::parse(TimelineId(timeline), text).unwrap();
    let files = BTreeMap::from([
        (TimelineId(2), history(2, "1\t0/5000100\tx\n")),
        // left behind by a drill: production never was on it
        (TimelineId(3), history(3, "1\t0/4000000\tx\n")),
    ]);
    let histories = Histories::from([(RepositoryKey(2), files)]);
    let on = |timeline, production, target: &str| {
        let wish = Wish { timeline: Some(TimelineId(timeline)), ..to_lsn(target) };
        lies_in_history(&Wish { production_timeline: Some(TimelineId(production)), ..wish }, &histories)
    };
    let said = on(1, 2, "0/5000101").unwrap_err().to_string();
    for word in ["timeline 1 behind 0/5000100", "-p target=0/5000100 -p timeline=1", "pitr-side-by-side"] {
        assert!(said.contains(word), "{said}");
    }
    for (timeline, production, target) in
        [(1, 2, "0/5000100"), (2, 2, "0/9000000"), (1, 1, "0/9000000"), (1, 4, "0/9000000")]
    {
        assert_eq!(on(timeline, production, target), Ok(()), "{timeline} {production} {target}");
    }
    // to its end it is the way back from a recovery
    let latest = Wish { timeline: Some(TimelineId(1)), ..Wish::new(RecoveryTarget::Latest) };
    assert_eq!(lies_in_history(&Wish { production_timeline: Some(TimelineId(2)), ..latest }, &histories), Ok(()));
}
