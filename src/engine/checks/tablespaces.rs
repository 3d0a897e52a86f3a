//! Tablespaces that a drill could write to although they are production's.

use crate::engine::checks::{CheckError, CheckReport, Input, set_of};
use crate::engine::postgres::live_tablespaces;

/// A restore maps the tablespaces of its set below the drill directory. One that was made *after* the set is not among
/// them: replaying its creation makes it at its original place, where on this host production's files lie. With 2.45 and
/// PostgreSQL 15 a drill overwrote, then removed a table of production that way (also upstream issue 2537).
pub(super) fn do_not_collide(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let production = input.path("production")?;
    let key = input.repository_key()?;
    let stanza = input.stanza(Some(input.text("set")?), Some(key.0))?;
    let (_, set) = set_of(&stanza, key, input.label()?)?;
    let detail = set.detail().ok_or_else(|| {
        CheckError::NotThere(format!(
            "pgbackrest info --set={} told nothing of its tablespaces; run it by hand",
            set.label()
        ))
    })?;
    let mut report = CheckReport::default();
    if production.join("pg_tblspc").symlink_metadata().is_err() {
        report.good(format!("there is no cluster at {}: no tablespace of its own could be hit", production.display()));
        return Ok(report);
    }
    let live = live_tablespaces(production)?;
    for tablespace in &live {
        if detail.tablespaces.iter().any(|known| known.oid == tablespace.oid) {
            continue;
        }
        report.bad(
            format!(
                "the tablespace with OID {} at {} was made after set {}",
                tablespace.oid,
                tablespace.location.display(),
                set.label()
            ),
            "Replay would make it again at that very place and write into production's files. Choose a set that was made after it, or hold the drill on another host.",
        );
    }
    let names: Vec<String> = detail
        .tablespaces
        .iter()
        .map(|tablespace| format!("{} ({})", tablespace.name, tablespace.destination))
        .collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    report.good(format!(
        "tablespaces in set {}: {names}; each is mapped below the drill directory. Live ones: {}",
        set.label(),
        live.len()
    ));
    Ok(report)
}
