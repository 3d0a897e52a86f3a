//! The configuration a drill's server starts with.

use crate::domain::event::RunId;
use crate::engine::drill_directory::{DrillDirectory, DrillDirectoryError, quoted};

/// Names and texts of the files in `conf/`.
pub(super) fn files(run: &RunId, drill: &DrillDirectory) -> Result<[(&'static str, String); 3], DrillDirectoryError> {
    let hba = format!(
        "# Written by Lifeboat for run {run}. The socket directory is closed to everybody but the drill's own user,\n\
         # so a password would add nothing; there is no line for TCP and none for replication.\n\
         local all all trust\n"
    );
    let ident = format!("# Written by Lifeboat for run {run}.\n");
    Ok([("postgresql.conf", postgresql(run, drill)?), ("pg_hba.conf", hba), ("pg_ident.conf", ident)])
}

/// The restored cluster's own `postgresql.conf` is not included on purpose: it holds production's archive_command,
/// addresses, preloaded libraries (cron workers among them) and memory sizes, and on Debian it is not in the backup at all.
/// `postgresql.auto.conf` of the data directory is read after this file in any case (recovery settings are in there), so
/// what must hold is given on the server's command line as well, which goes before both.
fn postgresql(run: &RunId, drill: &DrillDirectory) -> Result<String, DrillDirectoryError> {
    let settings = [
        ("data_directory", quoted(&drill.data())?),
        ("hba_file", quoted(&drill.root.join("conf/pg_hba.conf"))?),
        ("ident_file", quoted(&drill.root.join("conf/pg_ident.conf"))?),
        ("unix_socket_directories", socket_list(drill)?),
        ("unix_socket_permissions", "0700".into()),
        ("listen_addresses", "''".into()),
        ("archive_mode", "off".into()),
        ("hot_standby", "on".into()),
        ("shared_preload_libraries", "''".into()),
        ("max_logical_replication_workers", "0".into()),
        ("restart_after_crash", "off".into()),
        ("huge_pages", "off".into()),
        ("logging_collector", "off".into()),
        ("log_destination", "'stderr'".into()),
        ("log_line_prefix", "'%m [%p] '".into()),
        ("log_timezone", "'UTC'".into()),
        ("timezone", "'UTC'".into()),
        ("lc_messages", "'C'".into()),
    ];
    let mut text = format!("# Written by Lifeboat for run {run}. It goes with the drill directory.\n");
    for (name, value) in settings {
        text.push_str(&format!("{name} = {value}\n"));
    }
    Ok(text)
}

/// `unix_socket_directories` is a list: a path in double quotes may hold a comma.
fn socket_list(drill: &DrillDirectory) -> Result<String, DrillDirectoryError> {
    let path = quoted(&drill.socket())?;
    let inner = path.trim_matches('\'');
    if inner.contains('"') {
        let why = "holds a double quote".to_owned();
        return Err(DrillDirectoryError::Path { path: drill.root.clone(), why });
    }
    Ok(if inner.contains([',', ' ']) { format!("'\"{inner}\"'") } else { path })
}
