//! What the console costs: bytes to the terminal, and the time from a key to its bytes, with 200,000 backup sets known.
//!
//! State and drawing are measured in this process, without a terminal: a key goes into `update`, the picture is made, and
//! its difference to the one before becomes bytes. Bytes do not depend on the machine and are the check; times are told
//! beside their aim. Exit status 1 when a bound on bytes is exceeded.

use chrono::{DateTime, FixedOffset, TimeDelta};
use lifeboat::domain::event::Operator;
use lifeboat::domain::info::decode;
use lifeboat::domain::inventory::{Inventory, LastDrills};
use lifeboat::ui::event::{Event, Reply};
use lifeboat::ui::model::{Model, Setup};
use lifeboat::ui::terminal::difference;
use lifeboat::ui::theme::Depth;
use lifeboat::ui::times::Zone;
use lifeboat::ui::update::update;
use lifeboat::ui::view::view;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const STANZAS: u32 = 1000;
const SETS: u32 = 200;
const KEYS: usize = 400;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Bounds of one size, in bytes.
struct Bounds {
    size: (u16, u16),
    first: usize,
    row: usize,
    page: usize,
    second: usize,
}

const BOUNDS: [Bounds; 2] = [
    Bounds { size: (80, 24), first: 6 * 1024, row: 1024, page: 3 * 1024, second: 40 },
    Bounds { size: (120, 40), first: 10 * 1024, row: 2 * 1024, page: 8 * 1024, second: 40 },
];

fn main() -> ExitCode {
    match bench() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "console bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One stanza as `pgbackrest info` tells it, and then many of them.
fn document() -> String {
    let mut sets = String::new();
    for set in 0..SETS {
        let (day, hour) = (set / 24 % 28 + 1, set % 24);
        let stop = 1_790_000_000 + i64::from(set) * 3600;
        let comma = if set == 0 { "" } else { "," };
        let _ = write!(
            sets,
            r#"{comma}{{"archive":{{"start":"0000000100000000000000{set:02X}","stop":"0000000100000000000000{set:02X}"}},"backrest":{{"format":5,"version":"2.45"}},"database":{{"id":1,"repo-key":1}},"error":false,"info":{{"delta":34000000,"repository":{{"delta":5200000,"size":5200000}},"size":34000000}},"label":"202609{day:02}-{hour:02}0000F","lsn":{{"start":"0/{set:X}000028","stop":"0/{set:X}000100"}},"prior":null,"reference":null,"timestamp":{{"start":{},"stop":{stop}}},"type":"full"}}"#,
            stop - 60
        );
    }
    let mut stanzas = String::new();
    for stanza in 0..STANZAS {
        let comma = if stanza == 0 { "" } else { "," };
        let _ = write!(
            stanzas,
            r#"{comma}{{"archive":[{{"database":{{"id":1,"repo-key":1}},"id":"15-1","max":"0000000100000000000000C8","min":"000000010000000000000001"}}],"backup":[{sets}],"cipher":"none","db":[{{"id":1,"repo-key":1,"system-id":7711077164953686195,"version":"15"}}],"name":"cluster{stanza:04}","repo":[{{"cipher":"none","key":1,"status":{{"code":0,"message":"ok"}}}}],"status":{{"code":0,"lock":{{"backup":{{"held":false}}}},"message":"ok"}}}}"#
        );
    }
    format!("[{stanzas}]")
}

fn opened(size: (u16, u16), now: DateTime<FixedOffset>) -> Model {
    let setup = Setup {
        host: "db1".into(),
        operator: Operator { name: "anna".into(), uid: 113 },
        program: "lifeboat".into(),
        pgbackrest: "pgbackrest".into(),
        config: "/etc/pgbackrest/pgbackrest.conf".into(),
        settings: "/etc/lifeboat/lifeboat.toml".into(),
        stanza: None,
        zone: Zone::Named(chrono_tz::Europe::Istanbul),
        server_zone: Zone::Named(chrono_tz::UTC),
        ascii: false,
        depth: Depth::Palette,
        theme: "dark".into(),
        practice: None,
    };
    Model::new(setup, size, now)
}

fn picture(model: &Model) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, model.size.0, model.size.1));
    view(model, &mut buffer);
    buffer
}

/// A key, and its bytes; how many, and how long it took.
fn press(model: &mut Model, shown: &mut Buffer, code: KeyCode) -> Outcome<(usize, Duration)> {
    let at = model.last_key + Duration::from_millis(100);
    let started = Instant::now();
    update(model, Event::Key(KeyEvent::new(code, KeyModifiers::NONE), at));
    let next = picture(model);
    let bytes = difference(shown, &next)?;
    let took = started.elapsed();
    *shown = next;
    Ok((bytes.len(), took))
}

fn bench() -> Outcome<bool> {
    let mut out = std::io::stdout().lock();
    let now: DateTime<FixedOffset> = "2026-11-22T09:40:00Z".parse()?;
    let inventory = Inventory::from_info(decode(document().as_bytes())?, now.to_utc(), "2.45");
    let sets: usize =
        inventory.stanzas.iter().flat_map(|stanza| &stanza.repositories).map(|found| found.sets.len()).sum();
    writeln!(out, "console, {sets} backup sets of {} stanzas", inventory.stanzas.len())?;
    let mut good = true;
    for bounds in BOUNDS {
        let (columns, rows) = bounds.size;
        let mut model = opened(bounds.size, now);
        let started = Instant::now();
        let empty = picture(&model);
        let blank = Buffer::empty(empty.area);
        let opening = difference(&blank, &empty)?.len();
        let first_took = started.elapsed();
        update(&mut model, Event::Reply(Box::new(Reply::Inventory(Ok(inventory.clone()), LastDrills::new()))));
        let mut shown = picture(&model);
        let first = difference(&blank, &shown)?.len().max(opening);
        let mut moved = Vec::new();
        let mut times = Vec::new();
        for key in 0..KEYS {
            let code = if key / 100 % 2 == 0 { KeyCode::Up } else { KeyCode::Down };
            let (bytes, took) = press(&mut model, &mut shown, code)?;
            moved.push(bytes);
            times.push(took);
        }
        moved.sort_unstable();
        times.sort_unstable();
        let (page, _) = press(&mut model, &mut shown, KeyCode::PageUp)?;
        update(&mut model, Event::Tick(now + TimeDelta::seconds(1)));
        let next = picture(&model);
        let second = difference(&shown, &next)?.len();
        let idle = difference(&next, &picture(&model))?.len();
        let row = moved[moved.len() / 2];
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        writeln!(out, "{columns}x{rows}")?;
        writeln!(out, "  first picture            {:>9.3} ms  (aim 10 ms for all of it)", millis(first_took))?;
        writeln!(out, "  key to bytes   p50 {:.3} ms  p99 {:.3} ms  (aims 0.3 and 2)", millis(p50), millis(p99))?;
        for (what, bytes, most) in [
            ("first frame", first, bounds.first),
            ("a moved cursor, details and all", row, bounds.row),
            ("a page", page, bounds.page),
            ("a second on the clock", second, bounds.second),
            ("nothing new", idle, 0),
        ] {
            let word = if bytes <= most { "ok" } else { "TOO MANY" };
            writeln!(out, "  {what:<32} {bytes:>6} bytes  (at most {most}) {word}")?;
            good &= bytes <= most;
        }
    }
    Ok(good)
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
