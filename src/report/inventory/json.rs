//! The inventory for programs: fields may be added, never renamed.

use crate::domain::inventory::{BackupSet, Inventory, LastDrill, LastDrills, Lock, Repository, SetKey, Stanza, Status};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The inventory as `lifeboat inventory --json` prints it: schema 1, times in RFC 3339 UTC, sizes in bytes.
#[must_use]
pub fn json(inventory: &Inventory, drills: &LastDrills) -> Value {
    let stanzas: Vec<Value> = inventory.stanzas.iter().map(|stanza| stanza_json(stanza, drills)).collect();
    json!({
        "schema": 1,
        "read_at": time(inventory.read_at),
        "pgbackrest": inventory.pgbackrest,
        "warnings": inventory.warnings,
        "stanzas": stanzas,
    })
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn stanza_json(stanza: &Stanza, drills: &LastDrills) -> Value {
    let repositories = stanza.repositories.iter().map(|repository| repository_json(stanza, repository, drills));
    json!({
        "name": stanza.name,
        "status": status_json(&stanza.status),
        "locks": { "backup": lock_json(&stanza.locks.backup), "restore": stanza.locks.restore.as_ref().map(lock_json) },
        "repositories": repositories.collect::<Vec<Value>>(),
    })
}

fn status_json(status: &Status) -> Value {
    json!({ "code": status.code.number(), "message": status.message })
}

fn lock_json(lock: &Lock) -> Value {
    let repositories = lock.repositories.iter().map(|(key, done)| {
        json!({ "key": key, "bytes": done.map(|done| done.size), "done_bytes": done.map(|done| done.done) })
    });
    json!({
        "held": lock.held,
        "bytes": lock.progress.map(|done| done.size),
        "done_bytes": lock.progress.map(|done| done.done),
        "repositories": repositories.collect::<Vec<Value>>(),
    })
}

fn repository_json(stanza: &Stanza, repository: &Repository, drills: &LastDrills) -> Value {
    let databases = repository.databases.iter().map(|database| {
        let archive = repository.archive(database.id);
        json!({
            "id": database.id,
            "system_id": database.system_id,
            "version": database.version,
            "wal": { "min": archive.and_then(|archive| archive.min), "max": archive.and_then(|archive| archive.max) },
        })
    });
    let broken: BTreeMap<_, _> = repository.broken().into_iter().map(|(set, missing)| (set.label(), missing)).collect();
    let sets = repository.sets.iter().map(|set| {
        let key = SetKey { stanza: stanza.name.clone(), repository: repository.key, label: set.label() };
        let mut value = set_json(set, drills.get(&key));
        value["missing"] = json!(broken.get(&set.label()));
        value
    });
    json!({
        "key": repository.key,
        "cipher": repository.cipher,
        "status": status_json(&repository.status),
        "databases": databases.collect::<Vec<Value>>(),
        "sets": sets.collect::<Vec<Value>>(),
        "unreadable_sets": repository.unreadable_sets,
    })
}

fn set_json(set: &BackupSet, drill: Option<&LastDrill>) -> Value {
    let annotations: serde_json::Map<String, Value> =
        set.annotations().map(|(key, text)| (key.to_owned(), text.into())).collect();
    json!({
        "label": set.label(),
        "type": set.kind(),
        "prior": set.prior(),
        "references": set.references(),
        "start": time(set.start()),
        "stop": time(set.stop()),
        "wal": set.wal().map(|wal| json!({ "start": wal.start, "stop": wal.stop })),
        "lsn": set.lsn().map(|lsn| json!({ "start": lsn.start, "stop": lsn.stop })),
        "database_id": set.database(),
        "database_bytes": set.database_bytes(),
        "repository_bytes": set.repository_bytes(),
        "repository_added_bytes": set.repository_added(),
        "error": set.error(),
        "annotations": annotations,
        "pgbackrest": set.made_by(),
        "last_drill": drill.map(|drill| json!({ "at": time(drill.at), "depth": drill.depth, "verdict": drill.verdict })),
    })
}
