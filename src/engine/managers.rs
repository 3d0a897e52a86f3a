//! Who would start a stopped server again: systemd, Debian's pg_ctlcluster, a cluster manager.
//!
//! Everything is read below a root, `/` in earnest: process table, unit files, configuration. Nothing is asked of the
//! managers themselves: their answers need rights and a network that an incident may not have.

mod cluster_managers;
mod hold;
mod start_conf;

pub use cluster_managers::Sighting;
pub use hold::{Commands, is_held};
pub use start_conf::{Held, StartConf, StartConfError};

use crate::domain::text::clean;
use cluster_managers::{Process, parents, processes};
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
    /// The unit of a cluster manager that the server's process belongs to: `patroni@15-main.service`. It outlives that
    /// unit: the manager's stop leaves it running (`KillMode=process`).
    pub managers_unit: Option<String>,
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
        let local = Some(self.local()).filter(|local| *local != Manager::None);
        let configured = || self.sightings.first().map(|one| one.manager);
        self.at_work().map(|one| one.manager).or(local).or_else(configured).unwrap_or(Manager::None)
    }

    /// What stops and starts it on this host, once no cluster manager is at work.
    #[must_use]
    pub fn local(&self) -> Manager {
        match (&self.unit, &self.cluster) {
            (Some(_), _) => Manager::Systemd,
            (None, Some(_)) => Manager::PgCtlcluster,
            (None, None) => Manager::None,
        }
    }

    /// The first that would act on its own now.
    #[must_use]
    pub fn at_work(&self) -> Option<&Sighting> {
        self.sightings.iter().find(|one| one.at_work)
    }
}

/// Looks below `root` for whatever manages `data_directory`. `postmaster`: the running server, if there is one.
#[must_use]
pub fn find(root: &Path, data_directory: &Path, postmaster: Option<u32>) -> Managed {
    let mut found = Managed::default();
    let processes: Vec<Process> = processes(root);
    debian(root, data_directory, &mut found);
    systemd(root, data_directory, postmaster, &mut found);
    if let Some(unit) = found.unit.clone() {
        found.name_unit(root, &unit);
    }
    cluster_managers::find(root, data_directory, &processes, &mut found);
    parents(&processes, postmaster, &mut found);
    found
}

/// `/etc/postgresql/15/main/postgresql.conf` whose `data_directory` it is.
fn debian(root: &Path, data_directory: &Path, found: &mut Managed) {
    for version in entries(&root.join("etc/postgresql")) {
        for cluster in entries(&version) {
            let conf = cluster.join("postgresql.conf");
            if !names_it(root, &conf, data_directory, 0) {
                continue;
            }
            let name = |path: &Path| clean(&path.file_name().unwrap_or_default().to_string_lossy());
            found.evidence.push(format!("{} names it", shown(root, &conf)));
            found.cluster = Some((name(&version), name(&cluster)));
        }
    }
}

/// A configuration says so, or a file that it includes: Patroni puts a `postgresql.conf` of its own before Debian's.
/// PostgreSQL goes ten deep as well.
fn names_it(root: &Path, conf: &Path, data_directory: &Path, depth: usize) -> bool {
    let Some(text) = read(conf).filter(|_| depth <= 10) else { return false };
    let folder = conf.parent().unwrap_or(root);
    let place = |value: &str| if value.starts_with('/') { below(root, Path::new(value)) } else { folder.join(value) };
    text.lines().any(|line| {
        let included = |name: &str| setting(line, name).map(place);
        let mut files: Vec<PathBuf> = ["include", "include_if_exists"].into_iter().filter_map(included).collect();
        let conf = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "conf");
        files.extend(included("include_dir").iter().flat_map(|folder| entries(folder)).filter(conf));
        setting(line, "data_directory").is_some_and(|value| same(value, data_directory))
            || files.iter().any(|file| names_it(root, file, data_directory, depth + 1))
    })
}

fn systemd(root: &Path, data_directory: &Path, postmaster: Option<u32>, found: &mut Managed) {
    let own = postmaster.and_then(|pid| unit_of(root, pid));
    found.managers_unit = own.clone().filter(|unit| cluster_managers::of_unit(root, unit).is_some());
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
            if !unit.ends_with(".service") || cluster_managers::of_unit(root, &unit).is_some() {
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
/// `cron.service`, `ssh.service`; one that a cluster manager started, to the manager's.
fn starts_postgres(root: &Path, unit: &str) -> bool {
    if cluster_managers::of_unit(root, unit).is_some() {
        return false;
    }
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
    text.lines().any(|line| setting(line, name).is_some_and(|value| same(value, path)))
}

/// The value of a line `name = 'value'` or `name 'value'`.
fn setting<'t>(line: &'t str, name: &str) -> Option<&'t str> {
    let rest = line.trim_start().strip_prefix(name)?;
    let value = rest.trim_start_matches([' ', '\t', '=']);
    match value.strip_prefix(['\'', '"']) {
        Some(quoted) => quoted.split(['\'', '"']).next(),
        // a longer name: `include_dir` is no `include`
        None if rest.len() == value.len() => None,
        None => value.split([' ', '\t', '#']).next(),
    }
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
