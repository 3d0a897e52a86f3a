//! A plan for people and for programs.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod known_facts;

use lifeboat::domain::plan::Plan;
use lifeboat::planning::check::{VOCABULARY, lint};
use lifeboat::planning::plan::bind;
use lifeboat::planning::runbook::shipped;
use lifeboat::report::{json, plan_text};
use std::collections::BTreeMap;
use unicode_width::UnicodeWidthStr as _;

fn plan() -> Plan {
    let mut known = known_facts::known();
    for (name, values) in &mut known.lists {
        *values = vec![format!("--{name}=it's")];
    }
    known.sealed.identity = BTreeMap::from([("hostile".into(), "a\u{1b}[2Jb".into())]);
    known.environment = BTreeMap::from([("PGBACKREST_REPO1_CIPHER_PASS".into(), "<set>".into())]);
    known.secret_environment = vec!["PGBACKREST_REPO1_CIPHER_PASS".into()];
    bind(&lint(shipped("restore-drill").unwrap(), &VOCABULARY).unwrap(), &BTreeMap::new(), &known).unwrap()
}

#[test]
fn json_has_what_was_promised() {
    let plan = plan();
    let value = json::plan(&plan);
    assert_eq!(value["schema"], 1);
    assert_eq!(value["runbook"], "restore-drill");
    assert_eq!(value["seal"], plan.seal.to_string());
    assert_eq!(value["facts"]["hostile"], "a\u{1b}[2Jb");
    let steps = value["steps"].as_array().unwrap();
    assert_eq!(steps.len(), plan.steps.len());
    for step in steps {
        for key in ["id", "title", "why", "kind", "destructive", "argv", "answer"] {
            assert!(step.get(key).is_some(), "{key} is missing in {step}");
        }
    }
    let step = |id: &str| steps.iter().find(|step| step["id"] == id).unwrap();
    assert_eq!(step("start")["answer"], "main");
    assert!(step("start")["argv"].is_null() && step("restore")["answer"].is_null());
    assert_eq!(step("restore")["destructive"], true);
    let argv = step("server")["argv"].as_array().unwrap();
    assert!(argv.contains(&"max_connections=${limits.max_connections}".into()));
    assert_eq!(step("probe")["ruled_out"], "probe is not given");
    assert_eq!(step("promoted")["until"], "promoted");
}

#[test]
fn text_fits_80_columns_but_for_commands_which_are_whole() {
    let plan = plan();
    let text = plan_text::plan(&plan);
    let mut in_command = false;
    for line in text.lines() {
        assert!(!line.contains('\u{1b}'), "{line}");
        in_command = line.starts_with("    runs     ") || (in_command && !line.starts_with("    expects"));
        // A step's text begins at column 4 and its head at column 0; a query in a command stays as it was written.
        if !in_command && !line.starts_with("    with     ") {
            assert!(line.width() <= 80, "{} columns: {line}", line.width());
        }
        in_command &= !line.is_empty();
    }
    let restore =
        text.lines().find(|line| line.contains("runs ") && line.contains("\"--pgbackrest-options=it's\"")).unwrap();
    assert!(restore.ends_with(" restore"), "{restore}");
    assert!(restore.contains("--set=20261122-023822F"), "{restore}");
    assert!(text.contains("not done here: probe is not given"));
    assert!(text.contains(&plan.seal.short()));
    assert!(text.contains("secrets that have to be set: PGBACKREST_REPO1_CIPHER_PASS"));
}
