//! What the engine would have read from a machine: every fact that runbooks may name, and a value of its type.

use lifeboat::domain::facts::{Facts, Threshold};
use lifeboat::planning::check::VOCABULARY;
use lifeboat::planning::plan::KnownFacts;
use std::collections::BTreeMap;

/// All facts; only a query of one's own (`probe-sql`) is not set.
pub(crate) fn known() -> KnownFacts {
    let value = |name: &str| match name {
        "repository" | "timeline" => "1",
        "set" => "20261122-023822F",
        "port" => "5999",
        "depth" => "rows",
        "target-type" => "latest",
        "stanza" => "main",
        "system-identifier" => "7561840291",
        "run" | "user" | "database" | "archive-id" | "set-stop" => "word",
        _ => "/srv/place",
    };
    let texts = VOCABULARY.facts.iter().filter(|name| **name != "probe-sql");
    let threshold = Threshold { value: 500, least: 100, unit: "bytes".into() };
    KnownFacts {
        texts: texts.map(|name| ((*name).to_owned(), value(name).to_owned())).collect(),
        lists: VOCABULARY.list_facts.iter().map(|name| ((*name).to_owned(), vec![format!("--{name}=1")])).collect(),
        sealed: Facts {
            identity: BTreeMap::from([("set".into(), "20261122-023822F".into())]),
            thresholds: BTreeMap::from([("free".into(), threshold)]),
        },
        environment: BTreeMap::from([("PATH".into(), "/usr/bin".into()), ("SECRET".into(), "<set>".into())]),
        secret_environment: vec!["SECRET".into()],
    }
}
