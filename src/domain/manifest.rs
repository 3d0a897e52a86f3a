//! The files of a backup set, as pgBackRest's `backup.manifest` lists them (format 5, pgBackRest 2.x).
//!
//! A line of `[target:file]` is `pg_data/base/1/112={"checksum":"…","size":8192,"timestamp":…}`, or begins with
//! `pg_tblspc/OID/`. The manifest of an encrypted set holds keys: nothing but names and sizes is taken out of it.

use serde::Deserialize;

/// A file of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestFile<'m> {
    /// Its name, relative to the data directory (`base/1/112`, `pg_tblspc/16384/PG_15_202209061/5/16385`).
    pub name: &'m str,
    /// What a restore makes of it, in bytes.
    pub size: u64,
}

/// A manifest that can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// There are no files in it.
    #[error("the manifest lists no files: is it one of pgBackRest 2, decrypted?")]
    NoFiles,
    /// A line of the list.
    #[error("line {0} of the manifest can't be read as a file with its size")]
    Line(
        /// Counted from 1.
        usize,
    ),
}

#[derive(Deserialize)]
struct Listed {
    size: u64,
}

/// The files of a manifest, in its order.
///
/// # Errors
/// [`ManifestError`].
pub fn files(text: &str) -> Result<Vec<ManifestFile<'_>>, ManifestError> {
    let mut files = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('[') && line.ends_with(']') {
            inside = line == "[target:file]";
        } else if inside && !line.is_empty() {
            let read = || {
                let (name, value) = line.split_once("={")?;
                // what is there stands behind its own name, the data directory's files behind pg_data
                let name = name.strip_prefix("pg_data/").or_else(|| name.starts_with("pg_tblspc/").then_some(name))?;
                let listed: Listed = serde_json::from_str(&format!("{{{value}")).ok()?;
                Some(ManifestFile { name, size: listed.size })
            };
            files.push(read().ok_or(ManifestError::Line(number + 1))?);
        }
    }
    if files.is_empty() { Err(ManifestError::NoFiles) } else { Ok(files) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = r#"[backrest]
backrest-format=5
backrest-version="2.45"

[cipher]
cipher-pass="secret"

[target:file]
pg_data/PG_VERSION={"checksum":"c7f0b5","repo-size":22,"size":3,"timestamp":1795372359}
pg_data/a={b={"size":0,"timestamp":1795372359}
pg_tblspc/16384/PG_15_202209061/5/16385={"checksum":"ab","checksum-page":true,"size":8192,"timestamp":1}

[target:file:default]
group="postgres"

[target:path]
pg_data={}
"#;

    #[test]
    fn files_with_their_sizes_are_read() {
        let text = TEXT.replace("a={b=", "a=b=");
        let found = files(&text).unwrap();
        let found: Vec<_> = found.iter().map(|file| (file.name, file.size)).collect();
        assert_eq!(found, [("PG_VERSION", 3), ("a=b", 0), ("pg_tblspc/16384/PG_15_202209061/5/16385", 8192)]);
    }

    #[test]
    fn what_is_no_list_of_files_is_told() {
        assert_eq!(files(TEXT), Err(ManifestError::Line(10)));
        for other in ["", "Salted__\u{fffd}", "[target:path]\npg_data={}\n"] {
            assert_eq!(files(other), Err(ManifestError::NoFiles));
        }
        let said = files("[target:file]\ncipher-pass=\"secret\"\n").unwrap_err().to_string();
        assert!(said.contains("line 2") && !said.contains("secret"), "{said}");
        assert!(files("[target:file]\npg_data/x={\"size\":-1}\n").is_err());
        assert!(files("[target:file]\n/etc/passwd={\"size\":1}\n").is_err());
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(\\[target:file\\]\n|pg_data/|=\\{|\"size\":|1|\\}|\n|\\PC){0,30}") {
            let _ = files(&text);
        }
    }
}
