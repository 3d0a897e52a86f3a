//! Whether the programs fit the backup set.

use crate::domain::version::PgBackRestVersion;
use crate::engine::checks::{CheckError, CheckReport, Input, set_of};
use crate::engine::postgres::PostgresPrograms;

/// From which pgBackRest on a PostgreSQL is known (release notes). Older ones are known to all that Lifeboat works with.
const KNOWN_FROM: &[(u32, PgBackRestVersion)] = &[
    (14, PgBackRestVersion::release(2, 34)),
    (15, PgBackRestVersion::release(2, 39)),
    (16, PgBackRestVersion::release(2, 46)),
    (17, PgBackRestVersion::release(2, 53)),
    (18, PgBackRestVersion::release(2, 55)),
];

/// From which pgBackRest on an old PostgreSQL is not known any more.
const DROPPED_FROM: &[(&str, PgBackRestVersion)] = &[
    ("9.0", PgBackRestVersion::release(2, 44)),
    ("9.1", PgBackRestVersion::release(2, 44)),
    ("9.2", PgBackRestVersion::release(2, 44)),
    ("9.3", PgBackRestVersion::release(2, 49)),
    ("9.4", PgBackRestVersion::release(2, 55)),
    ("9.5", PgBackRestVersion::release(2, 58)),
];

/// The server programs are of the set's major version, and pgBackRest knows it.
pub(super) fn versions_match(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let stanza = input.stanza(None, None)?;
    let (repository, set) = set_of(&stanza, input.repository_key()?, input.label()?)?;
    let database = repository.database(set.database()).ok_or_else(|| {
        CheckError::NotThere(format!("the set {} is of a database that the repository does not list", set.label()))
    })?;
    let needed: &str = &database.version;
    let bin = input.path("postgres-bin")?;
    let programs = PostgresPrograms::at(bin, &input.around.environment)?;
    let mut report = CheckReport::default();
    report.put("postgres-version", &programs.version);
    if programs.major() == needed {
        report.good(format!(
            "{} is PostgreSQL {}, set {} is of {needed}",
            bin.display(),
            programs.version,
            set.label()
        ));
    } else {
        report.bad(
            format!("{} is PostgreSQL {}, set {} is of {needed}", bin.display(), programs.version, set.label()),
            format!("Install PostgreSQL {needed}, or name its folder as bin_directory in [postgres] of the settings."),
        );
    }
    let own = input.around.pgbackrest.version()?;
    match unknown_to(needed, own) {
        None => report.good(format!("pgBackRest {own} knows PostgreSQL {needed}")),
        Some(why) => report.bad(
            format!("pgBackRest {own} does not know PostgreSQL {needed}: {why} (its error [046])"),
            "Use a pgBackRest that knows it.",
        ),
    }
    Ok(report)
}

fn unknown_to(postgres: &str, own: PgBackRestVersion) -> Option<String> {
    if let Some((_, dropped)) = DROPPED_FROM.iter().find(|(version, _)| *version == postgres) {
        return (own >= *dropped).then(|| format!("it was dropped in {dropped}"));
    }
    let major: u32 = postgres.split('.').next()?.parse().ok()?;
    let newest = KNOWN_FROM.last()?;
    match KNOWN_FROM.iter().find(|(known, _)| *known == major) {
        Some((_, from)) => (own < *from).then(|| format!("{from} is the first that does")),
        // newer than this table: a pgBackRest as new may know it, and says [046] itself if not
        None if major > newest.0 => (own <= newest.1).then(|| format!("{} knows up to {}", newest.1, newest.0)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn support_begins_and_ends() {
        let own = PgBackRestVersion::release(2, 45);
        for (postgres, known) in
            [("15", true), ("9.3", true), ("9.2", false), ("16", false), ("13", true), ("19", false)]
        {
            assert_eq!(unknown_to(postgres, own).is_none(), known, "{postgres}");
        }
        let newer = PgBackRestVersion::release(2, 59);
        for (postgres, known) in [("9.5", false), ("9.6", true), ("18", true), ("19", true)] {
            assert_eq!(unknown_to(postgres, newer).is_none(), known, "{postgres}");
        }
    }
}
