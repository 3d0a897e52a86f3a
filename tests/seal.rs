//! Binding and the seal: what was reviewed is what runs.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod known_facts;

use known_facts::known as facts;
use lifeboat::domain::facts::Threshold;
use lifeboat::domain::plan::{Argument, Piece, Plan, StepKind};
use lifeboat::planning::check::{VOCABULARY, lint};
use lifeboat::planning::plan::{BindError, KnownFacts, amend, bind, seal};
use lifeboat::planning::runbook::{parse, shipped};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn drill(given: &[(&str, &str)]) -> Plan {
    let runbook = lint(shipped("restore-drill").unwrap(), &VOCABULARY).unwrap();
    bind(&runbook, &map(given), &facts()).unwrap()
}

fn refused(text: &str, given: &[(&str, &str)], facts: &KnownFacts) -> Vec<BindError> {
    bind(&parse(text).unwrap(), &map(given), facts).unwrap_err()
}

/// A runbook with one step, its lines given, and a few parameters.
fn small(step: &str) -> String {
    format!(
        "[runbook]\nname = \"x\"\nversion = 1\ntitle = \"x\"\nabout = \"x\"\n\
         [parameters.free]\ntype = \"string\"\nabout = \"x\"\ndefault = \"\"\n\
         [parameters.maybe]\ntype = \"string\"\nabout = \"x\"\noptional = true\n\
         [parameters.bin]\ntype = \"string\"\nabout = \"x\"\ndefault = \"/bin\"\n\
         [[step]]\nid = \"a\"\ntitle = \"x\"\nwhy = \"x\"\nfailure = \"x\"\nrepeat = \"x\"\n{step}\n"
    )
}

#[test]
fn a_plan_reads_back_from_json_as_it_was() {
    let plan = drill(&[]);
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    assert_eq!(seal(&plan), plan.seal);
    assert_eq!(drill(&[]).seal, plan.seal, "same input, same seal");
    assert_ne!(drill(&[("depth", "start")]).seal, plan.seal);
}

#[test]
fn conditions_rule_steps_out_with_the_reason() {
    let plan = drill(&[("depth", "catalog"), ("keep", "true")]);
    let reason = |id: &str| plan.steps.iter().find(|step| step.id.as_str() == id).unwrap().ruled_out.clone();
    assert_eq!(reason("rows").as_deref(), Some("depth is catalog"));
    assert_eq!(reason("probe").as_deref(), Some("probe is not given"));
    assert_eq!(reason("remove").as_deref(), Some("keep is true"));
    assert_eq!(reason("catalog"), None);
}

#[test]
fn a_list_is_spliced_and_a_bound_value_is_only_text() {
    let mut known = facts();
    known.lists.insert("target-options".into(), vec!["--type=time".into(), "--target=${set} @{x} $$".into()]);
    let text = small("kind = \"command\"\nargv = [\"/bin/x\", \"@{target-options}\", \"${free}|${free}\", \"$$\"]");
    let plan = bind(&parse(&text).unwrap(), &map(&[("free", "${stanza} a b")]), &known).unwrap();
    let argv: Vec<String> =
        plan.steps[0].kind.command().unwrap().argv.iter().map(|argument| argument.resolved().unwrap()).collect();
    assert_eq!(argv, ["/bin/x", "--type=time", "--target=${set} @{x} $$", "${stanza} a b|${stanza} a b", "$"]);
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let command =
        |more: &str| small(&format!("kind = \"command\"\nargv = [\"/bin/x\", \"{more}\"]\ndestructive = true"));
    for (text, given, gist) in [
        (command("${free}"), vec![], "'free' is empty, and the destructive step 'a' uses it"),
        (command("--set=${free}"), vec![], "'free' is empty"),
        (command("${maybe}"), vec![], "needs parameter 'maybe', which has no value"),
        (command("${nowhere}"), vec![], "needs 'nowhere', which could not be read"),
        (command("@{nowhere}"), vec![], "needs 'nowhere'"),
        (command("@{target-options}"), vec![], "'target-options' is empty"),
        (command("x"), vec![("fre", "1")], "no parameter 'fre'; it has: bin, free, maybe"),
        (command("x"), vec![("free", "it's")], "parameter 'free' can't be 'it's'"),
        (small("kind = \"command\"\nargv = [\"${bin}/x\"]"), vec![("bin", "usr")], "'usr/x' has no absolute path"),
        (small("kind = \"gate\"\nanswer = \"${free}\""), vec![("free", " ")], "Enter must never approve"),
        (
            small("kind = \"sql\"\nsql = \"${free}\"\ndatabase = \"d\"\nsocket = \"/s\"\nport = \"1\"\nuser = \"u\""),
            vec![("free", "\\! id")],
            "begins with a backslash",
        ),
        (
            small("kind = \"sql\"\nsql = \"x\"\ndatabase = \"${free}\"\nsocket = \"/s\"\nport = \"1\"\nuser = \"u\""),
            vec![("free", "host=elsewhere")],
            "read as connection settings",
        ),
        (
            small("kind = \"sql\"\nsql = \"x\"\ndatabase = \"d\"\nsocket = \"${free}\"\nport = \"1\"\nuser = \"u\""),
            vec![("free", "elsewhere")],
            "its socket '${free}' is not an absolute path",
        ),
    ] {
        let mut known = facts();
        known.lists.insert("target-options".into(), vec!["--target=".into()]);
        let errors = refused(&text, &given, &known);
        assert!(errors.iter().any(|error| error.to_string().contains(gist)), "{gist}: {errors:?}");
    }
}

#[test]
fn a_fact_that_only_a_ruled_out_step_needs_is_not_missed() {
    let mut known = facts();
    let text = small(
        "kind = \"command\"\nargv = [\"/bin/x\", \"${maybe}\"]\nonly_if = { parameter = \"maybe\", given = true }",
    );
    known.texts.clear();
    let plan = bind(&parse(&text).unwrap(), &map(&[]), &known).unwrap();
    assert_eq!(plan.steps[0].ruled_out.as_deref(), Some("maybe is not given"));
}

#[test]
fn room_is_needed_until_something_lies_where_a_plan_restores_to() {
    let place = tempfile::tempdir().unwrap();
    let room = |plan: &Plan, bytes: Option<u64>| {
        let found = lifeboat::engine::facts::thresholds(plan, bytes);
        found.get("free-space").map(|room| (room.least, room.value > 1_000_000, room.unit.clone()))
    };
    for directory in [place.path().to_owned(), place.path().join("not/yet/there")] {
        let plan = drill(&[("directory", directory.to_str().unwrap())]);
        assert_eq!(room(&plan, Some(7_000)), Some((7_000, true, "bytes".to_owned())), "{}", directory.display());
        assert_eq!(room(&plan, None), Some((0, true, "bytes".to_owned())), "the set can't be read any more");
    }
    std::fs::write(place.path().join("PG_VERSION"), "15\n").unwrap();
    let plan = drill(&[("directory", place.path().to_str().unwrap())]);
    assert_eq!(room(&plan, Some(7_000)), Some((0, true, "bytes".to_owned())), "its room is taken already");
    let text = small("kind = \"note\"\ntext = \"x\"");
    let restores_nothing = bind(&parse(&text).unwrap(), &BTreeMap::new(), &facts()).unwrap();
    assert_eq!(room(&restores_nothing, Some(7_000)), None);
}

#[test]
fn thresholds_move_under_the_same_seal() {
    let plan = drill(&[]);
    let mut moved = plan.clone();
    moved.facts.thresholds.insert("free".into(), Threshold { value: 1, least: 2, unit: "segments".into() });
    assert_eq!(seal(&moved), plan.seal);
    moved.facts.thresholds.clear();
    assert_eq!(seal(&moved), plan.seal);
}

/// Changes one leaf of the plan's JSON, the `at`-th in order; `None` behind the last one.
fn with_leaf_changed(value: &mut Value, at: &mut usize, path: &mut String) -> bool {
    match value {
        Value::Object(entries) => entries.iter_mut().any(|(key, value)| {
            if path.is_empty() && key == "seal" || path.ends_with(".facts") && key == "thresholds" {
                return false;
            }
            let length = path.len();
            path.push_str(&format!(".{key}"));
            let found = with_leaf_changed(value, at, path);
            if !found {
                path.truncate(length);
            }
            found
        }),
        Value::Array(values) => values.iter_mut().any(|value| with_leaf_changed(value, at, path)),
        leaf => {
            if *at > 0 {
                *at -= 1;
                return false;
            }
            *leaf = match &*leaf {
                Value::Bool(flag) => Value::from(!flag),
                Value::Number(number) => Value::from(number.as_i64().unwrap() + 1),
                Value::String(text) => Value::from(changed(path, text)),
                other => other.clone(),
            };
            true
        }
    }
}

/// Another value that can still be read back into the plan's types.
fn changed(path: &str, text: &str) -> String {
    if path.ends_with("digest") {
        return text.chars().rev().collect::<String>().replace('0', "1");
    }
    if path.ends_with(".when") {
        return if text == "always" { "success" } else { "always" }.into();
    }
    if path.ends_with(".until") {
        return if text == "promoted" { "consistent" } else { "promoted" }.into();
    }
    if path.ends_with(".from") {
        return (if text == "whole" { "answer" } else { "whole" }).into();
    }
    format!("{text}x")
}

/// `kind` can't be changed alone.
fn is_fixed(path: &str, before: &Value, after: &Value) -> bool {
    path.ends_with(".kind") || before == after
}

#[test]
fn any_change_of_any_field_changes_the_seal() {
    let plan = drill(&[("depth", "checksums"), ("probe", "SELECT 1")]);
    let whole = serde_json::to_value(&plan).unwrap();
    let mut tried = 0;
    for leaf in 0.. {
        let (mut value, mut path) = (whole.clone(), String::new());
        if !with_leaf_changed(&mut value, &mut { leaf }, &mut path) {
            break;
        }
        if is_fixed(&path, &whole, &value) {
            continue;
        }
        let other: Plan = serde_json::from_value(value).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_ne!(seal(&other), plan.seal, "{path}");
        tried += 1;
    }
    assert!(tried > 400, "only {tried} fields were tried");
}

#[test]
fn steps_in_another_order_have_another_seal() {
    let plan = drill(&[]);
    for position in 1..plan.steps.len() {
        let mut other = plan.clone();
        other.steps.swap(position - 1, position);
        assert_ne!(seal(&other), plan.seal);
    }
}

#[test]
fn nothing_is_amended_when_no_step_waits() {
    let plan = drill(&[]);
    assert_eq!(amend(&plan, &map(&[("control.state", "in production"), ("elsewhere.x", "1")])), None);
    assert_eq!(amend(&plan, &map(&[])), None);
    let latest_only = drill(&[("target-type", "immediate")]);
    assert_eq!(amend(&latest_only, &map(&[("result.replayed_lsn", "0/4")])), None, "only a ruled-out step waits");
    assert!(amend(&plan, &map(&[("result.replayed_lsn", "0/4")])).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.div_ceil(5), ..ProptestConfig::default() })]

    #[test]
    fn amending_is_filling_and_sealing_again(connections in any::<String>(), workers in any::<String>()) {
        let plan = drill(&[]);
        let values = map(&[("limits.max_connections", &connections), ("limits.max_worker_processes", &workers), ("x.y", "1")]);
        let (relevant, new_seal) = amend(&plan, &values).unwrap();
        prop_assert_eq!(relevant.len(), 2);
        let mut amended = plan.clone();
        amended.steps.iter_mut().for_each(|step| step.fill(&relevant));
        amended.seal = seal(&amended);
        prop_assert_eq!(amended.seal, new_seal);
        prop_assert_ne!(new_seal, plan.seal);
        prop_assert_eq!(amend(&amended, &values), None, "nobody waits for them any more");
        let server = amended.steps.iter().find(|step| matches!(step.kind, StepKind::Server { .. })).unwrap();
        let filled = Piece::Filled { name: "limits.max_connections".into(), value: connections };
        let wanted = Argument { pieces: vec![Piece::Text("max_connections=".into()), filled] };
        prop_assert!(server.kind.command().unwrap().argv.contains(&wanted));
    }

    #[test]
    fn any_text_of_a_value_gives_one_argument(value in "[^\\p{C}']{1,30}") {
        let text = small("kind = \"command\"\nargv = [\"/bin/x\", \"--a=${free}\", \"end\"]");
        let plan = bind(&parse(&text).unwrap(), &map(&[("free", &value)]), &facts()).unwrap();
        let argv = &plan.steps[0].kind.command().unwrap().argv;
        prop_assert_eq!(argv.len(), 3);
        prop_assert_eq!(argv[1].resolved(), Some(format!("--a={value}")));
    }
}
