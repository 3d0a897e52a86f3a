//! Patroni, repmgr, Pacemaker and supervisors: programs that start a stopped server again, or have another node take over.

use crate::domain::text::{clean, clean_bytes};
use crate::engine::managers::{
    Managed, Manager, below, entries, mentions, read, same, sets, setting, shown, unit_of, unit_text, yaml_value,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Names that units of cluster managers begin with (packages of Debian 12 and of the projects themselves).
const UNITS: [(&str, Manager); 4] = [
    ("patroni", Manager::Patroni),
    ("repmgr", Manager::Repmgr),
    ("pacemaker", Manager::Pacemaker),
    ("corosync", Manager::Pacemaker),
];

/// Interpreters: the program is the file that they are given.
const INTERPRETERS: [&str; 7] = ["python", "pypy", "perl", "bash", "dash", "sh", "env"];

/// A manager, and what was seen of it. Texts are cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which.
    pub manager: Manager,
    /// What was seen.
    pub evidence: String,
    /// It is at work now: it would act. Otherwise only its configuration names the directory.
    pub at_work: bool,
    /// Its process.
    pub pid: Option<u32>,
    /// The unit of systemd that it is.
    pub unit: Option<String>,
    /// Its configuration, for its own client.
    pub config: Option<String>,
}

impl Sighting {
    /// Why nothing is begun, and what to do.
    #[must_use]
    pub fn refused(&self, data_directory: &Path) -> String {
        let (name, directory) = (self.manager.word(), clean(&data_directory.to_string_lossy()));
        format!(
            "{name} is at work on this host, and would act on {directory}: {}\n{}",
            self.evidence,
            self.stand_down()
        )
    }

    /// How a person has it stand down, with its own commands; the end of the work as well. `disable --now` would not do:
    /// systemd 252 leaves the service of an init script running at that (tried: repmgrd of Debian 12).
    #[must_use]
    pub fn stand_down(&self) -> String {
        let unit = |name: &str| self.unit.clone().unwrap_or_else(|| name.to_owned());
        let option = |flag: &str| self.config.as_ref().map_or_else(String::new, |config| format!(" {flag} {config}"));
        match self.manager {
            Manager::Patroni => {
                let (config, unit) = (option("-c"), unit("patroni"));
                format!(
                    "Pause it for the whole cluster (patronictl{config} pause --wait), then stop it on this host, also for the next boot (systemctl stop {unit} && systemctl disable {unit}); otherwise it starts the server in the middle, or another node takes over. At the end: systemctl enable {unit} && systemctl start {unit}, once it is listed patronictl{config} resume, and reinit the replicas."
                )
            }
            Manager::Repmgr => {
                let (config, unit) = (option("-f"), unit("repmgrd"));
                let pid = self.pid.map_or_else(|| "its process".to_owned(), |pid| pid.to_string());
                format!(
                    "Pause it (repmgr{config} service pause) and stop repmgrd on every node (systemctl stop {unit} && systemctl disable {unit}; where that leaves it running, as Debian's init script does without REPMGRD_OPTS=--daemonize=false: kill {pid}); otherwise a standby is promoted as soon as this server stops. At the end: rebuild the standbys, systemctl enable {unit} && systemctl start {unit}, repmgr{config} service unpause."
                )
            }
            Manager::Pacemaker => {
                let unit = unit("pacemaker");
                format!(
                    "Take the resource out of its hands (crm_attribute --name maintenance-mode --update true; or pcs resource unmanage NAME), then stop Pacemaker on this host, also for the next boot (systemctl stop {unit} && systemctl disable {unit}); otherwise it starts the server in the middle, or fails over. At the end: systemctl enable {unit} && systemctl start {unit}, and manage the resource again (crm_attribute --name maintenance-mode --delete)."
                )
            }
            Manager::None | Manager::PgCtlcluster | Manager::Systemd | Manager::Other => {
                "It starts the server again when it stops: tell it to leave it alone (supervisorctl stop NAME, sv down NAME, pg_autoctl stop), and ask again.".to_owned()
            }
        }
    }
}

/// Looks for all three. `found` says already which unit the server's process belongs to.
pub(super) fn find(root: &Path, data_directory: &Path, processes: &[Process], found: &mut Managed) {
    let look = Look { root, data_directory, processes };
    look.patroni(found);
    look.repmgr(found);
    look.pacemaker(found);
}

/// The cluster manager that a unit is: by its name, or by what it starts.
pub(super) fn of_unit(root: &Path, unit: &str) -> Option<Manager> {
    let by_name = UNITS.iter().find(|(name, _)| unit.starts_with(name)).map(|(_, manager)| *manager);
    by_name.or_else(|| {
        let text = unit_text(root, unit)?;
        let starts = text.lines().filter_map(|line| line.trim().strip_prefix("ExecStart="));
        let words: Vec<&str> = starts.flat_map(|line| line.split_whitespace().take(3)).collect();
        let file =
            |word: &&str| word.trim_start_matches(['-', '@', ':', '+', '!']).rsplit('/').next().map(str::to_owned);
        words.iter().filter_map(file).find_map(|name| match name.as_str() {
            "patroni" | "patroni.py" => Some(Manager::Patroni),
            "repmgrd" => Some(Manager::Repmgr),
            "pacemakerd" | "pacemaker-remoted" => Some(Manager::Pacemaker),
            _ => None,
        })
    })
}

struct Look<'l> {
    root: &'l Path,
    data_directory: &'l Path,
    processes: &'l [Process],
}

impl Look<'_> {
    fn patroni(&self, found: &mut Managed) {
        let running: Vec<&Process> = self.running(&["patroni", "patroni.py"]);
        let mut files = entries(&self.root.join("etc/patroni"));
        files.extend(files.clone().iter().flat_map(|folder| entries(folder)));
        files.extend([self.root.join("etc/patroni.yml"), self.root.join("etc/patroni.yaml")]);
        files.extend(running.iter().flat_map(|process| self.named_files(process)));
        let value =
            |text: &str| text.lines().filter_map(|line| yaml_value(line, "data_dir").map(str::to_owned)).collect();
        let conf = self.first(files, |text| {
            let values: Vec<String> = value(text);
            values.iter().any(|value| same(value, self.data_directory))
        });
        let mut evidence = self.named_by(conf.as_deref());
        let left = below(self.root, self.data_directory).join("patroni.dynamic.json");
        if left.symlink_metadata().is_ok() {
            evidence.push("it holds patroni.dynamic.json".to_owned());
        }
        let is_ours = |process: &&&Process| {
            // its environment goes before its file
            let environment = read(&self.root.join(format!("proc/{}/environ", process.pid)));
            let is_open = environment.is_none_or(|text| text.contains("PATRONI_POSTGRESQL_DATA_DIR="));
            is_open || !self.is_of_another(process, &value)
        };
        let running = running.iter().find(is_ours).copied();
        self.sight(Manager::Patroni, evidence, conf, running, found);
    }

    fn repmgr(&self, found: &mut Managed) {
        let running: Vec<&Process> = self.running(&["repmgrd"]);
        let mut files = vec![self.root.join("etc/repmgr.conf")];
        for folder in ["etc/repmgr", "etc/postgresql"] {
            let first = entries(&self.root.join(folder));
            let more: Vec<PathBuf> = first.iter().flat_map(|path| entries(path)).collect();
            files.extend(first.into_iter().chain(more.iter().flat_map(|path| entries(path))).chain(more.clone()));
        }
        files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("repmgr")));
        files.extend(running.iter().flat_map(|process| self.named_files(process)));
        let conf = self.first(files, |text| sets(text, "data_directory", self.data_directory));
        let value =
            |text: &str| text.lines().filter_map(|line| setting(line, "data_directory").map(str::to_owned)).collect();
        let running = running.into_iter().find(|process| !self.is_of_another(process, &value));
        self.sight(Manager::Repmgr, self.named_by(conf.as_deref()), conf, running, found);
    }

    fn pacemaker(&self, found: &mut Managed) {
        let agent = self.running(&["pgsqlms"]).first().copied();
        let running = self.running(&["pacemakerd", "pacemaker-based", "pacemaker-remoted"]).first().copied();
        let cib = self.root.join("var/lib/pacemaker/cib/cib.xml");
        let mut evidence = Vec::new();
        let is_its =
            found.managers_unit.as_ref().is_some_and(|unit| of_unit(self.root, unit) == Some(Manager::Pacemaker));
        match read(&cib) {
            Some(text) if mentions(&text, self.data_directory) => {
                evidence.push(format!("{} names it", shown(self.root, &cib)));
            }
            // `systemd:postgresql@15-main`, or an agent's own default: no directory is named
            Some(text) if ["pgsql", "postgres"].iter().any(|word| text.to_lowercase().contains(word)) => {
                evidence.push(format!("{} has a resource of PostgreSQL's", shown(self.root, &cib)));
            }
            // its resources are known, and this directory is none of them
            Some(_) if agent.is_none() && !is_its => return,
            Some(_) => {}
            None if running.is_some() && !is_its => {
                evidence.push("which resources it has, this user may not read".to_owned());
            }
            None => {}
        }
        self.sight(Manager::Pacemaker, evidence, None, running.or(agent), found);
    }

    fn running(&self, names: &[&str]) -> Vec<&Process> {
        self.processes.iter().filter(|process| names.iter().any(|name| process.is(name))).collect()
    }

    /// The files in a process's command line: `--config-file=PATH`, `PATH`.
    fn named_files(&self, process: &Process) -> Vec<PathBuf> {
        let words =
            process.words.iter().skip(1).map(|word| word.split_once('=').map_or(word.as_str(), |(_, value)| value));
        let conf = |word: &&str| [".yml", ".yaml", ".conf"].iter().any(|ending| word.ends_with(ending));
        words.filter(|word| word.starts_with('/')).filter(conf).map(|word| below(self.root, Path::new(word))).collect()
    }

    /// The first file whose text says so.
    fn first(&self, files: Vec<PathBuf>, names: impl Fn(&str) -> bool) -> Option<PathBuf> {
        let files: BTreeSet<PathBuf> = files.into_iter().collect();
        files.into_iter().find(|file| read(file).is_some_and(|text| names(&text)))
    }

    fn named_by(&self, conf: Option<&Path>) -> Vec<String> {
        conf.iter().map(|path| format!("{} names it", shown(self.root, path))).collect()
    }

    /// A process whose own configuration can be read and names other directories only. `values`: those of a text.
    fn is_of_another(&self, process: &Process, values: &dyn Fn(&str) -> Vec<String>) -> bool {
        let texts = self.named_files(process).into_iter().filter_map(|file| read(&file));
        let named: Vec<String> = texts.flat_map(|text| values(&text)).collect();
        !named.is_empty() && !named.iter().any(|value| same(value, self.data_directory))
    }

    fn sight(
        &self,
        manager: Manager,
        mut evidence: Vec<String>,
        conf: Option<PathBuf>,
        running: Option<&Process>,
        found: &mut Managed,
    ) {
        let of_server = found.managers_unit.clone().filter(|unit| of_unit(self.root, unit) == Some(manager));
        if let Some(unit) = &of_server {
            evidence.insert(0, format!("the server's process belongs to {unit}"));
        }
        let unit = running.and_then(|process| unit_of(self.root, process.pid));
        if let Some(process) = running {
            let unit = unit.as_ref().map_or_else(String::new, |unit| format!(" ({unit})"));
            evidence.insert(0, format!("process {} is {}{unit}", process.pid, process.name));
        }
        if !evidence.is_empty() {
            found.sightings.push(Sighting {
                manager,
                evidence: evidence.join("; "),
                at_work: running.is_some(),
                pid: running.map(|process| process.pid),
                unit: unit.or(of_server),
                config: conf.map(|path| shown(self.root, &path)),
            });
        }
    }
}

/// A program above the server that starts it again.
pub(super) fn parents(processes: &[Process], postmaster: Option<u32>, found: &mut Managed) {
    let of = |pid: u32| processes.iter().find(|process| process.pid == pid);
    let mut next = postmaster.and_then(of).map(|process| process.parent);
    for _ in 0..16 {
        let Some(process) = next.filter(|pid| *pid > 1).and_then(of) else { return };
        let others = ["pg_autoctl", "stolon-keeper", "supervisord", "runsv", "s6-supervise", "monit", "corosync"];
        if others.iter().any(|name| process.is(name)) {
            let evidence = format!("process {} above the server is {}", process.pid, process.name);
            let (manager, pid) = (Manager::Other, Some(process.pid));
            found.sightings.push(Sighting { manager, evidence, at_work: true, pid, unit: None, config: None });
            return;
        }
        next = Some(process.parent);
    }
}

/// A process of the table.
pub(super) struct Process {
    pid: u32,
    parent: u32,
    name: String,
    words: Vec<String>,
}

impl Process {
    /// It is this program, or an interpreter that runs it. Not one that only reads its files: `less /etc/patroni`.
    fn is(&self, program: &str) -> bool {
        let file = |word: &String| Path::new(word).file_name().map(|name| name.to_string_lossy().into_owned());
        let is_it = |word: &String| file(word).is_some_and(|name| name == program);
        let first = self.words.first().and_then(file).unwrap_or_default();
        let interpreted = INTERPRETERS
            .iter()
            .any(|name| first.trim_end_matches(|next: char| next.is_ascii_digit() || next == '.') == *name);
        self.name == program
            || self.words.first().is_some_and(is_it)
            || (interpreted && self.words.iter().take(3).any(is_it))
    }
}

/// The process table.
pub(super) fn processes(root: &Path) -> Vec<Process> {
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
