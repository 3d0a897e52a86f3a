//! `start.conf` of a Debian cluster: with `disabled` in it neither `pg_ctlcluster start`, nor a boot, nor the unit (which calls
//! `pg_ctlcluster`) starts the server. It belongs to the cluster's owner, so that no root is needed.
//! (pg_createcluster(8), "STARTUP CONTROL"; postgresql-common 248.)

use crate::domain::event::RunId;
use crate::domain::text::clean;
use crate::engine::managers::read;
use crate::engine::replace_file::{self, ReplaceError};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Where Debian keeps the configuration of its clusters: `/etc/postgresql/15/main`.
const CLUSTERS: &str = "/etc/postgresql";

const FILE: &str = "start.conf";

/// What it said before: beside it, so that whoever finds the cluster disabled finds that, too.
const BEFORE: &str = "start.conf.before-recovery";

/// Why it could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum StartConfError {
    /// A file could not be written.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
    /// What it said before could not be put back.
    #[error("{} can't be renamed to {FILE}: {source}; rename it by hand, as the cluster's owner or as root", path.display())]
    PutBack {
        /// What it said before.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What holding came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It says `disabled` now.
    Now,
    /// An earlier pass or run did it already, and what it said before that is kept.
    Before,
    /// Somebody else had disabled it: it is left as it is, and stays so.
    ByOthers,
}

/// The file of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartConf(PathBuf);

impl StartConf {
    /// The one beside this `postgresql.conf`; none where that does not lie in Debian's place.
    #[must_use]
    pub fn beside(config_file: &Path) -> Option<StartConf> {
        let directory = config_file.parent()?;
        let is_cluster = directory.parent().and_then(Path::parent) == Some(Path::new(CLUSTERS));
        is_cluster.then(|| StartConf::of(directory))
    }

    /// The one in this directory.
    #[must_use]
    pub fn of(directory: &Path) -> StartConf {
        StartConf(directory.join(FILE))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where it is kept what it said before.
    #[must_use]
    pub fn before(&self) -> PathBuf {
        self.0.with_file_name(BEFORE)
    }

    /// What it says, cleaned: the first word outside comments; `auto` where there is none.
    #[must_use]
    pub fn says(&self) -> String {
        let text = read(&self.0).unwrap_or_default();
        let bare = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
        let first = text.lines().map(bare).find(|line| !line.is_empty());
        clean(&first.unwrap_or_else(|| "auto".to_owned()))
    }

    /// `pg_ctlcluster` refuses to start the cluster.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        // as PgCommon.pm reads it: by its beginning
        self.says().starts_with("disabled")
    }

    /// A recovery holds it, or left it held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.before().symlink_metadata().is_ok()
    }

    /// Disables the cluster for the run `run`. What it said is kept first, and never written over.
    ///
    /// # Errors
    /// [`StartConfError`]; it still says what it said.
    pub fn hold(&self, run: &RunId) -> Result<Held, StartConfError> {
        let held = if self.is_held() { Held::Before } else { Held::Now };
        if held == Held::Now {
            if self.is_disabled() {
                return Ok(Held::ByOthers);
            }
            let text = std::fs::read(&self.0).unwrap_or_else(|_| b"auto\n".to_vec());
            replace_file::replace(&self.before(), &text, self.mode())?;
        }
        let text = format!(
            "# Run {run} of Lifeboat recovers this cluster in place: nothing may start it now.\n\
             # The run lets it go at its end. Where it was aborted, by hand: mv {BEFORE} {FILE}\ndisabled\n"
        );
        replace_file::replace(&self.0, text.as_bytes(), self.mode())?;
        Ok(held)
    }

    /// It says again what it said; `false` where nothing was held.
    ///
    /// # Errors
    /// [`StartConfError`]; what it said before is still there.
    pub fn let_go(&self) -> Result<bool, StartConfError> {
        let path = self.before();
        match std::fs::rename(&path, &self.0) {
            Ok(()) => {
                // lost with a crash, it is found held again and let go again
                let _ = self.0.parent().map(|folder| std::fs::File::open(folder).and_then(|folder| folder.sync_all()));
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StartConfError::PutBack { path, source }),
        }
    }

    fn mode(&self) -> u32 {
        self.0.metadata().map_or(0o644, |found| found.permissions().mode() & 0o777)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::fs;

    fn run() -> RunId {
        RunId::parse("7K3D9F2M").unwrap()
    }

    #[test]
    fn it_is_disabled_once_and_says_again_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let conf = StartConf::of(folder.path());
        let text = "# Automatic startup configuration\n\nmanual # since June\n";
        fs::write(conf.path(), text).unwrap();
        assert_eq!(conf.says(), "manual");
        assert_eq!(conf.hold(&run()).unwrap(), Held::Now);
        assert!(conf.is_disabled() && conf.is_held());
        // by the step's second try, and by the undo of a run that was aborted
        assert_eq!(conf.hold(&run()).unwrap(), Held::Before);
        assert!(fs::read_to_string(conf.path()).unwrap().contains("mv start.conf.before-recovery start.conf"));
        assert!(conf.let_go().unwrap());
        assert_eq!(fs::read_to_string(conf.path()).unwrap(), text);
        assert!(!conf.let_go().unwrap() && !conf.is_held());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_missing_is_auto_and_what_others_disabled_stays_disabled() {
        let folder = tempfile::tempdir().unwrap();
        let conf = StartConf::of(folder.path());
        assert_eq!(conf.says(), "auto");
        assert_eq!(conf.hold(&run()).unwrap(), Held::Now);
        assert!(conf.let_go().unwrap());
        assert_eq!(conf.says(), "auto");
        fs::write(conf.path(), "disabled\n").unwrap();
        assert_eq!(conf.hold(&run()).unwrap(), Held::ByOthers);
        assert!(!conf.let_go().unwrap() && conf.is_disabled());
    }

    #[test]
    fn a_cut_between_the_two_writes_is_mended_by_the_next_pass() {
        let folder = tempfile::tempdir().unwrap();
        let conf = StartConf::of(folder.path());
        fs::write(conf.path(), "auto\n").unwrap();
        fs::write(conf.before(), "auto\n").unwrap();
        assert!(!conf.is_disabled());
        assert_eq!(conf.hold(&run()).unwrap(), Held::Before);
        assert!(conf.is_disabled() && conf.let_go().unwrap() && conf.says() == "auto");
    }

    #[test]
    fn only_debians_place_has_one_and_what_can_not_be_written_is_said() {
        assert!(StartConf::beside(Path::new("/srv/pg/postgresql.conf")).is_none());
        assert!(StartConf::beside(Path::new("/etc/postgresql/postgresql.conf")).is_none());
        let conf = StartConf::beside(Path::new("/etc/postgresql/15/main/postgresql.conf")).unwrap();
        assert_eq!(conf.path(), Path::new("/etc/postgresql/15/main/start.conf"));
        let lost = StartConf::of(Path::new("/nonexistent/15/main"));
        assert!(lost.hold(&run()).unwrap_err().to_string().contains("can't be written"));
        assert!(!lost.let_go().unwrap());
    }
}
