//! `lifeboat accident` and `lifeboat commits` on the stanza's own archive: which segments they fetch, what they keep of
//! them, where names come from, and what is answered when a part of the archive is no use.

use crate::lab::{self, Lab};
use crate::terminal::Terminal;
use chrono::{DateTime, TimeDelta};
use lifeboat::domain::wal::WalSegment;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use sha1::{Digest as _, Sha1};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

/// A practice cluster with an accident in its archive.
struct Accident {
    lab: Lab,
    /// The transaction.
    xid: u64,
    /// A moment right behind it.
    around: String,
    /// Its segment, whole in both repositories; those before and behind it as well.
    segment: WalSegment,
}

impl Accident {
    fn happen() -> Accident {
        let lab = lab::running();
        lab.sql("CREATE TABLE ledger AS SELECT n FROM generate_series(1, 2000) n");
        lab.sql("ANALYZE ledger");
        lab::assert_done(&lab.run_lifeboat(&["remember"]), "lifeboat remember");
        (0..3).for_each(|_| work(&lab));
        // While it works: right behind the end of a segment that one would be named.
        let said = lab.sql(
            "WITH gone AS (DELETE FROM ledger WHERE n % 2 = 0 RETURNING n) \
             SELECT pg_current_xact_id() || ' ' || pg_walfile_name(pg_current_wal_insert_lsn()) FROM gone LIMIT 1",
        );
        let (xid, segment) = said.split_once(' ').unwrap();
        let (xid, segment) = (xid.parse().unwrap(), WalSegment::parse(segment).unwrap());
        let around = now(&lab);
        (0..3).for_each(|_| work(&lab));
        let home = lab.home().to_owned();
        let real = lab.marker.pgbackrest.display();
        let counting = format!(
            "#!/bin/sh\necho \"$*\" >> {0}/asked\ncase \"$*\" in *repo-get*) test -e {0}/meanwhile && sh {0}/meanwhile;; esac\ncase \"$*\" in *repo-get*) test -e {0}/slow && exec sleep 300;; esac\nexec {real} \"$@\"\n",
            home.display()
        );
        fs::write(home.join("counting"), counting).unwrap();
        fs::set_permissions(home.join("counting"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(home.join("asked"), "").unwrap();
        fs::set_permissions(home.join("asked"), fs::Permissions::from_mode(0o666)).unwrap();
        Accident { lab, xid, around, segment }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let counting = self.lab.home().join("counting");
        self.lab.run_lifeboat(&[&["--pgbackrest", counting.to_str().unwrap()], arguments].concat())
    }

    /// The answer, and which segments were fetched for it.
    fn search(&self, arguments: &[&str]) -> (Value, Vec<String>) {
        let asked = self.lab.home().join("asked");
        fs::write(&asked, "").unwrap();
        let output = self.run(&[&["accident", "--around", &self.around, "--json"], arguments].concat());
        lab::assert_done(&output, "lifeboat accident");
        let asked = fs::read_to_string(asked).unwrap();
        let segments = asked.lines().filter(|line| line.contains("repo-get") && line.contains(" archive/"));
        let paths = segments.filter_map(|line| line.rsplit('/').next());
        let fetched = paths.map(|name| name[..24].to_owned()).collect();
        (serde_json::from_slice(&output.stdout).unwrap(), fetched)
    }

    fn cache(&self) -> PathBuf {
        self.lab.layout.state().join("wal")
    }

    fn forget_fetched(&self) {
        fs::remove_dir_all(self.cache()).unwrap();
    }

    /// The file of the accident's segment in a repository.
    fn file(&self, repository: &Path) -> PathBuf {
        let folder =
            repository.join(format!("archive/main/15-1/{:08X}{:08X}", self.segment.timeline.0, self.segment.log));
        let own = format!("{}-", self.segment);
        let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&own);
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find(named).unwrap()
    }

    /// Nothing of the accident's segment is found in `pg_wal` any more.
    fn take_from_pg_wal(&self) {
        // The server may have recycled it already.
        let _ = fs::remove_file(self.lab.layout.production().join("pg_wal").join(self.segment.to_string()));
    }
}

/// A few honest commits and the end of a segment.
fn work(lab: &Lab) {
    lab.sql("INSERT INTO orders (customer_id, total_cents) SELECT 1, n FROM generate_series(1, 50) n");
    lab.wait_archived();
}

fn now(lab: &Lab) -> String {
    lab.sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'")
}

fn notes(answer: &Value) -> String {
    answer["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap().to_owned() + "\n").collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_accident_is_found_in_the_archive_and_kept_for_the_next_question() {
    let accident = Accident::happen();
    let (first, fetched) = accident.search(&[]);
    assert_eq!(first["proposed"]["xid"], accident.xid, "{first:#}");
    let suspect = &first["suspects"][0];
    assert_eq!(
        (&suspect["relations"][0]["name"], &suspect["relations"][0]["deleted"]),
        (&"ledger".into(), &1000.into())
    );
    assert_eq!(suspect["discarded"]["by_table"]["orders"]["inserted"], 150, "{suspect:#}");
    assert_eq!((&suspect["target"]["exclusive"], &suspect["target"]["timeline"]), (&true.into(), &1.into()));
    assert!(suspect["relations"][0].get("remembered").is_none(), "the live catalog says it");
    let reasons = suspect["reasons"].as_array().unwrap();
    assert!(reasons.iter().all(|reason| !reason.as_str().unwrap().contains("restore point")), "{suspect:#}");
    // Every segment once at most, the encrypted copies not at all.
    let read = usize::try_from(first["segments_read"].as_u64().unwrap()).unwrap();
    assert!((3..=read + 3).contains(&fetched.len()), "{fetched:?} fetched, {read} read");
    let once: std::collections::BTreeSet<&String> = fetched.iter().collect();
    assert_eq!(once.len(), fetched.len());
    let kept = names(&accident.cache());
    assert!(kept.iter().any(|name| name.contains(&accident.segment.to_string())), "{kept:?}");
    assert_eq!(fs::metadata(accident.cache()).unwrap().mode() & 0o777, 0o700);
    let (second, fetched) = accident.search(&[]);
    assert_eq!(second["proposed"], first["proposed"]);
    // One that was archived in between may be new.
    assert!(fetched.iter().all(|new| !once.contains(new)), "{fetched:?}");

    // A second long: only what is around it is read, and the end of the WAL is counted as not read.
    let (short, _) = accident.search(&["--window", "1s"]);
    assert_eq!(short["proposed"]["xid"], accident.xid, "{short:#}");
    assert!(short["segments_read"].as_u64() <= first["segments_read"].as_u64(), "{short:#}");

    let output = accident.run(&["commits", "--around", &accident.around, "--json"]);
    lab::assert_done(&output, "lifeboat commits");
    let text = String::from_utf8(output.stdout).unwrap();
    let own = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(own.into_iter().any(|commit| commit["xid"] == accident.xid), "{text}");

    // Two at once with nothing kept: both answer, and what they keep is whole.
    accident.forget_fetched();
    std::thread::scope(|scope| {
        let both =
            [(); 2].map(|()| scope.spawn(|| accident.run(&["accident", "--around", &accident.around, "--json"])));
        for one in both {
            let output = one.join().unwrap();
            lab::assert_done(&output, "lifeboat accident");
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(answer["proposed"], first["proposed"]);
        }
    });
    let now_kept = names(&accident.cache());
    assert!(kept.iter().all(|name| now_kept.contains(name)), "{now_kept:?}");
    assert!(now_kept.iter().all(|name| name.ends_with(".gz")), "{now_kept:?}");

    // A damaged one among what was kept is fetched again.
    let own = kept.iter().find(|name| name.contains(&accident.segment.to_string())).unwrap();
    fs::write(accident.cache().join(own), "damaged").unwrap();
    let (again, fetched) = accident.search(&[]);
    assert_eq!(again["proposed"], first["proposed"]);
    assert!(fetched.contains(&accident.segment.to_string()) && fetched.len() < once.len(), "{fetched:?}");

    // Nothing kept, as the settings wish.
    accident.forget_fetched();
    let settings = accident.lab.layout.settings();
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("[state]\n", "[state]\nwal_cache = \"0\"\n")).unwrap();
    let (without, _) = accident.search(&[]);
    assert_eq!(without["proposed"], first["proposed"]);
    assert!(!accident.cache().exists());
    fs::write(&settings, text).unwrap();

    is_broken_off(&accident);
    names_are_remembered(&accident, &first);
}

/// Ctrl-C: what is under way ends, and nothing half written is left.
fn is_broken_off(accident: &Accident) {
    let slow = accident.lab.home().join("slow");
    fs::write(&slow, "").unwrap();
    fs::write(accident.lab.home().join("asked"), "").unwrap();
    let counting = accident.lab.home().join("counting");
    let mut child = lab::lifeboat()
        .arg("--settings")
        .arg(accident.lab.layout.settings())
        .args(["--pgbackrest", counting.to_str().unwrap(), "accident", "--around", &accident.around])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let own = Pid::from_child(&child);
    let asked = accident.lab.home().join("asked");
    let fetches = || fs::read_to_string(&asked).unwrap().contains("repo-get");
    lab::wait_until("a segment is fetched", fetches);
    rustix::process::kill_process(own, Signal::INT).unwrap();
    lab::wait_until("it has ended", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("broken off"), "{:?}: {said}", output.status);
    assert_eq!(names(&accident.cache()), Vec::<String>::new());
    a_plan_is_broken_off(accident, &counting);
    fs::remove_file(slow).unwrap();
}

/// So is the search with which a plan begins: it shows how far it is, and Ctrl-C ends it with no plan.
fn a_plan_is_broken_off(accident: &Accident, counting: &Path) {
    let state = || {
        let mut found = names(&accident.lab.layout.state());
        found.retain(|name| name != "wal");
        found
    };
    let before = state();
    let asked = format!("accident=around:{}", accident.around);
    for command in ["plan", "run"] {
        let words = ["--pgbackrest", counting.to_str().unwrap(), command, "pitr-in-place", "-p", &asked];
        let mut terminal = Terminal::start(&accident.lab, &words);
        terminal.wait_for("looking for the time: 0000000");
        terminal.send("\x03");
        assert_eq!(terminal.wait_end(), 4, "{}", terminal.all());
        let said = terminal.screen();
        assert!(said.contains("broken off") && said.contains("nothing was changed"), "{said}");
        assert!(!said.contains("looking for the time"), "{said}");
        assert_eq!((names(&accident.cache()), state()), (Vec::new(), before.clone()));
    }
}

/// The table is gone, then the server: what was remembered names it.
fn names_are_remembered(accident: &Accident, first: &Value) {
    accident.lab.sql("DROP TABLE ledger");
    let (number, bytes) = ("SELECT pg_relation_filenode('payments')", "SELECT pg_relation_size('payments')");
    let [number, bytes] = [number, bytes].map(|sql| accident.lab.sql(sql).parse::<u64>().unwrap());
    accident.lab.sql("DROP TABLE payments CASCADE");
    work(&accident.lab);
    let (dropped, _) = accident.search(&[]);
    let relation = |answer: &Value| {
        let own = |suspect: &&Value| suspect["xid"] == accident.xid;
        answer["suspects"].as_array().unwrap().iter().find(own).unwrap()["relations"][0].clone()
    };
    assert_eq!(relation(&dropped)["name"], "ledger", "{dropped:#}");
    assert!(relation(&dropped)["remembered"].is_string(), "{dropped:#}");
    assert_eq!(dropped["proposed"], first["proposed"]);
    accident.lab.stop();
    let (stopped, _) = accident.search(&[]);
    assert_eq!((&stopped["proposed"], &relation(&stopped)["name"]), (&first["proposed"], &"ledger".into()));
    assert!(notes(&stopped).contains("names are from the catalog memory of 20"), "{stopped:#}");
    let text = String::from_utf8(accident.run(&["accident", "--around", &accident.around]).stdout).unwrap();
    assert!(text.contains("ledger (oid ") && text.contains(", from the catalog memory of 20"), "{text}");
    fs::remove_dir_all(accident.lab.layout.state().join("names")).unwrap();
    let (nameless, _) = accident.search(&[]);
    assert!(notes(&nameless).contains("tables are shown by their files"), "{nameless:#}");
    assert_eq!(nameless["proposed"], first["proposed"], "{nameless:#}");
    // No catalog knows the table: its oid, its database and its size in the last set are told.
    let suspects = nameless["suspects"].as_array().unwrap().iter();
    let mut gone =
        suspects.flat_map(|one| one["relations"].as_array().unwrap().iter().map(move |relation| (one, relation)));
    let found = gone.find(|(_, relation)| relation["filenode"] == number);
    let (suspect, relation) = found.unwrap_or_else(|| panic!("{number}: {nameless:#}"));
    assert_eq!((&relation["dropped"], &relation["oid"]), (&true.into(), &number.into()), "{suspect:#}");
    let told = relation["bytes"].as_u64().unwrap();
    assert!(0 < told && told <= bytes, "{told} of {bytes}");
    assert!(suspect["database"].as_str().unwrap().starts_with("database "), "{suspect:#}");
    assert!(notes(&nameless).contains("sizes of what was dropped or truncated are those of the set "), "{nameless:#}");
}

#[test]
fn what_is_no_use_is_said_and_the_rest_is_answered_for() {
    let accident = Accident::happen();
    let lab = &accident.lab;
    let (whole, _) = accident.search(&[]);
    accident.take_from_pg_wal();
    shows_the_same(&accident);
    let (first, second) = (lab.layout.first_repository(), lab.layout.second_repository());
    let (one, other) = (accident.file(&first), accident.file(&second));
    let (good, good_other) = (fs::read(&one).unwrap(), fs::read(&other).unwrap());
    let proposed = |answer: &Value| answer["proposed"]["xid"].clone();

    // The first repository's copy is cut, then damaged: the second one's is taken, and it is said.
    for (bytes, words) in [(good[..good.len() / 2].to_vec(), "cut"), (vec![0; good.len()], "a copy is no use: repo1")] {
        fs::write(&one, bytes).unwrap();
        accident.forget_fetched();
        let (answer, _) = accident.search(&[]);
        assert_eq!(proposed(&answer), accident.xid, "{answer:#}");
        assert!(notes(&answer).contains(words) && notes(&answer).contains(&accident.segment.to_string()), "{answer:#}");
    }
    // Its name has the sum of something else.
    fs::write(&one, &good).unwrap();
    let text = one.file_name().unwrap().to_str().unwrap().to_owned();
    let sum = text.split(['-', '.']).nth(1).unwrap();
    let wrong = one.with_file_name(text.replace(sum, &sum.chars().rev().collect::<String>()));
    fs::rename(&one, &wrong).unwrap();
    fs::remove_file(&other).unwrap();
    accident.forget_fetched();
    let (answer, _) = accident.search(&[]);
    assert!(notes(&answer).contains("its content has the SHA-1"), "{answer:#}");
    assert_ne!(proposed(&answer), accident.xid, "what can't be read is not guessed");
    fs::rename(&wrong, &one).unwrap();

    wrong_inside(&accident, &one);

    // A wrong passphrase, and nothing else there.
    fs::remove_file(&one).unwrap();
    fs::write(&other, &good_other).unwrap();
    let config = lab.layout.pgbackrest_config();
    let text = fs::read_to_string(&config).unwrap();
    let pass = text.lines().find(|line| line.starts_with("repo2-cipher-pass=")).unwrap();
    fs::write(&config, text.replace(pass, "repo2-cipher-pass=not-the-right-one")).unwrap();
    accident.forget_fetched();
    let (answer, _) = accident.search(&[]);
    assert!(notes(&answer).contains("repo2-cipher-pass is not the one"), "{answer:#}");
    assert!(!notes(&answer).contains("not-the-right-one"), "{answer:#}");
    assert!(answer["segments_read"].as_u64() > Some(2), "the rest is read: {answer:#}");
    fs::write(&config, &text).unwrap();

    // Nobody has it: the gap is said, with where it is.
    fs::remove_file(&other).unwrap();
    accident.forget_fetched();
    let (answer, _) = accident.search(&[]);
    let begin = accident.segment.start(lifeboat::domain::wal::SegmentSize::DEFAULT).unwrap();
    assert!(notes(&answer).contains(&format!("the WAL from {begin} to the segment")), "{answer:#}");
    is_archived_meanwhile(&accident, &one, &good);

    // Without any repository what pg_wal still has; then not even that.
    let away = lab.home().join("away");
    for repository in [&first, &second] {
        fs::rename(repository, away.with_extension(repository.file_name().unwrap())).unwrap();
    }
    let (answer, _) = accident.search(&[]);
    assert!(notes(&answer).contains("pg_wal alone"), "{answer:#}");
    for repository in [&first, &second] {
        fs::rename(away.with_extension(repository.file_name().unwrap()), repository).unwrap();
    }

    clocks_differ(&accident);

    // A data directory of another cluster lends neither WAL nor names.
    lab.stop();
    let control = lab.layout.production().join("global/pg_control");
    let file = fs::File::options().read(true).write(true).open(control).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 3).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 3).unwrap();
    accident.forget_fetched();
    let (answer, _) = accident.search(&[]);
    assert!(notes(&answer).contains("holds another cluster (system identifier "), "{answer:#}");
    assert_eq!(answer["proposed"], whole["proposed"]);

    // No WAL of that time.
    let output = accident.run(&["accident", "--around", "2020-01-01 00:00:00+00", "--json"]);
    lab::assert_done(&output, "lifeboat accident");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answer["proposed"].is_null() && notes(&answer).contains("none lies in the window"), "{answer:#}");
}

/// A segment that lay in `pg_wal` alone when the archive was listed is archived and taken away before it is its turn.
fn is_archived_meanwhile(accident: &Accident, one: &Path, good: &[u8]) {
    let plain = accident.lab.layout.production().join("pg_wal").join(accident.segment.to_string());
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(good).read_to_end(&mut bytes).unwrap();
    fs::write(&plain, bytes).unwrap();
    let (kept, meanwhile) = (accident.lab.home().join("kept"), accident.lab.home().join("meanwhile"));
    fs::write(&kept, good).unwrap();
    fs::write(&meanwhile, format!("cp {} {}; rm -f {}\n", kept.display(), one.display(), plain.display())).unwrap();
    accident.forget_fetched();
    let (answer, fetched) = accident.search(&[]);
    assert!(!plain.exists() && one.exists());
    assert_eq!(answer["proposed"]["xid"], accident.xid, "{answer:#}");
    assert!(fetched.contains(&accident.segment.to_string()) && !notes(&answer).contains("could not"), "{answer:#}");
    fs::remove_file(meanwhile).unwrap();
}

/// The command that is shown fetches what is no longer in `pg_wal`, and shows the same.
fn shows_the_same(accident: &Accident) {
    let text = String::from_utf8(accident.run(&["accident", "--around", &accident.around]).stdout).unwrap();
    let shown = text.lines().find_map(|line| line.trim().strip_prefix("to see it: ")).unwrap();
    assert!(shown.contains(&format!(" archive-get $segment /tmp/lifeboat-wal-{}/$segment", accident.xid)), "{shown}");
    let bin = accident.lab.marker.bin_directory.display();
    let output = lab::as_owner("sh").args(["-c", &format!("PATH=$PATH:{bin}; {shown}")]).output().unwrap();
    let records = String::from_utf8(output.stdout).unwrap();
    assert_eq!(records.matches("desc: DELETE").count(), 1000, "{shown}: {}", String::from_utf8_lossy(&output.stderr));
    fs::remove_dir_all(format!("/tmp/lifeboat-wal-{}", accident.xid)).unwrap();
}

/// A segment with the sum and the compression of what is in it, and wrong inside: it is said where, and what lies before and
/// behind is read.
fn wrong_inside(accident: &Accident, one: &Path) {
    let stored = fs::read(one).unwrap();
    let mut good = Vec::new();
    flate2::read::GzDecoder::new(stored.as_slice()).read_to_end(&mut good).unwrap();
    let segment = accident.segment.to_string();
    let (whole, _) = accident.search(&[]);
    let system = u64::from_le_bytes(good[24..32].try_into().unwrap());
    // PostgreSQL counts the magic number up with each version that changes the layout; all of the pages carry it.
    let of_another_version =
        |bytes: &mut [u8]| bytes.chunks_mut(8192).for_each(|page| page[..2].copy_from_slice(&[0x77, 0xD1]));
    type Harm<'h> = &'h dyn Fn(&mut [u8]);
    let harms: [(Harm<'_>, String); 3] = [
        // In the middle of what is written: the first records are read.
        (&|bytes| flip_in_the_middle(bytes), "wrong checksum (CRC)".to_owned()),
        (&of_another_version, "D177, which no version".to_owned()),
        (&|bytes| bytes[24] ^= 1, format!("{}", system ^ 1)),
    ];
    for (harm, words) in harms {
        let mut bytes = good.clone();
        harm(&mut bytes);
        let sum: String = Sha1::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let bad = one.with_file_name(format!("{segment}-{sum}.gz"));
        let mut packed = flate2::write::GzEncoder::new(fs::File::create(&bad).unwrap(), flate2::Compression::fast());
        packed.write_all(&bytes).unwrap();
        packed.finish().unwrap();
        fs::remove_file(one).unwrap();
        accident.forget_fetched();
        let (answer, _) = accident.search(&[]);
        let is_said = |note: &Value| [&words, &segment].iter().all(|word| note.as_str().unwrap().contains(*word));
        assert!(answer["notes"].as_array().unwrap().iter().any(is_said), "'{words}': {answer:#}");
        assert_ne!(answer["proposed"]["xid"], accident.xid, "what can't be read is not guessed: {answer:#}");
        assert!(answer["segments_read"].as_u64() >= whole["segments_read"].as_u64(), "the others are read: {answer:#}");
        fs::rename(&bad, one).unwrap();
        fs::write(one, &stored).unwrap();
    }
}

/// Flips a bit of the last record that begins in the first half of what is written.
fn flip_in_the_middle(bytes: &mut [u8]) {
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[written / 2] ^= 1;
}

/// The server's clock is ahead of the archive's by two hours: its own times count, and it is said.
fn clocks_differ(accident: &Accident) {
    let archives = [accident.lab.layout.first_repository(), accident.lab.layout.second_repository()];
    for repository in archives {
        for entry in fs::read_dir(repository.join("archive/main/15-1/0000000100000000")).unwrap() {
            let file = fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
            let at = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(7200);
            file.set_modified(at).unwrap();
        }
    }
    let (answer, _) = accident.search(&[]);
    assert!(notes(&answer).contains("the server's clock is ahead of the archive's"), "{answer:#}");
    assert_eq!(answer["proposed"]["xid"], accident.xid, "{answer:#}");
    // What a person reads off another clock is two hours away from every commit.
    let other = DateTime::parse_from_str(&accident.around, "%Y-%m-%d %H:%M:%S%.f%#z").unwrap() - TimeDelta::hours(2);
    let output = accident.run(&["accident", "--around", &other.to_rfc3339(), "--json"]);
    lab::assert_done(&output, "lifeboat accident");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = notes(&answer);
    assert!(answer["proposed"].is_null() && said.contains("none lies in the window; they are from"), "{answer:#}");
    assert!(said.contains("the server's clock is ahead of the archive's"), "{answer:#}");
}
