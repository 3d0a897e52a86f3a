//! Sizes, times and failures in words.

use crate::domain::inventory::{Bytes, Progress, RepositoryKey, Status, StatusCode};
use crate::domain::text;
use chrono::{DateTime, Utc};

/// A size in at most seven columns: `22.1 MB`.
pub(crate) fn bytes(bytes: Bytes) -> String {
    text::size(bytes.0)
}

/// A moment, to the minute, in UTC: `2026-11-22 06:40Z`.
pub(crate) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%MZ").to_string()
}

/// How long ago, in at most five columns.
pub(crate) fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    if seconds < 0 { "ahead".to_owned() } else { span(seconds) }
}

/// A span of time by its greatest unit: `41 s`, `12 m`, `15 h`, `3 d`.
pub(crate) fn span(seconds: i64) -> String {
    match seconds {
        ..100 => format!("{seconds} s"),
        100..6_000 => format!("{} m", seconds / 60),
        6_000..172_800 => format!("{} h", seconds / 3_600),
        172_800..86_400_000 => format!("{} d", seconds / 86_400),
        _ => format!("{} y", seconds / 31_557_600),
    }
}

/// `21.0 MB of 84.0 MB (25 %)`.
pub(crate) fn progress(progress: Progress) -> String {
    let (done, size) = (progress.done, progress.size);
    let percent = if size.0 == 0 { 0 } else { u128::from(done.0) * 100 / u128::from(size.0) };
    format!("{} of {} ({percent} %)", bytes(done), bytes(size))
}

/// A status in plain words, with pgBackRest's own where they are to be searched for.
pub(crate) fn status(status: &Status) -> String {
    let own = status.message.lines().next().unwrap_or_default();
    match status.code {
        StatusCode::Ok => "ok".to_owned(),
        StatusCode::MissingStanzaPath => format!("nothing of this stanza is here ({own})"),
        StatusCode::NoValidBackups => "no backup set yet".to_owned(),
        StatusCode::MissingStanzaData => format!("the list of backups is missing ({own})"),
        StatusCode::DifferentAcrossRepositories => "the repositories differ: look at each".to_owned(),
        StatusCode::DatabaseMismatch => "the repositories hold different clusters: look at each".to_owned(),
        StatusCode::SetNotFound => "the set that was asked for is not here".to_owned(),
        StatusCode::Unreadable => "could not be read".to_owned(),
        StatusCode::Unknown(code) => format!("status {code}: {own}"),
    }
}

/// What to do about a repository's status.
pub(crate) fn remedy(key: RepositoryKey, status: &Status) -> String {
    let (repo, number) = (key.name(), key.0);
    match status.code {
        StatusCode::Ok => String::new(),
        StatusCode::MissingStanzaPath => format!(
            "The repository has no directory for this stanza, or is not there at all. Perhaps its file system is not \
            mounted: check {repo}-path in pgBackRest's configuration, and `findmnt`, before anything else. Do not run \
            stanza-create on an unmounted disk. If it is new, run stanza-create and take a first backup with \
            --repo={number}."
        ),
        StatusCode::NoValidBackups => {
            format!("The stanza is there and holds no set. Take one: pgbackrest backup --type=full --repo={number}")
        }
        StatusCode::MissingStanzaData => format!(
            "The stanza's directory is there, its backup.info is not: perhaps a part of the repository was deleted or is \
            not mounted. Look into backup/ of {repo}-path before stanza-create is run again."
        ),
        StatusCode::SetNotFound => "It does not hold the set that was asked for.".to_owned(),
        StatusCode::Unreadable => unreadable(&repo, &status.message),
        StatusCode::DifferentAcrossRepositories | StatusCode::DatabaseMismatch => {
            "The repositories differ: look at each of them.".to_owned()
        }
        StatusCode::Unknown(code) => format!(
            "Status {code} is not known to this version of Lifeboat: run `pgbackrest info` and read its message."
        ),
    }
}

/// What to do, by the kind of error that pgBackRest names first.
fn unreadable(repo: &str, message: &str) -> String {
    let kind = message.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or("", |(kind, _)| kind);
    match kind {
        _ if message.contains("Permission denied") => format!(
            "This user may not read {repo}: ask as the user that makes the backups, or correct the owner and mode of what \
            is named above. Nothing says that backups are lost."
        ),
        "FormatError" | "CryptoError" => format!(
            "What was read made no sense: most often {repo}-cipher-pass or {repo}-cipher-type is not the one the backups \
            were made with. Compare it with the configuration of the host that makes the backups. Nothing says that \
            backups are lost."
        ),
        "ChecksumError" => "Both copies of the file are damaged. Do not run stanza-create or backup now: copy the \
            repository's info files aside first. The backups themselves may be whole."
            .to_owned(),
        "FileMissingError" if message.contains("archive.info") => {
            "archive.info and its copy are gone: the backup sets \
            may be all there. Do not run stanza-create or expire now; copy the repository's info files aside and bring \
            archive.info back from another copy of the repository."
                .to_owned()
        }
        "HostConnectError" | "FileReadError" | "ProtocolError" | "ServiceError" | "HostInvalidError" => {
            format!(
                "The host or store of {repo} does not answer as it should: check the network, its address and keys."
            )
        }
        _ => {
            "Run `pgbackrest info` by hand and act on the message above. Nothing says that backups are lost.".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_never_take_more_than_five_columns() {
        let now = DateTime::from_timestamp(1_795_329_608, 0).expect("a time");
        for power in 0..31 {
            let at = DateTime::from_timestamp(1_795_329_608 - (1 << power), 0).expect("a time");
            assert!(age(at, now).len() <= 5, "{power}");
        }
        assert_eq!(age(DateTime::from_timestamp(1_795_329_609, 0).expect("a time"), now), "ahead");
        assert_eq!(span(99), "99 s");
        assert_eq!(span(100), "1 m");
        assert_eq!(span(172_800), "2 d");
    }
}
