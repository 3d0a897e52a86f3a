//! The beginning of `global/pg_control`, for when `pg_controldata` can't be asked: it refuses a cluster whose control
//! file was renamed. The first three fields are the same since PostgreSQL 8.0; little-endian.

/// Whose control file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlIdentity {
    /// The cluster's system identifier.
    pub system_identifier: u64,
    /// The format of the control file (1300 for PostgreSQL 13 to 17).
    pub control_version: u32,
    /// The catalog's version: it is part of the names of tablespace directories.
    pub catalog_version: u32,
}

/// Bytes that are not a control file's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ControlFileError(String);

impl ControlIdentity {
    /// Reads the first 16 bytes of a control file.
    ///
    /// # Errors
    /// [`ControlFileError`] for a file that is too short, or whose version numbers no PostgreSQL has.
    pub fn parse(bytes: &[u8]) -> Result<ControlIdentity, ControlFileError> {
        let Some((system, rest)) = bytes.split_first_chunk::<8>() else {
            return Err(ControlFileError(format!("it has only {} bytes", bytes.len())));
        };
        let Some((control, rest)) = rest.split_first_chunk::<4>() else {
            return Err(ControlFileError(format!("it has only {} bytes", bytes.len())));
        };
        let Some(catalog) = rest.first_chunk::<4>() else {
            return Err(ControlFileError(format!("it has only {} bytes", bytes.len())));
        };
        let found = ControlIdentity {
            system_identifier: u64::from_le_bytes(*system),
            control_version: u32::from_le_bytes(*control),
            catalog_version: u32::from_le_bytes(*catalog),
        };
        // 9.3 has 937, 19 has 1900 at most; the catalog's version is a date and a digit
        let plausible = (900..10_000).contains(&found.control_version)
            && (201_000_000..210_000_000).contains(&found.catalog_version)
            && found.system_identifier != 0;
        if plausible {
            Ok(found)
        } else {
            Err(ControlFileError(format!(
                "it speaks of format {} and catalog {}, which no version has",
                found.control_version, found.catalog_version
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// The first bytes of a control file of PostgreSQL 15.
    const REAL: [u8; 16] = [0x34, 0x9c, 0xb6, 0xd3, 0x10, 0x1b, 0x03, 0x6b, 0x14, 0x05, 0, 0, 0x25, 0x77, 0x0d, 0x0c];

    #[test]
    fn a_control_file_of_15_is_read() {
        let found = ControlIdentity::parse(&REAL).unwrap();
        assert_eq!((found.control_version, found.catalog_version), (1300, 202_209_061));
        assert_eq!(found.system_identifier, 7_711_036_746_073_807_924);
    }

    #[test]
    fn what_is_none_is_refused() {
        assert!(ControlIdentity::parse(&REAL[..15]).is_err());
        assert!(ControlIdentity::parse(&[]).is_err());
        assert!(ControlIdentity::parse(&[0; 16]).is_err());
        let mut big_endian = REAL;
        big_endian[8..12].reverse();
        assert!(ControlIdentity::parse(&big_endian).unwrap_err().to_string().contains("no version has"));
    }
}
