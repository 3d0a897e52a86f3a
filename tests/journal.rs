//! The journal: what was appended is there, and whatever is not as it was written is found.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod sample_plan;
mod sample_run;

use lifeboat::domain::event::{Entry, RunEvent, RunOutcome};
use lifeboat::domain::run::Run;
use lifeboat::engine::journal::{self, Follower, Journal, JournalError, TornTail};
use proptest::prelude::*;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

fn sample() -> (Vec<Vec<u8>>, Vec<Entry>) {
    sample_run::write(sample_run::events())
}

/// A short run of the same plan's first two steps: small enough to be altered in every byte.
fn short_events() -> Vec<RunEvent> {
    let mut events: Vec<RunEvent> = sample_run::events().into_iter().take(8).collect();
    if let RunEvent::RunCreated { plan, .. } = &mut events[0] {
        plan.steps.truncate(2);
    }
    events.push(RunEvent::RunEnded { outcome: RunOutcome::Done, result: std::collections::BTreeMap::new() });
    events
}

fn short() -> (Vec<Vec<u8>>, Vec<Entry>) {
    sample_run::write(short_events())
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal/v1.jsonl")
}

/// A fresh directory and the path of a journal in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.jsonl");
    (directory, path)
}

/// The figures that say how far a journal of `lines` holds when it is cut after `length` bytes.
fn whole_lines(lines: &[Vec<u8>], length: usize) -> (usize, usize) {
    let mut end = 0;
    for (count, line) in lines.iter().enumerate() {
        if end + line.len() > length {
            return (count, end);
        }
        end += line.len();
    }
    (lines.len(), end)
}

#[test]
fn the_file_of_version_1_loads_for_ever() {
    let contents = journal::read(&fixture()).unwrap();
    let run = Run::fold(&contents.entries).unwrap();
    assert_eq!(contents.torn, None);
    assert_eq!((run.id.as_str(), run.outcome_word(), run.sequence), ("7Q2K9XAB", "aborted", 35));
    assert_eq!(run.result["rows.orders"], "4711");
    let (_, entries) = sample();
    assert_eq!(contents.entries, entries, "what is read is what was written");
    let verification = journal::verify(&fixture()).unwrap();
    assert!(verification.holds());
    assert_eq!((verification.entries, verification.ended), (35, Some(RunOutcome::Aborted)));
}

#[test]
fn the_sample_has_every_kind_of_event() {
    let kinds: std::collections::BTreeSet<String> = sample_run::events()
        .iter()
        .map(|event| serde_json::to_value(event).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds.len(), 16, "{kinds:?}");
}

#[test]
fn version_1_is_written_as_it_always_was() {
    let (lines, _) = sample();
    assert_eq!(String::from_utf8(lines.concat()).unwrap(), std::fs::read_to_string(fixture()).unwrap());
}

#[test]
fn any_prefix_folds() {
    let (_, entries) = sample();
    for length in 1..=entries.len() {
        let run = Run::fold(&entries[..length]).unwrap();
        assert_eq!(run.sequence, length as u64);
        assert_eq!(run.head, entries[length - 1].hash);
    }
}

#[test]
fn what_was_appended_is_read_back_and_gone_on_with() {
    let (_directory, path) = place();
    let mut events = sample_run::events().into_iter();
    let (mut journal, first) = Journal::create(&path, events.next().unwrap()).unwrap();
    let mut written = vec![first];
    for event in events.by_ref().take(9) {
        written.push(journal.append(event).unwrap());
    }
    drop(journal);
    let (mut journal, entries, torn) = Journal::open(&path).unwrap();
    assert_eq!((&entries, torn), (&written, None));
    for event in events {
        written.push(journal.append(event).unwrap());
    }
    assert_eq!((journal.sequence(), journal.head()), (35, written[34].hash));
    assert_eq!(journal::read(&path).unwrap().entries, written);
    let length: u64 = std::fs::metadata(&path).unwrap().len();
    let found = std::fs::metadata(&path).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o600);
    assert!(found.blocks() * 512 < length + 65_536, "the room taken ahead is given back at the run's end");
}

#[test]
fn room_is_taken_ahead() {
    let (_directory, path) = place();
    let (_journal, _) = Journal::create(&path, sample_run::events().remove(0)).unwrap();
    let found = std::fs::metadata(&path).unwrap();
    assert!(found.len() < 100_000, "the length is that of the text: {}", found.len());
    assert!(found.blocks() * 512 >= 1_048_576, "1 MiB is reserved: {} blocks", found.blocks());
}

#[test]
fn a_journal_begins_with_a_plan_and_only_once() {
    let (_directory, path) = place();
    let mut events = sample_run::events();
    assert!(matches!(Journal::create(&path, events.remove(1)), Err(JournalError::Illegal { .. })));
    assert!(!path.exists());
    Journal::create(&path, events.remove(0)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let again = Journal::create(&path, sample_run::events().remove(0)).unwrap_err();
    assert!(again.to_string().contains("File exists"), "{again}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn an_event_that_cannot_happen_is_never_written() {
    let (_directory, path) = place();
    let mut events = sample_run::events();
    let last = events.pop().unwrap();
    let (mut journal, _) = Journal::create(&path, events.remove(0)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let ready = events[17].clone(); // the server is ready before it was started
    let error = journal.append(ready).unwrap_err();
    assert!(error.to_string().contains("entry 2: step 'start' is pending"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    journal.append(events.remove(0)).unwrap();
    journal.append(last.clone()).unwrap();
    let error = journal.append(last).unwrap_err();
    assert!(error.to_string().contains("the run had ended before"), "{error}");
    assert_eq!(journal::verify(&path).unwrap().entries, 3);
}

#[test]
fn links_and_other_things_are_not_opened() {
    let (directory, path) = place();
    let real = directory.path().join("real");
    std::fs::write(&real, sample().0.concat()).unwrap();
    std::os::unix::fs::symlink(&real, &path).unwrap();
    for error in [
        journal::read(&path).map(drop).unwrap_err(),
        Journal::open(&path).map(drop).unwrap_err(),
        Follower::open(&path).map(drop).unwrap_err(),
    ] {
        assert!(error.to_string().contains("is a symbolic link"), "{error}");
    }
    assert!(Journal::create(&path, sample_run::events().remove(0)).is_err());
    let error = journal::read(directory.path()).unwrap_err();
    assert!(error.to_string().contains("is a directory"), "{error}");
}

/// Cuts the journal after every byte. A cut at a line's end leaves an exact prefix, any other one a torn tail that is
/// cut off; no entry is ever another one than was written.
#[test]
fn a_cut_after_any_byte_leaves_a_prefix() {
    let (lines, entries) = short();
    let bytes = lines.concat();
    let (_directory, path) = place();
    for length in 0..=bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let (count, end) = whole_lines(&lines, length);
        let torn = (length > end).then(|| TornTail {
            line: count as u64 + 1,
            offset_bytes: end as u64,
            length_bytes: (length - end) as u64,
        });
        let verification = journal::verify(&path).unwrap();
        assert_eq!(verification.damage, None, "cut at {length}");
        assert_eq!((verification.entries, &verification.torn), (count as u64, &torn), "cut at {length}");
        match Journal::open(&path) {
            Ok((_, read, reported)) => {
                assert_eq!((read.as_slice(), reported), (&entries[..count], torn), "cut at {length}");
                assert_eq!(std::fs::metadata(&path).unwrap().len(), end as u64, "the torn tail is cut off");
            }
            Err(JournalError::NothingComplete { .. }) => assert_eq!(count, 0, "cut at {length}"),
            Err(error) => panic!("cut at {length}: {error}"),
        }
    }
}

/// Changes every byte in turn: one bit of it, another one at each place.
#[test]
fn a_flip_in_any_byte_is_found() {
    let (lines, _) = short();
    let bytes = lines.concat();
    let (_directory, path) = place();
    let (mut line, mut end) = (0, lines[0].len());
    for position in 0..bytes.len() {
        if position >= end {
            line += 1;
            end += lines[line].len();
        }
        let mut altered = bytes.clone();
        altered[position] ^= 1 << (position % 8);
        std::fs::write(&path, &altered).unwrap();
        match Journal::open(&path) {
            Err(JournalError::Damaged { line: told, .. }) => assert_eq!(told, line as u64 + 1, "byte {position}"),
            Err(JournalError::NothingComplete { .. }) => panic!("byte {position}: called empty"),
            other => panic!("byte {position}: {other:?}"),
        }
        assert_eq!(std::fs::read(&path).unwrap(), altered, "nothing is touched");
    }
}

#[test]
fn in_a_torn_line_a_wrong_beginning_is_damage_and_the_rest_is_dropped() {
    let (lines, _) = short();
    let (_directory, path) = place();
    let whole = lines[..3].concat();
    let with = |tail: &[u8]| [whole.as_slice(), tail].concat();
    let cut = |bytes: usize| lines[3][..bytes].to_vec();
    let mut altered_late = cut(90);
    altered_late[60] ^= 1;
    let mut grown = cut(90);
    grown.extend([0; 4000]);
    for torn in [cut(1), cut(90), cut(lines[3].len() - 1), altered_late, grown, vec![0; 4096]] {
        std::fs::write(&path, with(&torn)).unwrap();
        let verification = journal::verify(&path).unwrap();
        assert_eq!((verification.entries, verification.damage), (3, None));
        assert_eq!(verification.torn.unwrap().length_bytes, torn.len() as u64);
    }
    let mut no_line_feed = lines[3].clone();
    *no_line_feed.last_mut().unwrap() = b' ';
    for bad in [b"x".to_vec(), lines[4][..20].to_vec(), b"{\"seq\":5".to_vec(), no_line_feed] {
        std::fs::write(&path, with(&bad)).unwrap();
        assert_eq!(journal::verify(&path).unwrap().damage.unwrap().line, 4, "{}", String::from_utf8_lossy(&bad));
        assert!(matches!(Journal::open(&path), Err(JournalError::Damaged { line: 4, .. })));
    }
}

#[test]
fn a_line_removed_doubled_or_moved_is_found() {
    let (lines, _) = sample();
    let (_directory, path) = place();
    let check = |lines: Vec<&[u8]>, told: u64| {
        std::fs::write(&path, lines.concat()).unwrap();
        let damage = journal::verify(&path).unwrap().damage.unwrap();
        assert_eq!(damage.line, told, "{}", damage.what);
    };
    for index in 1..lines.len() - 1 {
        let mut removed: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        removed.remove(index);
        check(removed, index as u64 + 1);
        let mut doubled: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        doubled.insert(index, &lines[index]);
        check(doubled, index as u64 + 2);
        let mut moved: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        moved.swap(index, index + 1);
        check(moved, index as u64 + 1);
    }
    check(lines[1..].iter().map(Vec::as_slice).collect(), 1);
}

#[test]
fn a_cut_at_a_line_end_is_found_by_a_recorded_head() {
    let (lines, entries) = sample();
    let (_directory, path) = place();
    std::fs::write(&path, lines[..20].concat()).unwrap();
    let verification = journal::verify(&path).unwrap();
    assert!(verification.holds(), "the chain alone can't tell");
    assert_eq!(verification.find(&entries[30].hash.to_string()), None, "the recorded head can");
    let found = verification.find(&entries[7].hash.to_string()).unwrap();
    assert_eq!((found.sequence, found.entries_after), (8, 12));
    let short = entries[19].hash.short();
    assert_eq!(verification.find(&short).unwrap().entries_after, 0, "as it is shown: {short}");
    assert_eq!(verification.find(&short[..4]), None, "four digits are too few");
}

#[test]
fn an_entry_that_cannot_follow_is_damage_though_the_chain_holds() {
    let mut events = sample_run::events();
    events.swap(4, 5); // the end of a step before its start
    let (lines, _) = sample_run::write(events);
    let (_directory, path) = place();
    std::fs::write(&path, lines.concat()).unwrap();
    let verification = journal::verify(&path).unwrap();
    assert_eq!((verification.entries, verification.damage.as_ref().unwrap().line), (4, 5));
    assert!(!verification.holds());
}

/// `text` with its hash, as a line that follows `prev`.
fn sealed_line(body: &str) -> Vec<u8> {
    format!("{body},\"hash\":\"{}\"}}\n", lifeboat::domain::digest::Digest::of(body.as_bytes())).into_bytes()
}

#[test]
fn a_newer_format_is_refused_in_words() {
    let (lines, entries) = sample();
    let (_directory, path) = place();
    let zero = "0".repeat(64);
    let head = "\"time\":\"2030-01-01T00:00:00Z\",\"mono_ns\":1,\"boot\":\"b\"";
    let newer = format!(
        "{{\"seq\":1,{head},\"event\":{{\"type\":\"run_created\",\"version\":2,\"shape\":[]}},\"prev\":\"{zero}\""
    );
    std::fs::write(&path, sealed_line(&newer)).unwrap();
    for error in [Journal::open(&path).map(drop).unwrap_err(), journal::verify(&path).map(drop).unwrap_err()] {
        let text = error.to_string();
        assert!(text.contains("format 2, this Lifeboat reads up to 1; use the version"), "{text}");
    }
    let unknown = format!("{{\"seq\":6,{head},\"event\":{{\"type\":\"moon_landed\"}},\"prev\":\"{}\"", entries[4].hash);
    let known = lines[..5].concat();
    std::fs::write(&path, [known, sealed_line(&unknown)].concat()).unwrap();
    let text = journal::read(&path).unwrap_err().to_string();
    assert!(text.contains("line 6") && text.contains("'moon_landed' is not understood"), "{text}");
    let mut follower = Follower::open(&path).unwrap();
    assert_eq!(follower.next().unwrap().len(), 5, "what was good before it is not lost");
    assert!(matches!(follower.next(), Err(JournalError::Newer { line: 6, .. })));
}

#[test]
fn a_follower_tells_when_the_file_is_no_longer_the_one_it_read() {
    let (lines, _) = sample();
    let (directory, path) = place();
    std::fs::write(&path, lines[..10].concat()).unwrap();
    let mut follower = Follower::open(&path).unwrap();
    assert_eq!(follower.next().unwrap().len(), 10);
    std::fs::write(&path, lines[..9].concat()).unwrap();
    let text = follower.next().unwrap_err().to_string();
    assert!(text.contains("lost entries while it was followed"), "{text}");

    std::fs::write(&path, lines[..10].concat()).unwrap();
    let mut follower = Follower::open(&path).unwrap();
    follower.next().unwrap();
    let other = directory.path().join("other");
    std::fs::write(&other, lines.concat()).unwrap();
    std::fs::rename(&other, &path).unwrap();
    let text = follower.next().unwrap_err().to_string();
    assert!(text.contains("was replaced by another file"), "{text}");
    std::fs::remove_file(&path).unwrap();
    let text = follower.next().unwrap_err().to_string();
    assert!(text.contains("was removed"), "{text}");
}

#[test]
fn a_follower_survives_a_torn_tail_that_a_new_runner_cuts_off() {
    let (lines, entries) = sample();
    let (_directory, path) = place();
    std::fs::write(&path, [lines[..9].concat(), lines[9][..50].to_vec()].concat()).unwrap();
    let mut follower = Follower::open(&path).unwrap();
    assert_eq!(follower.next().unwrap().len(), 9);
    assert_eq!(follower.next().unwrap(), []);
    let (mut journal, _, torn) = Journal::open(&path).unwrap();
    assert_eq!(torn.unwrap().line, 10);
    let entry = journal.append(entries[9].event.clone()).unwrap();
    assert_eq!(follower.next().unwrap(), [entry]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.div_ceil(4), ..ProptestConfig::default() })]

    #[test]
    fn a_follower_sees_exactly_what_was_appended(chunks in prop::collection::vec(1usize..1500, 1..80)) {
        let (lines, entries) = sample();
        let bytes = lines.concat();
        let (_directory, path) = place();
        let mut file = std::fs::File::create(&path).unwrap();
        let mut follower = Follower::open(&path).unwrap();
        let (mut seen, mut at) = (Vec::new(), 0);
        for chunk in chunks.into_iter().chain([bytes.len()]) {
            let next = (at + chunk).min(bytes.len());
            file.write_all(&bytes[at..next]).unwrap();
            at = next;
            seen.extend(follower.next().unwrap());
            prop_assert_eq!(seen.len(), whole_lines(&lines, at).0);
        }
        prop_assert_eq!(follower.head(), entries[34].hash);
        prop_assert_eq!(seen, entries);
    }

    #[test]
    fn any_change_of_any_length_is_found(
        position in 0usize..20_000, bytes in prop::collection::vec(any::<u8>(), 0..40), replaced in 0usize..40
    ) {
        let (lines, entries) = sample();
        let original = lines.concat();
        let mut altered = original.clone();
        let end = (position + replaced).min(altered.len());
        altered.splice(position..end, bytes);
        prop_assume!(!original.starts_with(&altered));
        let (_directory, path) = place();
        std::fs::write(&path, &altered).unwrap();
        let verification = journal::verify(&path).unwrap();
        prop_assert!(verification.damage.is_some() || verification.torn.is_some());
        let count = usize::try_from(verification.entries).unwrap();
        prop_assert!(count == 0 || verification.head == entries[count - 1].hash, "never a wrong entry");
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000), good in 0usize..4) {
        let (lines, _) = short();
        let (_directory, path) = place();
        std::fs::write(&path, [lines[..good].concat(), bytes].concat()).unwrap();
        let opened = Journal::open(&path).map(|(_, entries, _)| entries.len());
        if let Ok(count) = opened {
            prop_assert_eq!(count, good);
        }
        let verified = journal::verify(&path).unwrap();
        prop_assert_eq!(verified.entries, good as u64);
        let mut follower = Follower::open(&path).unwrap();
        let _ = (follower.next(), follower.next());
    }
}

/// What the child of the two tests below does: appends until it fails, then once more.
#[test]
#[ignore = "the child of the tests of a full file system"]
fn child_appends_until_it_fails() {
    let path = PathBuf::from(std::env::var_os("LIFEBOAT_TEST_JOURNAL").unwrap());
    let (mut journal, first) = Journal::create(&path, sample_run::events().remove(0)).unwrap();
    let mut good = first.sequence;
    let text = "a note that takes room ".repeat(400);
    let error = loop {
        match journal.append(RunEvent::NoteWritten { by: sample_plan::anna(), text: text.clone() }) {
            Ok(entry) => good = entry.sequence,
            Err(error) => break error,
        }
        assert!(good < 1000, "the limit was never met");
    };
    assert!(matches!(error, JournalError::Write { .. }), "{error}");
    let again = journal.append(RunEvent::RunnerStarted { pid: 1, attempt: 1 }).unwrap_err();
    assert!(matches!(again, JournalError::Poisoned { .. }), "{again}");
    let told = std::env::var_os("LIFEBOAT_TEST_TOLD").unwrap();
    std::fs::write(told, format!("{good}\n{error}\n{again}\n")).unwrap();
}

/// Runs the child under `wrapper`, a program and its arguments, and gives what it told.
fn run_child(wrapper: &[&str], journal: &Path, told: &Path) -> (u64, String, String) {
    let output = std::process::Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "child_appends_until_it_fails"])
        .env("LIFEBOAT_TEST_JOURNAL", journal)
        .env("LIFEBOAT_TEST_TOLD", told)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = std::fs::read_to_string(told).unwrap();
    let mut told = told.lines().map(str::to_owned);
    (told.next().unwrap().parse().unwrap(), told.next().unwrap(), told.next().unwrap())
}

#[test]
fn a_failed_write_is_never_retried_and_the_torn_entry_is_found_later() {
    let (_directory, path) = place();
    // The limit is met inside an entry; with SIGXFSZ ignored the write then fails instead of killing the process.
    let limited = r#"trap "" XFSZ; ulimit -f 400; exec "$0" "$@""#;
    let (good, first, second) = run_child(&["sh", "-c", limited], &path, &path.with_extension("told"));
    assert!(first.contains("could not be written durably") && first.contains("`ulimit -f`"), "{first}");
    assert!(second.contains("takes no more entries"), "{second}");
    let (mut journal, entries, torn) = Journal::open(&path).unwrap();
    assert_eq!(entries.len() as u64, good, "every acknowledged entry is there");
    assert_eq!(torn.unwrap().line, good + 1);
    journal.append(RunEvent::RunnerStarted { pid: 2, attempt: 2 }).unwrap();
    assert!(journal::verify(&path).unwrap().holds());
}

/// On a file system of 3 MB of its own, in a mount namespace that ends with the child; for a user who is not root in a
/// user namespace, too.
#[test]
fn a_full_file_system_shows_itself_between_two_entries() {
    let unshare: &[&str] = if rustix::process::geteuid().is_root() {
        &["unshare", "--mount", "sh", "-c"]
    } else {
        &["unshare", "--mount", "--map-root-user", "sh", "-c"]
    };
    let probe = std::process::Command::new(unshare[0]).args(&unshare[1..]).arg("exit 0").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("LIFEBOAT_CI").is_none(), "a full file system has to be shown here: run as root");
        // Written past the test's captured output: this must not go unseen.
        let text = "NOT SHOWN: the journal on a full file system (no mount namespace may be made here; run as root)\n";
        std::io::stderr().write_all(text.as_bytes()).unwrap();
        return;
    }
    let (directory, told) = place();
    let (mounted, kept) = (directory.path().join("small"), directory.path().join("kept"));
    std::fs::create_dir(&mounted).unwrap();
    let script = format!(
        r#"mount -t tmpfs -o size=3m lifeboat-test '{0}' && "$0" "$@" && cp '{0}/journal.jsonl' '{1}'"#,
        mounted.display(),
        kept.display()
    );
    let wrapper: Vec<&str> = unshare.iter().copied().chain([script.as_str()]).collect();
    let (good, first, _) = run_child(&wrapper, &mounted.join("journal.jsonl"), &told.with_extension("told"));
    assert!(first.contains("No space left on device") && first.contains("make room"), "{first}");
    let (_, entries, torn) = Journal::open(&kept).unwrap();
    assert_eq!((entries.len() as u64, torn), (good, None), "the full disk was met in taking room ahead");
}
