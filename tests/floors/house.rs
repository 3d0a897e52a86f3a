//! The floors, what they may use, and what is wrong with a set of sources.

use crate::source::{self, Written};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// Each floor with what it may use besides itself. The report lays out what it is given: it has no need of the engine.
const FLOORS: [(&str, &[&str]); 7] = [
    ("domain", &[]),
    ("planning", &["domain"]),
    ("settings", &["domain"]),
    ("engine", &["domain", "planning", "settings"]),
    ("report", &["domain", "planning"]),
    ("cli", &["domain", "planning", "settings", "engine", "report"]),
    ("ui", &["domain", "planning", "settings", "engine", "report"]),
];

/// Floors that compute and do nothing else.
const PURE: [&str; 2] = ["domain", "planning"];

/// What a pure floor may not name.
const IMPURE: [&[&str]; 14] = [
    &["std", "fs"],
    &["std", "process"],
    &["std", "net"],
    &["std", "env"],
    &["std", "thread"],
    &["std", "os"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["tokio"],
    &["ratatui"],
    &["chrono", "Local"],
    &["rustix"],
    &["duct"],
    &["crossterm"],
];

/// Something that may not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// A floor uses one that it may not use.
    LooksUp { place: String, path: String, floor: String, target: String },
    /// A pure floor names something that touches the machine.
    Impure { place: String, path: String },
    /// It does not say which room it uses.
    Hidden { place: String, path: String },
    /// Rooms of a floor use one another in a circle.
    Circle { floor: String, rooms: Vec<String>, places: Vec<String> },
}

impl fmt::Display for Complaint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Complaint::LooksUp { place, path, floor, target } => {
                write!(out, "{place}: {path}: {floor} may not use {target}")
            }
            Complaint::Impure { place, path } => {
                write!(out, "{place}: {path}: this floor computes and touches nothing")
            }
            Complaint::Hidden { place, path } => write!(out, "{place}: {path}: name the room that is used"),
            Complaint::Circle { floor, rooms, places } => {
                write!(out, "{floor}: {} (by {})", rooms.join(" → "), places.join(", "))
            }
        }
    }
}

/// A file's place in the house.
struct Place {
    /// `engine`, `store`, `locks`: the path of its module.
    module: Vec<String>,
    floor: String,
    /// The floor's entrance is the room `mod`.
    room: String,
}

fn place(path: &Path) -> Option<Place> {
    let mut module: Vec<String> =
        path.with_extension("").components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    let floor = module.first()?.clone();
    let room = module.get(1).cloned().unwrap_or_else(|| "mod".to_owned());
    FLOORS.iter().any(|(name, _)| *name == floor).then_some(Place { module, floor, room })
}

/// Which rooms use which, in one floor, with the place that says so.
type Rooms = BTreeMap<String, BTreeMap<String, String>>;

/// Everything that is wrong with these files (paths below `src/`).
pub(crate) fn complaints(files: &[(PathBuf, String)]) -> Vec<Complaint> {
    let sources: Vec<(&PathBuf, source::Source)> =
        files.iter().map(|(path, text)| (path, source::read(text))).collect();
    let for_tests: BTreeSet<Vec<String>> = sources
        .iter()
        .filter_map(|(path, source)| Some((place(path)?, source)))
        .flat_map(|(place, source)| {
            source.only_for_tests.iter().map(move |name| [place.module.as_slice(), std::slice::from_ref(name)].concat())
        })
        .collect();
    let mut found = Vec::new();
    let entrances = entrances(&sources);
    let mut floors: BTreeMap<String, Rooms> = BTreeMap::new();
    for (path, source) in &sources {
        let Some(place) = place(path) else { continue };
        if for_tests.iter().any(|module| place.module.starts_with(module)) {
            continue;
        }
        for written in &source.paths {
            let at = format!("src/{}:{}", path.display(), written.line);
            if PURE.contains(&place.floor.as_str()) && is_impure(&written.segments) {
                found.push(Complaint::Impure { place: at, path: written.segments.join("::") });
                continue;
            }
            let Some(target) = absolute(&place, written, &entrances) else { continue };
            judge(&place, written, &target, at, &entrances, &mut floors, &mut found);
        }
    }
    for (floor, rooms) in &floors {
        found.extend(circle(floor, rooms));
    }
    found
}

/// Of every floor: its rooms, and which room a name handed on by its entrance belongs to.
struct Entrance {
    rooms: BTreeSet<String>,
    handed_on: BTreeMap<String, String>,
}

fn entrances(sources: &[(&PathBuf, source::Source)]) -> BTreeMap<String, Entrance> {
    let mut entrances: BTreeMap<String, Entrance> = BTreeMap::new();
    for (path, _) in sources {
        let Some(place) = place(path) else { continue };
        let entrance = entrances
            .entry(place.floor)
            .or_insert_with(|| Entrance { rooms: BTreeSet::new(), handed_on: BTreeMap::new() });
        if place.room != "mod" {
            entrance.rooms.insert(place.room);
        }
    }
    for (path, source) in sources {
        let Some(place) = place(path).filter(|place| place.module.len() == 1) else { continue };
        let Some(entrance) = entrances.get_mut(&place.floor) else { continue };
        for written in &source.paths {
            let Some(name) = &written.handed_on else { continue };
            let full = ["crate".to_owned(), place.floor.clone()];
            let room = written.segments.strip_prefix(&full[..]).unwrap_or(&written.segments).first();
            if let Some(room) = room.filter(|room| entrance.rooms.contains(*room)) {
                entrance.handed_on.insert(name.clone(), room.clone());
            }
        }
    }
    entrances
}

fn is_impure(segments: &[String]) -> bool {
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    // A whole of which a part is forbidden (`use std::time;`) would let the part in by another name.
    let touches = |forbidden: &&[&str]| names.starts_with(forbidden) || forbidden.starts_with(&names);
    let reads_the_clock = names.windows(2).any(|pair| pair == ["Utc", "now"]);
    reads_the_clock || IMPURE.iter().any(touches)
}

/// The path from the crate's root, where it stays in the crate.
fn absolute(place: &Place, written: &Written, entrances: &BTreeMap<String, Entrance>) -> Option<Vec<String>> {
    let segments = &written.segments;
    match segments[0].as_str() {
        "crate" => Some(segments[1..].to_vec()),
        "super" => {
            let up = segments.iter().take_while(|segment| *segment == "super").count();
            let kept = place.module.len().checked_sub(up)?;
            Some([&place.module[..kept], &segments[up..]].concat())
        }
        first if place.module.len() == 1 && entrances.get(&place.floor)?.rooms.contains(first) => {
            Some([&place.module[..], segments].concat())
        }
        _ => None,
    }
}

fn judge(
    place: &Place,
    written: &Written,
    target: &[String],
    at: String,
    entrances: &BTreeMap<String, Entrance>,
    floors: &mut BTreeMap<String, Rooms>,
    found: &mut Vec<Complaint>,
) {
    let path = written.segments.join("::");
    let Some(floor) = target.first().filter(|_| !target.iter().take(2).any(|segment| segment == "*")) else {
        found.push(Complaint::Hidden { place: at, path });
        return;
    };
    let Some((_, below)) = FLOORS.iter().find(|(name, _)| *name == place.floor) else { return };
    if *floor != place.floor && !below.contains(&floor.as_str()) {
        found.push(Complaint::LooksUp { place: at, path, floor: place.floor.clone(), target: floor.clone() });
        return;
    }
    if *floor != place.floor || floor == "settings" {
        return;
    }
    if target.len() == 1 {
        found.push(Complaint::Hidden { place: at, path });
        return;
    }
    let entrance = entrances.get(floor);
    let room = match entrance {
        Some(entrance) if entrance.rooms.contains(&target[1]) => &target[1],
        Some(entrance) => entrance.handed_on.get(&target[1]).map_or("mod", String::as_str),
        None => "mod",
    };
    if room != place.room {
        let uses = floors.entry(floor.clone()).or_default().entry(place.room.clone()).or_default();
        uses.entry(room.to_owned()).or_insert(at);
    }
}

/// The circles of a floor: one for each set of rooms that can reach one another, its shortest.
fn circle(floor: &str, rooms: &Rooms) -> Vec<Complaint> {
    let mut found = Vec::new();
    let mut told: BTreeSet<String> = BTreeSet::new();
    for start in rooms.keys() {
        if told.contains(start) {
            continue;
        }
        let Some(mut way) = way_back(start, rooms) else { continue };
        told.extend(way.iter().cloned());
        way.push(start.clone());
        let places = way.windows(2).map(|pair| rooms[&pair[0]][&pair[1]].clone()).collect();
        found.push(Complaint::Circle { floor: floor.to_owned(), rooms: way, places });
    }
    found
}

/// The shortest way from a room through others back to it, without its end.
fn way_back(start: &str, rooms: &Rooms) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut ways = std::collections::VecDeque::from([vec![start.to_owned()]]);
    while let Some(way) = ways.pop_front() {
        let last = way.last()?;
        for next in rooms.get(last).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push_back([way.as_slice(), std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}
