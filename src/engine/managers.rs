//! Who would start a stopped server again: systemd, Debian's pg_ctlcluster, a cluster manager.
//!
//! Everything is read below a root, `/` in earnest: process table, unit files, configuration. Nothing is asked of the
//! managers themselves: their answers need rights and a network that an incident may not have.

mod hold;
mod start_conf;

pub use hold::{Commands, is_held};
pub use start_conf::{Held, StartConf, StartConfError};

use crate::domain::text::{clean, clean_bytes};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file larger than this is no configuration.
const LARGEST: u64 = 1 << 20;

/// Where units lie, the strongest first.
pub(crate) const UNIT_FOLDERS: [&str; 4] =
    [ADMINISTRATORS_UNITS, "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];

/// What lies here goes before everything else, also before a mask of `systemctl mask --runtime`.
const ADMINISTRATORS_UNITS: &str = "etc/systemd/system";

/// What manages a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// Nothing that was found.
    None,
    /// Debian's cluster tools.
    PgCtlcluster,
    /// A unit of systemd.
    Systemd,
    /// Patroni.
    Patroni,
    /// repmgr.
    Repmgr,
    /// Pacemaker.
    Pacemaker,
    /// Another program that starts servers.
    Other,
}

impl Manager {
    /// Its word in runbooks.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Manager::None => "none",
            Manager::PgCtlcluster => "pg_ctlcluster",
            Manager::Systemd => "systemd",
            Manager::Patroni => "patroni",
            Manager::Repmgr => "repmgr",
            Manager::Pacemaker => "pacemaker",
            Manager::Other => "other",
        }
    }
}

/// A manager, and what was seen of it. Texts are cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which.
    pub manager: Manager,
    /// What was seen.
    pub evidence: String,
    /// It is at work now: it would act. Otherwise only its configuration names the directory.
    pub at_work: bool,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Managed {
    /// Cluster managers and other programs that would act on their own.
    pub sightings: Vec<Sighting>,
    /// The unit of systemd: `postgresql@15-main.service`.
    pub unit: Option<String>,
    /// The unit is a file of the administrator's own, which a runtime mask does not cover.
    pub unit_is_administrators: bool,
    /// The server runs and is none of that unit's processes: somebody started it past systemd.
    pub outside_unit: bool,
    /// Debian's cluster: version and name.
    pub cluster: Option<(String, String)>,
    /// How unit and cluster were found.
    pub evidence: Vec<String>,
}

impl Managed {
    /// Says which unit it is, where that is known from elsewhere.
    pub fn name_unit(&mut self, root: &Path, unit: &str) {
        self.unit_is_administrators = root.join(ADMINISTRATORS_UNITS).join(unit).is_file();
        self.unit = Some(clean(unit));
    }

    /// The strongest manager: one that is at work, then systemd, then Debian's tools, then one that is only configured.
    ///
    /// Debian's tools go through the unit where systemd runs, but only for root: past it, the unit would count as failed
    /// and could be started in the middle, and the server would end with the session that started it.
    #[must_use]
    pub fn manager(&self) -> Manager {
        let at_work = self.sightings.iter().find(|one| one.at_work).map(|one| one.manager);
        let local = match (&self.unit, &self.cluster) {
            (Some(_), _) => Some(Manager::Systemd),
            (None, Some(_)) => Some(Manager::PgCtlcluster),
            (None, None) => None,
        };
        at_work.or(local).or(self.sightings.first().map(|one| one.manager)).unwrap_or(Manager::None)
    }
}

/// Looks below `root` for whatever manages `data_directory`. `postmaster`: the running server, if there is one.
#[must_use]
pub fn find(root: &Path, data_directory: &Path, postmaster: Option<u32>) -> Managed {
    let mut found = Managed::default();
    let processes = processes(root);
    debian(root, data_directory, &mut found);
    systemd(root, data_directory, postmaster, &mut found);
    if let Some(unit) = found.unit.clone() {
        found.name_unit(root, &unit);
    }
    patroni(root, data_directory, &processes, &mut found);
    repmgr(root, data_directory, &processes, &mut found);
    pacemaker(root, data_directory, &processes, &mut found);
    parents(&processes, postmaster, &mut found);
    found
}

/// `/etc/postgresql/15/main/postgresql.conf` whose `data_directory` it is.
fn debian(root: &Path, data_directory: &Path, found: &mut Managed) {
    for version in entries(&root.join("etc/postgresql")) {
        for cluster in entries(&version) {
            let conf = cluster.join("postgresql.conf");
            let Some(text) = read(&conf) else { continue };
            if !sets(&text, "data_directory", data_directory) {
                continue;
            }
            let name = |path: &Path| clean(&path.file_name().unwrap_or_default().to_string_lossy());
            found.evidence.push(format!("{} names it", shown(root, &conf)));
            found.cluster = Some((name(&version), name(&cluster)));
        }
    }
}

fn systemd(root: &Path, data_directory: &Path, postmaster: Option<u32>, found: &mut Managed) {
    let own = postmaster.and_then(|pid| unit_of(root, pid));
    if let Some(unit) = own.filter(|unit| starts_postgres(root, unit)) {
        found.evidence.push(format!("the server's process belongs to {unit}"));
        found.unit = Some(unit);
        return;
    }
    let runs = root.join("run/systemd/system").is_dir();
    if let (Some((version, cluster)), true) = (&found.cluster, runs) {
        // pg_ctlcluster itself goes through this unit
        let unit = format!("postgresql@{version}-{cluster}.service");
        found.outside_unit = postmaster.is_some();
        if found.outside_unit {
            found.evidence.push(format!("its server was started past {unit} and does not belong to it"));
        }
        found.unit = Some(unit);
        return;
    }
    for folder in UNIT_FOLDERS {
        for path in entries(&root.join(folder)) {
            let unit = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // a drop-in folder counts for its unit
            let (unit, files) = match unit.strip_suffix(".d") {
                Some(unit) => (unit.to_owned(), entries(&path)),
                None => (unit, vec![path.clone()]),
            };
            if !unit.ends_with(".service") {
                continue;
            }
            let names = |file: &PathBuf| read(file).is_some_and(|text| mentions(&text, data_directory));
            if let Some(file) = files.iter().find(|file| names(file)) {
                found.evidence.push(format!("{} names it", shown(root, file)));
                found.unit.get_or_insert(clean(&unit));
            }
        }
    }
}

/// The service a process belongs to, by its control group; sessions and users' managers are none.
fn unit_of(root: &Path, pid: u32) -> Option<String> {
    let text = read(&root.join(format!("proc/{pid}/cgroup")))?;
    let groups = text.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        (controllers.is_empty() || controllers == "name=systemd").then_some(path)
    });
    let units = groups.filter_map(|path| path.rsplit('/').find(|part| part.ends_with(".service")));
    units.filter(|unit| !unit.starts_with("user@")).map(clean).next()
}

/// A unit whose text says so, or has no text here. A server that was started by hand belongs to whatever its starter did:
/// `cron.service`, `ssh.service`.
fn starts_postgres(root: &Path, unit: &str) -> bool {
    let text = unit_text(root, unit);
    text.is_none_or(|text| ["postgres", "pg_ctl", "pgsql"].iter().any(|word| text.contains(word)))
}

/// The text of a unit, of its template where it is an instance; none where it is masked or has none.
pub(crate) fn unit_text(root: &Path, name: &str) -> Option<String> {
    let template = name.split_once('@').and_then(|(stem, rest)| {
        let suffix = rest.rsplit('.').next()?;
        Some(format!("{stem}@.{suffix}"))
    });
    let names: Vec<String> = [Some(name.to_owned()), template].into_iter().flatten().collect();
    names.iter().flat_map(|name| UNIT_FOLDERS.map(|folder| root.join(folder).join(name))).find_map(|path| read(&path))
}

fn patroni(root: &Path, data_directory: &Path, processes: &[Process], found: &mut Managed) {
    let mut configured = Vec::new();
    let mut files = entries(&root.join("etc/patroni"));
    files.extend(files.clone().iter().flat_map(|folder| entries(folder)));
    files.extend([root.join("etc/patroni.yml"), root.join("etc/patroni.yaml"), root.join("etc/patroni/patroni.yml")]);
    files.extend(processes.iter().filter(|process| process.is("patroni")).flat_map(|process| {
        let yaml = |word: &&String| word.ends_with(".yml") || word.ends_with(".yaml");
        process.words.iter().filter(yaml).map(|word| root.join(word.trim_start_matches('/'))).collect::<Vec<_>>()
    }));
    let names =
        |text: &str| text.lines().any(|line| yaml_value(line, "data_dir").is_some_and(|it| same(it, data_directory)));
    for file in files.into_iter().collect::<BTreeSet<_>>() {
        if read(&file).is_some_and(|text| names(&text)) {
            configured.push(format!("{} names it", shown(root, &file)));
        }
    }
    let left = below(root, data_directory).join("patroni.dynamic.json");
    if left.symlink_metadata().is_ok() {
        configured.push("it holds patroni.dynamic.json".to_owned());
    }
    let running = processes.iter().find(|process| process.is("patroni"));
    sight(Manager::Patroni, configured, running, found);
}

fn repmgr(root: &Path, data_directory: &Path, processes: &[Process], found: &mut Managed) {
    let mut files = vec![root.join("etc/repmgr.conf")];
    for folder in ["etc/repmgr", "etc/postgresql"] {
        let first = entries(&root.join(folder));
        let more: Vec<PathBuf> = first.iter().flat_map(|path| entries(path)).collect();
        files.extend(first.into_iter().chain(more.iter().flat_map(|path| entries(path))).chain(more.clone()));
    }
    let is_conf = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("repmgr"));
    let own = files.into_iter().filter(is_conf).collect::<BTreeSet<_>>().into_iter();
    let named = own.filter(|path| read(path).is_some_and(|text| sets(&text, "data_directory", data_directory)));
    let configured = named.map(|path| format!("{} names it", shown(root, &path))).collect();
    sight(Manager::Repmgr, configured, processes.iter().find(|process| process.is("repmgrd")), found);
}

fn pacemaker(root: &Path, data_directory: &Path, processes: &[Process], found: &mut Managed) {
    let agent = processes.iter().find(|process| process.is("pgsqlms"));
    let running = processes.iter().find(|process| process.is("pacemakerd") || process.is("pacemaker-based"));
    let cib = root.join("var/lib/pacemaker/cib/cib.xml");
    let mut configured = Vec::new();
    match read(&cib) {
        Some(text) if mentions(&text, data_directory) => configured.push(format!("{} names it", shown(root, &cib))),
        // its resources are known, and this directory is none of them
        Some(_) if agent.is_none() => return,
        _ => {}
    }
    sight(Manager::Pacemaker, configured, agent.or(running), found);
}

fn sight(manager: Manager, mut configured: Vec<String>, running: Option<&Process>, found: &mut Managed) {
    if let Some(process) = running {
        configured.insert(0, format!("process {} is {}", process.pid, process.name));
    }
    if !configured.is_empty() {
        found.sightings.push(Sighting { manager, evidence: configured.join("; "), at_work: running.is_some() });
    }
}

/// A program above the server that starts it again.
fn parents(processes: &[Process], postmaster: Option<u32>, found: &mut Managed) {
    let of = |pid: u32| processes.iter().find(|process| process.pid == pid);
    let mut next = postmaster.and_then(of).map(|process| process.parent);
    for _ in 0..16 {
        let Some(process) = next.filter(|pid| *pid > 1).and_then(of) else { return };
        let others = ["pg_autoctl", "stolon-keeper", "supervisord", "runsv", "s6-supervise", "monit", "corosync"];
        if others.iter().any(|name| process.is(name)) {
            let evidence = format!("process {} above the server is {}", process.pid, process.name);
            found.sightings.push(Sighting { manager: Manager::Other, evidence, at_work: true });
            return;
        }
        next = Some(process.parent);
    }
}

struct Process {
    pid: u32,
    parent: u32,
    name: String,
    words: Vec<String>,
}

impl Process {
    /// It is this program, or an interpreter that runs it.
    fn is(&self, program: &str) -> bool {
        let file = |word: &String| Path::new(word).file_name().is_some_and(|name| name == program);
        self.name == program || self.words.iter().take(3).any(file)
    }
}

fn processes(root: &Path) -> Vec<Process> {
    let pid = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let process = |path: PathBuf| {
        let status = read(&path.join("status"))?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let command = std::fs::read(path.join("cmdline")).unwrap_or_default();
        let words = command.split(|byte| *byte == 0).filter(|word| !word.is_empty()).map(clean_bytes).collect();
        let parent = field("PPid:").and_then(|text| text.parse().ok()).unwrap_or(0);
        Some(Process { pid: pid(&path)?, parent, name: clean(field("Name:").unwrap_or_default()), words })
    };
    entries(&root.join("proc")).into_iter().filter(|path| pid(path).is_some()).filter_map(process).collect()
}

/// The entries of a folder in the order of their names; none where it can't be read.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// A small file's text; `None` where it can't be read.
pub(crate) fn read(path: &Path) -> Option<String> {
    use std::io::Read as _;
    // a FIFO would never answer
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(LARGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A path as it is without the root.
pub(crate) fn shown(root: &Path, path: &Path) -> String {
    let bare = path.strip_prefix(root).unwrap_or(path);
    clean(&Path::new("/").join(bare).to_string_lossy())
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn same(text: &str, path: &Path) -> bool {
    let text = Path::new(text.trim_end_matches('/'));
    // one of the two may go through a link
    let real = |path: &Path| path.canonicalize().ok();
    text.is_absolute() && (text == path || real(text).is_some_and(|text| real(path) == Some(text)))
}

/// A line `name = 'path'` that is no comment.
fn sets(text: &str, name: &str, path: &Path) -> bool {
    text.lines().any(|line| {
        let Some(rest) = line.trim_start().strip_prefix(name) else { return false };
        let value = rest.trim_start_matches([' ', '\t', '=']);
        let value = match value.strip_prefix(['\'', '"']) {
            Some(quoted) => quoted.split(['\'', '"']).next().unwrap_or_default(),
            None => value.split([' ', '\t', '#']).next().unwrap_or_default(),
        };
        same(value, path)
    })
}

/// `  data_dir: "path"`.
fn yaml_value<'t>(line: &'t str, key: &str) -> Option<&'t str> {
    let rest = line.trim_start().strip_prefix(key)?.strip_prefix(':')?;
    Some(rest.split(" #").next().unwrap_or_default().trim().trim_matches(['\'', '"']))
}

/// The path stands in the text as a whole: not as the beginning of a longer name.
fn mentions(text: &str, path: &Path) -> bool {
    let wanted = path.to_string_lossy();
    let longer = |next: char| next.is_alphanumeric() || matches!(next, '.' | '_' | '-');
    text.match_indices(wanted.as_ref()).any(|(at, _)| {
        let rest = text[at + wanted.len()..].strip_prefix('/').unwrap_or(&text[at + wanted.len()..]);
        !rest.starts_with(longer)
    })
}

#[cfg(test)]
mod tests;
