//! The accident: something happens to the practice cluster at a moment that isn't told, while the shop goes on.

use crate::domain::lsn::Lsn;
use crate::domain::wal::{SegmentSize, TimelineId, WalSegment};
use crate::engine::rehearsal::configuration::{DATABASE, STANZA, SUPERUSER};
use crate::engine::rehearsal::error::RehearsalError;
use crate::engine::rehearsal::marker::Marker;
use crate::engine::rehearsal::page::{self, Symptom};
use crate::engine::rehearsal::programs::{self, Asker};
use crate::engine::rehearsal::scenario::Scenario;
use crate::engine::rehearsal::truth::{self, Acknowledged, Baseline, Blow, Commit, TABLES, Truth};
use crate::engine::rehearsal::wal_records::{self, Span};
use crate::engine::rehearsal::{Rehearsal, empty, ending, layout, writer};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What happens, and what its chances are drawn from.
#[derive(Debug, Clone)]
pub struct AccidentOptions {
    /// What happens.
    pub scenario: Scenario,
    /// What the chances are drawn from; the kernel's random bytes where absent.
    pub seed: Option<u64>,
    /// Set by a signal handler: nothing more is done then.
    pub interrupted: Arc<AtomicBool>,
}

/// Lets the accident happen in a practice cluster whose server runs, and returns the page that the engineer gets.
///
/// The writer is started where none is at work. The truth is written to `accident/truth.json`, the page to
/// `accident/page.txt`. Takes 5 to 25 seconds.
///
/// # Errors
/// When there was an accident already, the server doesn't answer, or a file can't be written.
pub fn cause(rehearsal: &mut Rehearsal, options: &AccidentOptions) -> Result<String, RehearsalError> {
    let folder = rehearsal.layout.accident();
    if folder.exists() {
        return Err(RehearsalError::Accident(format!(
            "there was one already in {}; build another practice cluster",
            rehearsal.layout.directory.display()
        )));
    }
    let seed = match options.seed {
        Some(seed) => seed,
        None => u64::from_str_radix(&layout::random_hex::<8>()?, 16).map_err(|error| odd(&error))?,
    };
    if !writer::at_work(rehearsal)? {
        writer::start(rehearsal)?;
    }
    let asker = Asker {
        directory: rehearsal.layout.directory.clone(),
        environment: programs::environment(&rehearsal.layout.directory, &rehearsal.marker.owner),
        interrupted: Arc::clone(&options.interrupted),
    };
    let mut bad_day = BadDay { rehearsal, asker, chance: Chance(seed) };
    let (baseline, timeline, from) = bad_day.before()?;
    bad_day.pass(2_000, 8_000)?;
    let happened = match options.scenario {
        Scenario::DeletedRows => bad_day.delete_rows(timeline, from)?,
        Scenario::DroppedTable => bad_day.drop_table(timeline, from)?,
        Scenario::LostDataDirectory => bad_day.lose_data_directory(timeline)?,
    };
    let (says, paged_at) = bad_day.ring(happened.at)?;
    let text = page::text(options.scenario, happened.symptom, says);
    layout::private(&folder)?;
    let truth = Truth {
        schema: 1,
        note: "Closed until the score: reading on spoils the rehearsal.".to_owned(),
        scenario: options.scenario,
        seed,
        timeline,
        happened_at: happened.at,
        boundary: happened.boundary,
        target: happened.target,
        last_good: happened.good.last().cloned(),
        good: happened.good.iter().map(|commit| commit.xid).collect(),
        blows: happened.blows,
        baseline,
        last_acknowledged: Acknowledged::read_all(&rehearsal.layout)?.pop(),
        paged_at,
        page_says: says,
    };
    truth.write_to(&rehearsal.layout)?;
    truth::write_private(&rehearsal.layout.page(), &text)?;
    options.scenario.word().clone_into(&mut rehearsal.marker.scenario);
    rehearsal.marker.write_to(&rehearsal.layout.directory)?;
    Ok(text)
}

/// What an accident leaves to be known.
struct Happened {
    at: DateTime<Utc>,
    symptom: Symptom,
    blows: Vec<Blow>,
    boundary: Lsn,
    target: Option<Lsn>,
    good: Vec<Commit>,
}

struct BadDay<'a> {
    rehearsal: &'a Rehearsal,
    asker: Asker,
    chance: Chance,
}

impl BadDay<'_> {
    /// What is in the tables, which timeline is written, and where the WAL ends.
    fn before(&self) -> Result<(Vec<Baseline>, TimelineId, Lsn), RehearsalError> {
        let counts: Vec<String> = TABLES
            .iter()
            .map(|(table, key, _)| format!("SELECT '{table}', count(*), coalesce(max({key}), 0) FROM {table}"))
            .collect();
        let printed = self.sql(&format!(
            "SELECT timeline_id, pg_current_wal_insert_lsn() FROM pg_control_checkpoint();\n{};",
            counts.join(" UNION ALL ")
        ))?;
        let mut lines = printed.lines().map(|line| line.split('|').collect::<Vec<_>>());
        let Some([timeline, lsn]) =
            lines.next().as_deref().map(|fields| <[&str; 2]>::try_from(fields).unwrap_or_default())
        else {
            return Err(odd(&printed));
        };
        let baseline = lines
            .map(|fields| match fields.as_slice() {
                [table, rows, highest] => Ok(Baseline {
                    table: (*table).to_owned(),
                    rows: rows.parse().map_err(|error| odd(&error))?,
                    highest: highest.parse().map_err(|error| odd(&error))?,
                }),
                _ => Err(odd(&fields.join("|"))),
            })
            .collect::<Result<_, _>>()?;
        let timeline = TimelineId(timeline.parse().map_err(|error| odd(&error))?);
        Ok((baseline, timeline, Lsn::parse(lsn).map_err(|error| odd(&error))?))
    }

    /// A job that goes too far; every other time something louder follows, which isn't where the loss began.
    fn delete_rows(&mut self, timeline: TimelineId, from: Lsn) -> Result<Happened, RehearsalError> {
        let condition = match self.chance.between(0, 2) {
            0 => "paid_at < now() - interval '7 days'",
            1 => "payment_id % 3 <> 0",
            _ => "method <> 'transfer'",
        };
        // Its transaction stays open for a moment, so that others may commit between its first record and its end.
        let open = self.chance.between(0, 250);
        let mut blows =
            vec![self.strike(timeline, from, "payments", &format!("DELETE FROM payments WHERE {condition}"), open)?];
        let mut symptom = Symptom::FewPayments;
        if self.chance.between(0, 1) == 1 {
            self.pass(700, 2_500)?;
            blows.push(self.strike(timeline, from, "customers", "DROP TABLE customers CASCADE", 0)?);
            symptom = Symptom::NoCustomers;
        }
        self.happened(timeline, from, symptom, blows)
    }

    fn drop_table(&mut self, timeline: TimelineId, from: Lsn) -> Result<Happened, RehearsalError> {
        let (table, symptom) = match self.chance.between(0, 1) {
            0 => ("orders", Symptom::NoOrders),
            _ => ("payments", Symptom::NoPayments),
        };
        let blow = self.strike(timeline, from, table, &format!("DROP TABLE {table} CASCADE"), 0)?;
        self.happened(timeline, from, symptom, vec![blow])
    }

    /// Runs a statement in a transaction of its own and finds out where it is in the WAL.
    fn strike(
        &self,
        timeline: TimelineId,
        from: Lsn,
        table: &str,
        statement: &str,
        open_milliseconds: u64,
    ) -> Result<Blow, RehearsalError> {
        let printed = self.sql(&format!(
            "SET application_name = 'night-job';
SET client_min_messages = warning;
BEGIN;
{statement};
\\echo :ROW_COUNT
DO $$ BEGIN PERFORM pg_sleep({open_milliseconds} / 1000.0); END $$;
SELECT txid_current();
COMMIT;
SELECT pg_current_wal_flush_lsn();"
        ))?;
        let [rows, xid, to] = <[&str; 3]>::try_from(printed.lines().collect::<Vec<_>>()).map_err(|_| odd(&printed))?;
        let xid = xid.parse().map_err(|error| odd(&error))?;
        let to = Lsn::parse(to).map_err(|error| odd(&error))?;
        let span = Span { timeline: timeline.0, from, to };
        let first_record = wal_records::first_record(self.rehearsal, &self.asker, span, xid)?;
        let commits = wal_records::commits(self.rehearsal, &self.asker, span)?;
        let commit = commits
            .iter()
            .find(|commit| commit.xid == xid)
            .cloned()
            .ok_or_else(|| RehearsalError::Accident(format!("the WAL holds no commit of transaction {xid}")))?;
        let between = commits.iter().filter(|other| first_record < other.lsn && other.lsn < commit.lsn).count();
        Ok(Blow {
            statement: statement.to_owned(),
            table: table.to_owned(),
            rows: statement.starts_with("DELETE").then(|| rows.parse()).transpose().map_err(|error| odd(&error))?,
            first_record,
            commit,
            commits_between: u64::try_from(between).unwrap_or(u64::MAX),
        })
    }

    fn happened(
        &self,
        timeline: TimelineId,
        from: Lsn,
        symptom: Symptom,
        blows: Vec<Blow>,
    ) -> Result<Happened, RehearsalError> {
        let first = blows.first().ok_or_else(|| odd(&"nothing happened"))?;
        let (at, boundary) = (first.commit.committed_at, first.commit.lsn);
        let target = if first.commits_between == 0 { first.first_record } else { boundary };
        let span = Span { timeline: timeline.0, from, to: boundary };
        let good = wal_records::commits(self.rehearsal, &self.asker, span)?;
        Ok(Happened { at, symptom, boundary, target: Some(target), good, blows })
    }

    /// The host dies and its disk with it. What no repository has is gone.
    fn lose_data_directory(&mut self, timeline: TimelineId) -> Result<Happened, RehearsalError> {
        self.wait_archived()?;
        self.pass(1_000, 7_000)?;
        let at = Utc::now();
        let production = self.rehearsal.layout.production();
        ending::end_abruptly(&[&production])?;
        let newest = self.newest_archived(timeline)?;
        let size = SegmentSize::DEFAULT;
        let (from, boundary) =
            newest.start(size).zip(newest.next(size).and_then(|next| next.start(size))).ok_or_else(|| odd(&newest))?;
        let good = if production.join("pg_wal").join(newest.to_string()).exists() {
            wal_records::commits(self.rehearsal, &self.asker, Span { timeline: timeline.0, from, to: boundary })?
        } else {
            Vec::new()
        };
        self.remove_data_directory(&production)?;
        Ok(Happened { at, symptom: Symptom::NoDatabase, blows: Vec::new(), boundary, target: None, good })
    }

    /// Ends the current segment and waits until the archive has it, so that something of the writer can come back.
    fn wait_archived(&mut self) -> Result<(), RehearsalError> {
        let segment = self.sql("SELECT pg_walfile_name(pg_switch_wal())")?;
        let question =
            format!("SELECT coalesce(last_archived_wal >= '{}', false) FROM pg_stat_archiver", segment.trim());
        for _ in 0..300 {
            if self.sql(&question)?.trim() == "t" {
                return Ok(());
            }
            self.pass(200, 200)?;
        }
        Err(RehearsalError::Accident(format!("segment {} was not archived within 60 s", segment.trim())))
    }

    /// The newest segment that any repository has. Names are plain in an encrypted repository as well.
    fn newest_archived(&self, timeline: TimelineId) -> Result<WalSegment, RehearsalError> {
        let layout = &self.rehearsal.layout;
        let mut newest = None;
        for repository in [layout.first_repository(), layout.second_repository()] {
            let archive = repository.join("archive").join(STANZA);
            let segments = folders(&archive)?.iter().map(|id| folders(id)).collect::<Result<Vec<_>, _>>()?;
            for file in segments.concat().iter().map(|logs| names(logs)).collect::<Result<Vec<_>, _>>()?.concat() {
                let whole = file.as_bytes().get(24) == Some(&b'-') && !file.ends_with(".tmp");
                let segment = file.get(..24).and_then(|name| WalSegment::parse(name).ok());
                newest = newest.max(segment.filter(|segment| whole && segment.timeline == timeline));
            }
        }
        newest.ok_or_else(|| RehearsalError::Accident("no repository has a WAL segment".to_owned()))
    }

    /// Empties the data directory. Only below a directory with our marker, and only where no link leads elsewhere.
    fn remove_data_directory(&self, production: &Path) -> Result<(), RehearsalError> {
        let directory = &self.rehearsal.layout.directory;
        let refuse =
            |reason: &str| RehearsalError::NotARehearsal { directory: directory.clone(), reason: reason.to_owned() };
        if Marker::read_from(directory)?.port != self.rehearsal.marker.port {
            return Err(refuse("another practice cluster has taken its place"));
        }
        let real = production.canonicalize().map_err(RehearsalError::io("cannot resolve", production))?;
        if real != directory.join("production") {
            return Err(refuse("its data directory is a link to another place"));
        }
        empty(production)
    }

    /// Waits until people notice, and draws what they say about the time. Returns both: what they say, and now.
    fn ring(&mut self, happened: DateTime<Utc>) -> Result<(DateTime<Utc>, DateTime<Utc>), RehearsalError> {
        let (early, late) = page::WRONG_BY_SECONDS;
        let width = u64::try_from(late - early).unwrap_or(0);
        let wrong = early + i64::try_from(self.chance.between(0, width)).unwrap_or(0);
        let says = happened.round_subsecs(0) + TimeDelta::seconds(wrong);
        self.pass(1_500, 3_000)?;
        while Utc::now() < says + TimeDelta::seconds(1) {
            self.pass(100, 100)?;
        }
        Ok((says, Utc::now()))
    }

    /// Lets a time go by, between two bounds in milliseconds.
    fn pass(&mut self, least: u64, most: u64) -> Result<(), RehearsalError> {
        let mut left = Duration::from_millis(self.chance.between(least, most));
        while !left.is_zero() {
            self.asker.not_interrupted()?;
            let nap = left.min(Duration::from_millis(100));
            std::thread::sleep(nap);
            left -= nap;
        }
        Ok(())
    }

    fn sql(&self, text: &str) -> Result<String, RehearsalError> {
        let arguments = self.rehearsal.psql_arguments(SUPERUSER, DATABASE);
        self.asker.ask_with_input(
            "asking the shop's server",
            &self.rehearsal.marker.bin_directory.join("psql"),
            &arguments,
            text,
        )
    }
}

fn odd(what: &dyn std::fmt::Display) -> RehearsalError {
    RehearsalError::Accident(format!("an answer was not understood: {}", crate::domain::text::clean(&what.to_string())))
}

fn names(directory: &Path) -> Result<Vec<String>, RehearsalError> {
    fs::read_dir(directory)
        .and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned())).collect()
        })
        .map_err(RehearsalError::io("cannot read", directory))
}

fn folders(directory: &Path) -> Result<Vec<std::path::PathBuf>, RehearsalError> {
    Ok(names(directory)?.iter().map(|name| directory.join(name)).filter(|path| path.is_dir()).collect())
}

/// Chances that come out the same for the same seed (SplitMix64).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    /// A number between two bounds, both included.
    fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut drawn = self.0;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        least + (drawn ^ (drawn >> 31)) % (most - least + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_repeat_by_seed_and_reach_both_ends() {
        let draw = |seed| (0..200).scan(Chance(seed), |chance, _| Some(chance.between(3, 5))).collect::<Vec<_>>();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let drawn = draw(7);
        assert!(drawn.contains(&3) && drawn.contains(&5) && drawn.iter().all(|number| (3..=5).contains(number)));
    }
}
