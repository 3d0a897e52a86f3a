//! Names of options: the ones of today, and their indexes. Which ones hold secrets is [`crate::domain::secrets`].

/// The option that a variable of the environment sets.
pub(super) fn option_of_variable(name: &str) -> Option<String> {
    let option = name.strip_prefix("PGBACKREST_")?;
    Some(current_name(&option.to_ascii_lowercase().replace('_', "-")))
}

/// The index of an indexed option: 2 for `repo2-path` in group `repo`.
pub(super) fn index(option: &str, group: &str) -> Option<u32> {
    option.strip_prefix(group)?.split_once('-')?.0.parse().ok()
}

/// Whether an option is `pgN-path`.
pub(super) fn is_data_directory(option: &str) -> bool {
    index(option, "pg").is_some() && option.split_once('-').is_some_and(|(_, name)| name == "path")
}

/// Whether an option says where a repository is or how to read it, rather than how to write or expire.
pub(super) fn is_place_of_repository(option: &str) -> bool {
    const WRITING: [&str; 5] = ["retention", "bundle", "block", "hardlink", "symlink"];
    let name = option.split_once('-').map_or("", |(_, name)| name);
    index(option, "repo").is_some() && !WRITING.iter().any(|word| name.starts_with(word))
}

/// Whether an option may be repeated; in the environment its values are separated by colons.
pub(super) fn is_list(option: &str) -> bool {
    matches!(
        option,
        "db-include" | "db-exclude" | "exclude" | "link-map" | "tablespace-map" | "recovery-option" | "annotation"
    ) || option.ends_with("-storage-tag")
        || option.ends_with("-s3-process-cmd")
        || option.ends_with("-sftp-known-host")
}

/// An option's name of today: names from before indexes (`db-path`, `repo-path`, `retention-full`, `backup-host`) are
/// still accepted by pgBackRest.
pub(super) fn current_name(option: &str) -> String {
    if matches!(option, "db-include" | "db-exclude" | "db-timeout") {
        return option.to_owned();
    }
    match option {
        "backup-host" => return "repo1-host".to_owned(),
        "backup-user" => return "repo1-host-user".to_owned(),
        "archive-queue-max" => return "archive-push-queue-max".to_owned(),
        "hardlink" => return "repo1-hardlink".to_owned(),
        _ => {}
    }
    for retention in ["retention-full", "retention-diff", "retention-archive", "retention-archive-type"] {
        if option == retention {
            return format!("repo1-{option}");
        }
    }
    for (old, new) in [("db", "pg"), ("pg", "pg"), ("repo", "repo")] {
        let Some((number, name)) = option.strip_prefix(old).and_then(|rest| rest.split_once('-')) else { continue };
        if number.is_empty() {
            return format!("{new}1-{name}");
        }
        if number.bytes().all(|digit| digit.is_ascii_digit()) {
            return format!("{new}{number}-{name}");
        }
    }
    option.to_owned()
}
