//! Equal to PostgreSQL's own reader, record by record.

use crate::cluster::Cluster;
use crate::waldump::{self, Figures, Line};
use crate::workload;
use lifeboat::domain::lsn::Lsn;
use lifeboat::domain::wal::{SegmentSize, WalSegment};
use lifeboat::domain::wal_reader::{
    Block, ChangeKind, Content, DatabaseChange, Ended, Parts, PgTime, Record, RelationFile, StopReason, StorageChange,
    Totals, WalStream, record_name,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

#[test]
fn segments_of_16_megabytes() {
    let mut cluster = Cluster::start(16, "");
    workload::run(&cluster);
    cluster.stop("fast");
    assert_eq!(compare(&cluster, 16), StopReason::Unwritten);
}

#[test]
fn segments_of_1_megabyte_with_logical_records() {
    let mut cluster = Cluster::start(1, "wal_level = logical\ntrack_commit_timestamp = on\nwal_log_hints = on");
    workload::run(&cluster);
    // A crash: the last segment ends anywhere.
    cluster.sql("CREATE TABLE last_words AS SELECT n FROM generate_series(1, 100) n");
    cluster.stop("immediate");
    assert!(compare(&cluster, 1).is_end_of_written());
}

#[test]
fn segments_of_64_megabytes_and_a_timeline_that_begins() {
    let mut cluster = Cluster::start(64, "wal_compression = on\nrestore_command = '/bin/false'");
    workload::run(&cluster);
    cluster.stop("fast");
    assert_eq!(compare(&cluster, 64), StopReason::Unwritten);
    std::fs::write(cluster.data().join("recovery.signal"), "").unwrap();
    cluster.up();
    workload_after_promotion(&cluster);
    cluster.stop("fast");
    let names = cluster.segments();
    let second: Vec<String> = names.into_iter().filter(|name| name.starts_with("00000002")).collect();
    assert!(!second.is_empty(), "no timeline began");
    compare_segments(&cluster, 64, &second);
}

fn workload_after_promotion(cluster: &Cluster) {
    cluster.wait_promoted();
    cluster.sql("CHECKPOINT");
    cluster.sql("CREATE TABLE later AS SELECT n FROM generate_series(1, 1000) n; DELETE FROM later WHERE n < 10");
    assert_eq!(cluster.sql("SELECT timeline_id FROM pg_control_checkpoint()"), "2");
}

fn compare(cluster: &Cluster, megabytes: u64) -> StopReason {
    compare_segments(cluster, megabytes, &cluster.segments())
}

/// Compares all totals and every record of these segments, and returns why reading ended.
fn compare_segments(cluster: &Cluster, megabytes: u64, names: &[String]) -> StopReason {
    assert!(waldump::version().contains(" 15."));
    let size = SegmentSize::from_bytes(megabytes << 20).unwrap();
    let mut ours: Vec<Ours> = Vec::new();
    let mut totals = Totals::default();
    let mut stream = WalStream::new(size, None);
    let mut last = None;
    for name in names {
        if !stream.begin_segment(WalSegment::parse(name).unwrap()) && last.is_some() {
            break;
        }
        let bytes = std::fs::read(cluster.wal().join(name)).unwrap();
        // In pieces that fit no page, so that cutting has no influence.
        for piece in bytes.chunks(100_003) {
            stream.push(piece, &mut |record| {
                totals.add_record(record);
                ours.push(Ours::read(record));
            });
        }
        last = Some(name);
        if stream.stop().is_some() {
            break;
        }
    }
    let (first, last) = (&names[0], last.unwrap());
    assert_eq!((totals.malformed(), totals.unknown()), (0, 0));
    compare_totals(&totals, &waldump::totals(cluster, first, last));
    let mut position = 0;
    waldump::lines(cluster, first, last, |line| {
        let own = ours.get(position).unwrap_or_else(|| panic!("there is another record: {line:?}"));
        own.compare(&line);
        position += 1;
    });
    assert_eq!(position, ours.len(), "records that pg_waldump doesn't see, from {:?}", ours.get(position));
    assert!(position > 1_000, "only {position} records were compared");
    let [stats, origins, compressed] = met(&ours);
    if names[0].starts_with("00000001") {
        assert!(stats > 0 && origins >= 2 && compressed > 0, "{stats} {origins} {compressed}");
        damage_is_seen_alike(cluster, size, names, &ours);
    }
    stream.stop().expect("the last segment is not full").reason
}

/// A flipped bit in the middle of a record: both readers read up to that record and no further.
fn damage_is_seen_alike(cluster: &Cluster, size: SegmentSize, names: &[String], ours: &[Ours]) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let segment = WalSegment::parse(&names[0]).unwrap();
    let start = segment.start(size).unwrap();
    let inside = |one: &&Ours| one.lsn.0 + 16_384 < start.0 + size.bytes() && one.total_bytes > 100;
    let candidates: Vec<&Ours> = ours.iter().filter(inside).collect();
    for damaged in [candidates[candidates.len() / 3], candidates[candidates.len() - 1]] {
        let mut bytes = std::fs::read(cluster.wal().join(&names[0])).unwrap();
        // Behind its header, which may be cut by the end of a page.
        let mut at = usize::try_from(damaged.lsn.0 - start.0).unwrap() + 60;
        if at % 8192 < 40 {
            at += 40;
        }
        bytes[at] ^= 0x04;
        std::fs::write(folder.path().join(&names[0]), &bytes).unwrap();
        let mut stream = WalStream::new(size, None);
        stream.begin_segment(segment);
        let mut seen = Vec::new();
        stream.push(&bytes, &mut |record| seen.push(record.lsn));
        let stop = stream.stop().unwrap();
        assert_eq!((stop.at, stop.reason), (damaged.lsn, StopReason::Checksum));
        let mut theirs = Vec::new();
        let said = waldump::lines_in(folder.path(), &names[0], &names[0], |line| {
            theirs.push(Lsn::parse(&line.lsn).unwrap());
        });
        assert!(
            said.contains(&format!("incorrect resource manager data checksum in record at {}", damaged.lsn)),
            "{said}"
        );
        assert_eq!(seen, theirs);
    }
}

/// Where we have names they are the same; in other resource managers the figures of all kinds are.
fn compare_totals(totals: &Totals, theirs: &BTreeMap<(String, String), Figures>) {
    let mut by_name: BTreeMap<(String, String), Figures> = BTreeMap::new();
    let mut unnamed: BTreeMap<String, Vec<Figures>> = BTreeMap::new();
    for (rmgr, info, found) in totals.kinds() {
        let figures = (found.records, found.record_bytes, found.image_bytes);
        match record_name(rmgr, info, lifeboat::domain::wal_reader::WalVersion::V15) {
            Some(name) => assert_eq!(by_name.insert((rmgr.to_string(), name.to_owned()), figures), None),
            None => unnamed.entry(rmgr.to_string()).or_default().push(figures),
        }
    }
    let mut their_unnamed: BTreeMap<String, Vec<Figures>> = BTreeMap::new();
    for ((rmgr, name), figures) in theirs {
        match by_name.remove(&(rmgr.clone(), name.clone())) {
            Some(own) => assert_eq!(own, *figures, "{rmgr}/{name}"),
            None => their_unnamed.entry(rmgr.clone()).or_default().push(*figures),
        }
    }
    assert_eq!(by_name, BTreeMap::new(), "kinds that pg_waldump doesn't see");
    unnamed.values_mut().chain(their_unnamed.values_mut()).for_each(|figures| figures.sort_unstable());
    assert_eq!(unnamed, their_unnamed);
}

/// What we read of a record, in the words of `pg_waldump`.
#[derive(Debug)]
struct Ours {
    lsn: Lsn,
    previous: Lsn,
    xid: u32,
    total_bytes: u64,
    image_bytes: u64,
    rmgr: String,
    name: Option<&'static str>,
    /// Each has to be in what `pg_waldump` prints.
    says: Vec<String>,
    /// Of the end of a transaction: how many objects' statistics it drops, and where the transaction comes from.
    end: Option<(u32, Option<(u64, PgTime)>)>,
    blocks: Vec<Block>,
}

impl Ours {
    fn read(record: &Record<'_>) -> Ours {
        let parts = record.parts().unwrap();
        let blocks: Vec<Block> = record.blocks().collect();
        assert_eq!(blocks.iter().map(|block| u64::from(block.image_bytes)).sum::<u64>(), u64::from(parts.image_bytes));
        assert_eq!(blocks.first(), parts.first_block.as_ref());
        assert!(record.end.0 >= record.lsn.0 + u64::from(record.total_bytes));
        Ours {
            lsn: record.lsn,
            previous: record.previous,
            xid: record.xid,
            total_bytes: u64::from(record.total_bytes),
            image_bytes: u64::from(parts.image_bytes),
            rmgr: record.rmgr.to_string(),
            name: record_name(record.rmgr, record.info, record.version),
            says: says(record, &parts),
            end: match Content::read(record, &parts) {
                Content::Commit(ended) | Content::Abort(ended) => Some((ended.dropped_stats, ended.origin)),
                _ => None,
            },
            blocks,
        }
    }

    fn compare(&self, line: &Line) {
        let place = || format!("{line:?}\n{self:?}");
        assert_eq!(Lsn::parse(&line.lsn).unwrap(), self.lsn, "{}", place());
        assert_eq!(Lsn::parse(&line.previous).unwrap(), self.previous, "{}", place());
        assert_eq!((line.xid, line.total_bytes), (self.xid, self.total_bytes), "{}", place());
        assert_eq!(line.record_bytes, self.total_bytes - self.image_bytes, "{}", place());
        assert_eq!(line.rmgr, self.rmgr, "{}", place());
        if let Some(name) = self.name {
            assert_eq!(line.name, name, "{}", place());
        }
        let text = format!("{} {}", line.name, line.rest);
        for words in &self.says {
            assert!(text.contains(words.as_str()), "'{words}' is missing\n{}", place());
        }
        if let Some((dropped_stats, origin)) = self.end {
            let listed = text.split_once("dropped stats: ").map_or("", |(_, rest)| rest);
            let listed = listed.split([';', ',']).next().unwrap_or_default().split_whitespace().count();
            assert_eq!(listed, dropped_stats as usize, "{}", place());
            let words = origin.map(|(lsn, at)| format!(", lsn {}, at {}", Lsn(lsn), time(at)));
            assert_eq!(text.contains("origin: node"), words.is_some(), "{}", place());
            assert!(words.is_none_or(|words| text.contains(&words)), "{}", place());
        }
        let references: Vec<&str> = text.split(", blkref #").skip(1).collect();
        assert_eq!(references.len(), self.blocks.len(), "{}", place());
        for (reference, block) in references.iter().zip(&self.blocks) {
            let fork = ["", " fork fsm", " fork vm", " fork init"][usize::from(block.fork)];
            let image = if block.image_bytes > 0 { " FPW" } else { "" };
            let expected = format!("{}: rel {}{fork} blk {}{image}", block.id, block.relation, block.block);
            assert_eq!(reference.trim_end(), expected, "{}", place());
        }
    }
}

fn says(record: &Record<'_>, parts: &Parts<'_>) -> Vec<String> {
    match Content::read(record, parts) {
        Content::Commit(ended) => of_commit(&ended),
        Content::Abort(ended) => of_end(&ended),
        Content::Prepare(prepared) => {
            assert_eq!(prepared.xid, record.xid);
            let gid = String::from_utf8_lossy(prepared.gid).into_owned();
            let mut words = vec![format!("gid {gid}: {}", time(prepared.time))];
            words.extend(list("subxacts:", prepared.subtransactions.iter()));
            words
        }
        Content::Change(change) => match (change.kind, change.rows) {
            (ChangeKind::Insert, rows) if record.rmgr.to_string() == "Heap2" => vec![format!("{rows} tuples")],
            (ChangeKind::Insert, 1) => vec!["INSERT".to_owned()],
            (ChangeKind::Update, 1) => vec!["UPDATE".to_owned()],
            (ChangeKind::Delete | ChangeKind::InsertTakenBack | ChangeKind::MovedAway, 1) => vec!["DELETE".to_owned()],
            other => panic!("{other:?}"),
        },
        Content::Truncate(truncated) => {
            vec![format!("nrelids {}", truncated.relations.len()), list("relids", truncated.relations.iter()).remove(0)]
        }
        Content::Storage(StorageChange::Created { relation, fork }) => {
            let fork = ["", "_fsm", "_vm", "_init"][fork as usize];
            vec![format!("CREATE {}{fork}", path(relation))]
        }
        Content::Storage(StorageChange::Cut { relation, blocks }) => {
            vec![format!("TRUNCATE {} to {blocks} blocks", path(relation))]
        }
        Content::Database(DatabaseChange::Dropped { database }) => vec![format!("DROP dir 1663/{database}")],
        Content::Database(DatabaseChange::Created { database }) => vec![format!("/{database}")],
        Content::Checkpoint(checkpoint) => vec![
            format!("redo {}; tli {};", checkpoint.redo, checkpoint.timeline),
            format!("xid {}:{};", checkpoint.next_xid >> 32, checkpoint.next_xid & 0xFFFF_FFFF),
            (if checkpoint.is_shutdown { "; shutdown" } else { "; online" }).to_owned(),
        ],
        Content::Switch => vec!["SWITCH".to_owned()],
        Content::RestorePoint(point) => vec![String::from_utf8_lossy(point.name).into_owned()],
        Content::EndOfRecovery(end) => {
            vec![format!("tli {}; prev tli {}; time {}", end.timeline, end.previous, time(end.time))]
        }
        Content::Parameters(settings) => {
            let level = ["minimal", "replica", "logical"][settings.wal_level as usize];
            vec![
                format!("max_connections={} ", settings.max_connections),
                format!("max_prepared_xacts={} ", settings.max_prepared_transactions),
                format!("wal_level={level} "),
            ]
        }
        Content::RelationMap(map) => {
            let (database, tablespace) = (map.database, map.tablespace);
            assert!(map.iter().any(|(oid, _)| oid == if database == 0 { 1262 } else { 1259 }), "{map:?}");
            vec![format!("UPDATE database {database} tablespace {tablespace} size 512")]
        }
        Content::NextOid(oid) => vec![format!("NEXTOID {oid}")],
        Content::Locks(locks) => {
            locks.iter().map(|lock| format!("xid {} db {} rel {}", lock.xid, lock.database, lock.relation)).collect()
        }
        Content::Running(running) => {
            let mut words =
                vec![format!("nextXid {} ", running.next_xid), format!("oldestRunningXid {}", running.oldest_running)];
            words.extend(list("xacts:", running.transactions.iter()));
            words.extend(running.overflowed.then(|| "subxid ovf".to_owned()));
            words
        }
        Content::Other => Vec::new(),
        Content::Unknown => panic!("unknown: {record:?}"),
    }
}

fn of_commit(ended: &Ended<'_>) -> Vec<String> {
    let mut words = of_end(ended);
    let mut relations = ended.invalidations.relations().map(|(_, oid)| format!("relcache {oid}"));
    words.extend(relations.by_ref().filter(|words| words != "relcache 0"));
    words.extend(ended.invalidations.entries().map(|(cache, _)| format!("catcache {cache}")));
    words.extend(ended.dropped.iter().map(|(database, oid)| format!("2/{database}/{oid}")));
    words
}

fn of_end(ended: &Ended<'_>) -> Vec<String> {
    let mut words = match ended.was_prepared {
        true => vec![format!("_PREPARED {}: {}", ended.xid, time(ended.time))],
        false => vec![time(ended.time)],
    };
    words.extend(list("subxacts:", ended.subtransactions.iter()));
    if !ended.removed.is_empty() {
        let mut text = "rels:".to_owned();
        ended.removed.iter().for_each(|relation| write!(text, " {}", path(relation)).unwrap());
        words.push(text);
    }
    words
}

/// What the workload is for was really met.
fn met(ours: &[Ours]) -> [usize; 3] {
    let count = |is_it: &dyn Fn(&Ours) -> bool| ours.iter().filter(|one| is_it(one)).count();
    [
        count(&|one| one.end.is_some_and(|(stats, _)| stats > 1)),
        count(&|one| one.end.is_some_and(|(_, origin)| origin.is_some())),
        count(&|one| one.blocks.iter().any(|block| block.is_compressed)),
    ]
}

/// `subxacts: 740 741`; nothing where there are none.
fn list(title: &str, numbers: impl Iterator<Item = u32>) -> Vec<String> {
    let text = numbers.fold(String::new(), |text, number| format!("{text} {number}"));
    if text.is_empty() { Vec::new() } else { vec![format!("{title}{text}")] }
}

fn time(time: PgTime) -> String {
    let text = time.utc().unwrap().format("%Y-%m-%d %H:%M:%S%.6f").to_string();
    format!("{text} UTC")
}

/// Where its file lies, below the data directory.
fn path(relation: RelationFile) -> String {
    let database = relation.database.to_string();
    let place = match relation.tablespace {
        1664 => Path::new("global").to_owned(),
        1663 => Path::new("base").join(database),
        // The directory has the version and the catalog's own in its name.
        other => Path::new("pg_tblspc").join(other.to_string()).join("PG_15_202209061").join(database),
    };
    place.join(relation.number.to_string()).display().to_string()
}
