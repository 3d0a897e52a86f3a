//! Whether a server that is stopped and started again at a recovery target would pause there, or promote.
//!
//! PostgreSQL pauses at the target only where hot standby is active. It becomes active with the first RUNNING_XACTS record
//! after redo, unless that says that a transaction has more than 64 subtransactions (`subxid ovf`): then it waits for
//! another one, may reach the target before, and *promotes* (tried with 15.20). So looking is allowed only where the first
//! record is whole.

use crate::domain::lsn::Lsn;
use crate::domain::text::clean;

/// The first RUNNING_XACTS record at or after redo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningXacts {
    /// Where it is.
    pub at: Lsn,
    /// How many transactions it lists as running (without subtransactions).
    pub running: u32,
    /// At least one of them has more subtransactions than fit.
    pub overflowed: bool,
    /// The record as `pg_waldump` describes it, cleaned.
    pub description: String,
}

/// A line that speaks of RUNNING_XACTS and can't be read: nothing may be concluded from what follows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "pg_waldump printed '{line}', which can't be read as a RUNNING_XACTS record; is it that of the cluster's major version?"
)]
pub struct RunningXactsError {
    /// The line, cleaned and cut.
    pub line: String,
}

/// The first RUNNING_XACTS record at or after `redo` in what `pg_waldump -s REDO -r Standby` printed (9.6 to 17);
/// `None` when there is none.
///
/// # Errors
/// [`RunningXactsError`] for such a record without a position or a next transaction.
pub fn first_running_xacts(output: &str, redo: Lsn) -> Result<Option<RunningXacts>, RunningXactsError> {
    for line in output.lines() {
        // "rmgr: Standby  len (rec/tot): 54/ 54, tx: 0, lsn: 0/0175D0F0, prev 0/0175D0B0, desc: RUNNING_XACTS nextXid …"
        let Some((before, description)) = line.split_once("desc: RUNNING_XACTS") else { continue };
        let unreadable = || RunningXactsError { line: clean(&line.chars().take(200).collect::<String>()) };
        let at = before.split("lsn: ").nth(1).and_then(|rest| rest.split(',').next());
        let at = at.and_then(|text| Lsn::parse(text.trim()).ok()).ok_or_else(unreadable)?;
        if at < redo {
            continue;
        }
        if !description.trim_start().starts_with("nextXid ") {
            return Err(unreadable());
        }
        let mut running = 0;
        let mut overflowed = false;
        for part in description.split(';').map(str::trim) {
            // "subxid ovf" to 15, "subxid overflowed" from 16
            overflowed |= part.starts_with("subxid ov");
            if let Some(count) = part.split_once(" xacts:").and_then(|(count, _)| count.parse().ok()) {
                running = count;
            }
        }
        let description = clean(&description.trim().chars().take(300).collect::<String>());
        return Ok(Some(RunningXacts { at, running, overflowed, description }));
    }
    Ok(None)
}

/// The next number that a transaction gets at this snapshot, of a record's description; `None` for any other record.
#[must_use]
pub fn next_xid(description: &str) -> Option<u32> {
    let rest = description.strip_prefix("RUNNING_XACTS nextXid ")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    /// `pg_waldump` 15 over a checkpoint during a transaction of 100 subtransactions, from the redo of that checkpoint.
    const OVERFLOWED: &str = include_str!("../../tests/fixtures/running_xacts/overflowed-first-15.txt");
    /// The same WAL from the checkpoint before.
    const LATER: &str = include_str!("../../tests/fixtures/running_xacts/one-overflowed-15.txt");

    fn first(output: &str, redo: &str) -> Option<RunningXacts> {
        first_running_xacts(output, Lsn::parse(redo).unwrap()).unwrap()
    }

    #[test]
    fn the_record_at_redo_overflowed() {
        let found = first(OVERFLOWED, "0/175D0F0").unwrap();
        assert_eq!((found.at.to_string(), found.running, found.overflowed), ("0/175D0F0".into(), 1, true));
        assert!(found.description.ends_with("1 xacts: 726; subxid ovf"), "{}", found.description);
        let newer = OVERFLOWED.replace("subxid ovf", "subxid overflowed");
        assert!(first(&newer, "0/175D0F0").unwrap().overflowed);
    }

    #[test]
    fn only_the_first_at_or_after_redo_counts() {
        let found = first(LATER, "0/1759560").unwrap();
        assert_eq!((found.running, found.overflowed), (0, false));
        assert!(first(LATER, "0/1759561").unwrap().overflowed);
        let last = first(LATER, "0/175D0F1").unwrap();
        assert_eq!((last.at.to_string(), last.running, last.overflowed), ("0/175E220".into(), 1, false));
        assert_eq!(first(LATER, "0/175E221"), None);
        assert_eq!(first("", "0/0"), None);
    }

    #[test]
    fn a_snapshot_tells_the_next_number() {
        assert_eq!(next_xid("RUNNING_XACTS nextXid 740 latestCompletedXid 739 oldestRunningXid 740"), Some(740));
        for other in ["RUNNING_XACTS nextXid ", "RUNNING_XACTS nextXid x", "LOCK xid 740 db 1 rel 2", ""] {
            assert_eq!(next_xid(other), None);
        }
    }

    #[test]
    fn a_record_that_cant_be_read_is_no_good_news() {
        let redo = Lsn(0);
        for line in ["rmgr: Standby lsn: x/y, desc: RUNNING_XACTS nextXid 3", "lsn: 0/1, desc: RUNNING_XACTS \u{1b}[2J"]
        {
            let said = first_running_xacts(line, redo).unwrap_err().to_string();
            assert!(said.contains("RUNNING_XACTS") && !said.contains('\u{1b}'), "{said}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(output in "(lsn: |0/1|, |desc: RUNNING_XACTS|nextXid|;|\\PC|\n){0,30}") {
            let _ = first_running_xacts(&output, Lsn(0));
        }
    }
}
