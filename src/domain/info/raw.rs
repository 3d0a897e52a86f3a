//! The document's own shape of a backup set. It borrows from the document's bytes and lives for one set only.

use crate::domain::info::backup::{DatabaseRef, Link, Tablespace};
use crate::domain::info::scalar::Text;
use crate::domain::label::BackupLabel;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A backup object; unknown fields are passed over, every field may be missing.
#[derive(Deserialize)]
pub(crate) struct RawBackup<'a> {
    pub(crate) annotation: Option<Annotations>,
    #[serde(borrow)]
    pub(crate) archive: Option<RawRange<'a>>,
    #[serde(borrow)]
    pub(crate) backrest: Option<RawBackrest<'a>>,
    pub(crate) database: Option<RawDatabaseId>,
    #[serde(rename = "database-ref")]
    pub(crate) database_ref: Option<Vec<DatabaseRef>>,
    pub(crate) error: Option<bool>,
    #[serde(rename = "error-list", borrow)]
    pub(crate) error_list: Option<Vec<Text<'a>>>,
    pub(crate) info: Option<RawSizes>,
    #[serde(borrow)]
    pub(crate) label: Option<Text<'a>>,
    pub(crate) link: Option<Vec<Link>>,
    #[serde(borrow)]
    pub(crate) lsn: Option<RawRange<'a>>,
    #[serde(borrow)]
    pub(crate) prior: Option<Text<'a>>,
    pub(crate) reference: Option<References>,
    pub(crate) tablespace: Option<Vec<Tablespace>>,
    pub(crate) timestamp: Option<RawTimes>,
}

#[derive(Deserialize)]
pub(crate) struct RawRange<'a> {
    #[serde(borrow)]
    pub(crate) start: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) stop: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct RawBackrest<'a> {
    #[serde(borrow)]
    pub(crate) version: Option<Text<'a>>,
}

/// Which database of which repository; the key is absent before 2.32, where there is one repository only.
#[derive(Deserialize)]
pub(crate) struct RawDatabaseId {
    pub(crate) id: Option<u32>,
    #[serde(rename = "repo-key")]
    pub(crate) repo_key: Option<u32>,
}

#[derive(Deserialize)]
pub(crate) struct RawSizes {
    pub(crate) delta: Option<u64>,
    pub(crate) repository: Option<RawRepositorySizes>,
    pub(crate) size: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RawRepositorySizes {
    pub(crate) delta: Option<u64>,
    pub(crate) delta_map: Option<u64>,
    pub(crate) size: Option<u64>,
    pub(crate) size_map: Option<u64>,
}

#[derive(Deserialize)]
pub(crate) struct RawTimes {
    pub(crate) start: Option<i64>,
    pub(crate) stop: Option<i64>,
}

/// Labels, or what is wrong with the first bad one.
pub(crate) struct References(pub(crate) Result<Vec<BackupLabel>, String>);

impl<'de> Deserialize<'de> for References {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<References, D::Error> {
        struct ListVisitor;
        impl<'de> Visitor<'de> for ListVisitor {
            type Value = References;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a list of labels")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<References, A::Error> {
                let mut labels = Ok(Vec::new());
                while let Some(text) = list.next_element::<Text<'_>>()? {
                    match (BackupLabel::parse(&text.0), &mut labels) {
                        (Ok(label), Ok(labels)) => labels.push(label),
                        (Err(error), Ok(_)) => labels = Err(format!("a set it refers to: {error}")),
                        (_, Err(_)) => {}
                    }
                }
                Ok(References(labels))
            }
        }
        deserializer.deserialize_seq(ListVisitor)
    }
}

/// Annotations in the order of the document: name, line end, text, line end.
pub(crate) struct Annotations(pub(crate) String);

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Annotations, D::Error> {
        struct MapVisitor;
        impl<'de> Visitor<'de> for MapVisitor {
            type Value = Annotations;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("annotations by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
                let mut found = String::new();
                while let Some((key, value)) = map.next_entry::<Text<'_>, Text<'_>>()? {
                    found.extend([&*key.cleaned(), "\n", &*value.cleaned(), "\n"]);
                }
                Ok(Annotations(found))
            }
        }
        deserializer.deserialize_map(MapVisitor)
    }
}

/// A string, cleaned at once.
struct Cleaned(Box<str>);

impl<'de> Deserialize<'de> for Cleaned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cleaned, D::Error> {
        Text::deserialize(deserializer).map(|text| Cleaned(text.cleaned()))
    }
}

/// A thing with a name, an oid and a destination: what databases, tablespaces and links are made of.
#[derive(Deserialize)]
struct RawNamed {
    name: Cleaned,
    oid: Option<u32>,
    destination: Option<Cleaned>,
}

impl RawNamed {
    fn oid<E: serde::de::Error>(&self) -> Result<u32, E> {
        self.oid.ok_or_else(|| E::missing_field("oid"))
    }

    fn destination<E: serde::de::Error>(&mut self) -> Result<Box<str>, E> {
        self.destination.take().map(|text| text.0).ok_or_else(|| E::missing_field("destination"))
    }
}

impl<'de> Deserialize<'de> for DatabaseRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DatabaseRef, D::Error> {
        let raw = RawNamed::deserialize(deserializer)?;
        Ok(DatabaseRef { oid: raw.oid()?, name: raw.name.0 })
    }
}

impl<'de> Deserialize<'de> for Tablespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tablespace, D::Error> {
        let mut raw = RawNamed::deserialize(deserializer)?;
        Ok(Tablespace { oid: raw.oid()?, destination: raw.destination()?, name: raw.name.0 })
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Link, D::Error> {
        let mut raw = RawNamed::deserialize(deserializer)?;
        Ok(Link { destination: raw.destination()?, name: raw.name.0 })
    }
}
