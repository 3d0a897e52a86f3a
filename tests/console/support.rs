//! A console with samples in it.

use crate::sample_plan::{anna, plan};
use crate::sample_run;
use chrono::{DateTime, FixedOffset};
use lifeboat::domain::event::RunId;
use lifeboat::domain::info::decode;
use lifeboat::domain::inventory::{Inventory, LastDrill, LastDrills, RepositoryKey, SetKey};
use lifeboat::domain::progress::{Far, Pace, Progress};
use lifeboat::domain::run::Run;
use lifeboat::domain::wal::{TimelineId, WalSegment};
use lifeboat::engine::ground::{Ground, NewestWal};
use lifeboat::engine::proposal::Proposal;
use lifeboat::engine::rehearsal::Incident;
use lifeboat::planning::check::{VOCABULARY, lint};
use lifeboat::planning::runbook::SHIPPED;
use lifeboat::planning::selection::Choice;
use lifeboat::ui::action::Action;
use lifeboat::ui::event::{Event, OutputPage, Reply, RunCard, RunNews, RunTold, RunbookCard};
use lifeboat::ui::model::{Model, Setup};
use lifeboat::ui::theme::Depth;
use lifeboat::ui::times::Zone;
use lifeboat::ui::update::update;
use lifeboat::ui::view;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use std::path::PathBuf;
use std::time::Duration;

/// The run of the samples.
pub(crate) const RUN: &str = "7Q2K9XAB";
/// The entry with which its gate opens first.
pub(crate) const AT_GATE: usize = 7;
/// The entries until its restore runs.
pub(crate) const RESTORING: usize = 12;
/// The entries until its restore's outcome is unknown.
pub(crate) const UNKNOWN: usize = 14;

pub(crate) fn now() -> DateTime<FixedOffset> {
    "2026-11-22T09:40:00Z".parse().unwrap()
}

/// A console that has just opened.
pub(crate) fn opened(size: (u16, u16), depth: Depth) -> Model {
    let setup = Setup {
        host: "db1".into(),
        operator: anna(),
        program: "lifeboat".into(),
        pgbackrest: "pgbackrest".into(),
        config: "/etc/pgbackrest/pgbackrest.conf".into(),
        settings: "/etc/lifeboat/lifeboat.toml".into(),
        stanza: None,
        zone: Zone::Named(chrono_tz::Europe::Istanbul),
        server_zone: Zone::Named(chrono_tz::UTC),
        seconds: true,
        ascii: depth == Depth::None,
        read_only: false,
        depth,
        theme: "dark".into(),
        practice: None,
    };
    Model::new(setup, size, now())
}

/// A console with backups, runbooks and runs in it.
pub(crate) fn filled(size: (u16, u16), depth: Depth) -> Model {
    let mut model = opened(size, depth);
    reply(&mut model, Reply::Inventory(Ok(inventory("05").into()), drills()));
    reply(&mut model, Reply::Ground("main".into(), ground()));
    reply(&mut model, Reply::Runbooks(Ok(runbooks())));
    reply(&mut model, Reply::Runs(Ok(vec![ended_card()])));
    model
}

/// A console on the page of a run of which so many entries are written.
pub(crate) fn at_run(size: (u16, u16), depth: Depth, entries: usize) -> Model {
    let mut model = filled(size, depth);
    press(&mut model, &["4", "Enter"]);
    news(&mut model, entries);
    model
}

/// A console on a practice cluster to which something has happened.
pub(crate) fn paged(size: (u16, u16), depth: Depth) -> Model {
    let mut model = filled(size, depth);
    model.rehearsal.directory = Some("/tmp/lifeboat-rehearsal-1a2b3c4d".into());
    model.setup.practice = None;
    let page = "PAGE  shop, production\n\nPayments are missing in the shop: customers who paid long ago get reminders. \
                Placing orders works.\nSince about 12:31:07 local time (Europe/Istanbul, Sun 22 Nov 2026).\n\
                Get back what was there before. Tell us what is lost, and when the shop may write again.\n";
    let incident = Incident { page: page.into(), paged_at: now().to_utc() - chrono::TimeDelta::seconds(424) };
    reply(&mut model, Reply::Rehearsal(Ok(Some(incident))));
    model
}

/// News of the run: so many entries are written.
pub(crate) fn news(model: &mut Model, entries: usize) -> Vec<Action> {
    let run = run(entries);
    let restores = entries == RESTORING;
    let far = Far::Restore {
        hundredths: 4321,
        done_bytes: Some(10_000_000),
        total_bytes: Some(23_000_000),
        pace: Pace { bytes_per_second: Some(4_000_000.0), seconds_left: Some(3.2) },
    };
    let progress = restores.then(|| Progress {
        number: 3,
        of: run.steps.len(),
        step: run.plan.steps[2].id.clone(),
        title: run.plan.steps[2].title.clone(),
        seconds: 12,
        overdue: false,
        far: Some(far),
    });
    let actions =
        reply(model, Reply::Run(RunNews { run: Some(Box::new(run)), is_runner_alive: true, progress, driver: None }));
    for action in &actions {
        if let Action::ReadOutput(key, _) = action {
            reply(model, Reply::Output(key.clone(), output()));
        }
    }
    actions
}

pub(crate) fn run(entries: usize) -> Run {
    let (_, entries) = sample_run::write(sample_run::events().into_iter().take(entries));
    Run::fold(&entries).unwrap()
}

pub(crate) fn output() -> OutputPage {
    let text = [
        "2026-11-22 09:11:02.310 P00   INFO: restore command begin 2.45: --delta --pg1-path=/srv/drill/data",
        "2026-11-22 09:11:02.402 P00   INFO: repo1: restore backup set 20261122-023822F_20261122-083829I",
        "2026-11-22 09:11:03.117 P01 DETAIL: restore file /srv/drill/data/base/16384/2619 (10MB, 43.21%)",
    ];
    let lines = text.iter().enumerate().map(|(index, line)| (index as u64 * 100, (*line).to_owned())).collect();
    OutputPage { start: 0, end: 300, length: 300, lines }
}

pub(crate) fn inventory(number: &str) -> Inventory {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/info");
    let mut files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(number)).unwrap();
    let read_at = now().to_utc() - chrono::TimeDelta::seconds(41);
    Inventory::from_info(decode(&std::fs::read(file).unwrap()).unwrap(), read_at, "2.45")
}

/// The sample inventory under so many names.
pub(crate) fn many(stanzas: usize) -> Inventory {
    let mut inventory = inventory("05");
    let one = inventory.stanzas[0].clone();
    inventory.stanzas = (0..stanzas)
        .map(|number| {
            let mut stanza = one.clone();
            stanza.name = format!("cluster{number:04}");
            stanza
        })
        .collect();
    inventory
}

fn drills() -> LastDrills {
    let key =
        SetKey { stanza: "main".into(), repository: RepositoryKey(1), label: "20261122-064008F".parse().unwrap() };
    let at = now().to_utc() - chrono::TimeDelta::hours(2);
    LastDrills::from([(key, LastDrill { at, depth: "rows".into(), verdict: "done".into() })])
}

pub(crate) fn ground() -> Ground {
    let newest = NewestWal {
        segment: WalSegment::parse("00000001000000000000000A").unwrap(),
        archived: now().to_utc() - chrono::TimeDelta::seconds(95),
    };
    Ground { newest: [(RepositoryKey(1), newest)].into(), ..Ground::default() }
}

pub(crate) fn runbooks() -> Vec<RunbookCard> {
    let card = |name: &str, text: &str| RunbookCard {
        name: name.into(),
        file: None,
        runbook: Ok(Box::new(lint(text, &VOCABULARY).unwrap())),
    };
    let mut cards: Vec<RunbookCard> =
        SHIPPED.iter().filter(|(name, _)| *name == "restore-drill").map(|(name, text)| card(name, text)).collect();
    cards.push(RunbookCard {
        name: "broken".into(),
        file: Some("/etc/lifeboat/runbooks/broken.toml".into()),
        runbook: Err("/etc/lifeboat/runbooks/broken.toml:3:1: there is no step kind 'shell'".into()),
    });
    cards
}

pub(crate) fn id() -> RunId {
    RunId::parse(RUN).unwrap()
}

pub(crate) fn ended_card() -> RunCard {
    RunCard {
        id: id(),
        is_runner_alive: false,
        told: Ok(RunTold {
            runbook: "restore-drill".into(),
            outcome: "done",
            is_open: false,
            by: "anna".into(),
            began: now() - chrono::TimeDelta::hours(2),
            ended: Some(now() - chrono::TimeDelta::minutes(119)),
            about: "stanza main · set 20261122-064008F · target latest".into(),
            gate: None,
        }),
    }
}

/// A run that waits.
pub(crate) fn open_card() -> RunCard {
    let mut card = ended_card();
    card.is_runner_alive = true;
    if let Ok(told) = &mut card.told {
        (told.outcome, told.is_open, told.ended) = ("waiting", true, None);
        told.gate = Some("confirm".into());
    }
    card
}

pub(crate) fn proposal() -> Proposal {
    let choice = Choice {
        repository: RepositoryKey(1),
        set: "20261122-023822F_20261122-083829I".parse().unwrap(),
        timeline: TimelineId(1),
        reason: "20261122-023822F_20261122-083829I in repo1 is the only set that fits".into(),
        warnings: vec!["it ended 15 h ago".into()],
        alternatives: Vec::new(),
        pgbackrest: None,
    };
    Proposal::new(id(), plan(), choice, "/srv/drill".into(), 22_800_000)
}

/// An answer comes.
pub(crate) fn reply(model: &mut Model, reply: Reply) -> Vec<Action> {
    update(model, Event::Reply(Box::new(reply)))
}

/// The key of this name: a letter, or `Enter`, `Esc`, `Tab`, `Up`, `Down`, `Left`, `Right`, `PgUp`, `PgDn`, `^S`.
pub(crate) fn key(name: &str) -> KeyEvent {
    let code = match name {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "PgUp" => KeyCode::PageUp,
        "PgDn" => KeyCode::PageDown,
        "Home" => KeyCode::Home,
        "End" => KeyCode::End,
        "Backspace" => KeyCode::Backspace,
        _ => KeyCode::Char(name.chars().last().unwrap()),
    };
    let control = name.len() == 2 && name.starts_with('^');
    let modifiers = if control { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
    match (control, code) {
        (true, KeyCode::Char(letter)) => KeyEvent::new(KeyCode::Char(letter.to_ascii_lowercase()), modifiers),
        _ => KeyEvent::new(code, modifiers),
    }
}

/// Keys of a calm hand: half a second between two.
pub(crate) fn press(model: &mut Model, names: &[&str]) -> Vec<Action> {
    let mut actions = Vec::new();
    for name in names {
        let at = model.last_key + Duration::from_millis(500);
        actions.extend(update(model, Event::Key(key(name), at)));
    }
    actions
}

/// Types a text as a hand does.
pub(crate) fn type_text(model: &mut Model, text: &str) {
    for letter in text.chars() {
        let at = model.last_key + Duration::from_millis(90);
        update(model, Event::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE), at));
    }
}

/// The picture.
pub(crate) fn picture(model: &Model) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, model.size.0, model.size.1));
    view::view(model, &mut buffer);
    buffer
}

/// The picture's text, a line a row.
pub(crate) fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let rows = buffer.content.chunks(width.max(1));
    rows.map(|row| {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        format!("{}\n", line.trim_end())
    })
    .collect()
}

/// What a person sees.
pub(crate) fn screen(model: &Model) -> String {
    text(&picture(model))
}
