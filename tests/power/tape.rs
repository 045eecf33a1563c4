//! The record of what was done to a store's two files, and the files as a
//! power cut would leave them.

use std::{collections::BTreeMap, fmt, path::Path};

use crate::crash::dice::Dice;

/// What a disk writes whole.
const SECTOR: usize = 512;
const HEAD: usize = 14;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    Database,
    Log,
}

#[derive(Debug, Clone)]
pub enum Record {
    Write(File, usize, Vec<u8>),
    Cut(File, usize),
    /// All before is on disk.
    Sync(File),
    /// A request is being answered with 2xx.
    Acknowledged,
}

/// What is left of that which was not synced.
#[derive(Debug, Clone, Copy)]
pub enum Left {
    All,
    Nothing,
    Part,
}

pub struct Tape {
    first: Vec<u8>,
    records: Vec<Record>,
}

/// The two files.
#[derive(Debug, Default)]
pub struct Image(BTreeMap<File, Vec<u8>>);

impl Tape {
    /// `first` is the database before everything that was recorded; it had no log.
    pub fn read(path: &Path, first: Vec<u8>) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let mut records = Vec::new();
        let mut rest = &bytes[..];
        while let Some((head, after)) = rest.split_at_checked(HEAD) {
            let offset = u64::from_ne_bytes(head[2..10].try_into().unwrap());
            let offset = usize::try_from(offset).unwrap();
            let length = u32::from_ne_bytes(head[10..].try_into().unwrap());
            // The kill may have cut the last one off.
            let Some((data, after)) = after.split_at_checked(usize::try_from(length).unwrap())
            else {
                break;
            };
            rest = after;
            let file = match head[1] {
                b'd' => File::Database,
                _ => File::Log,
            };
            records.push(match head[0] {
                b'w' => Record::Write(file, offset, data.to_vec()),
                b'c' => Record::Cut(file, offset),
                b's' => Record::Sync(file),
                b'a' => Record::Acknowledged,
                other => panic!("a record of kind {other}"),
            });
        }
        Self { first, records }
    }

    pub fn without_syncs_of_the_log(&self) -> Self {
        let is_kept = |record: &&Record| !matches!(record, Record::Sync(File::Log));
        Self {
            first: self.first.clone(),
            records: self.records.iter().filter(is_kept).cloned().collect(),
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged_before(self.records.len())
    }

    pub fn acknowledged_before(&self, moment: usize) -> usize {
        let before = self.records[..moment].iter();
        before
            .filter(|it| matches!(it, Record::Acknowledged))
            .count()
    }

    /// Whether the log was carried into the database.
    pub fn carried(&self) -> bool {
        let is_so = |record: &Record| matches!(record, Record::Write(File::Database, ..));
        self.records.iter().any(is_so)
    }

    /// Between two records; every second time around a write to the database,
    /// which is rarer.
    pub fn moment(&self, dice: &mut Dice) -> usize {
        let any = dice.below(self.records.len() + 1);
        if dice.below(2) == 0 {
            return any;
        }
        let is_near = |record: &Record| {
            matches!(
                record,
                Record::Write(File::Database, ..) | Record::Sync(File::Database) | Record::Cut(..)
            )
        };
        let found = self.records[any..].iter().position(is_near);
        found.map_or(any, |further| any + further + dice.below(2))
    }

    pub fn image(&self, moment: usize, left: Left, dice: &mut Dice) -> Image {
        let mut safe = Image::default();
        safe.0.insert(File::Database, self.first.clone());
        let mut loose: Vec<&Record> = Vec::new();
        for record in &self.records[..moment] {
            match record {
                Record::Write(..) | Record::Cut(..) => loose.push(record),
                Record::Acknowledged => {}
                Record::Sync(file) => loose.retain(|it| {
                    let done = it.file() == Some(*file);
                    if done {
                        safe.take(it);
                    }
                    !done
                }),
            }
        }
        for record in loose {
            match left {
                Left::All => safe.take(record),
                Left::Nothing => {}
                Left::Part => record.torn(dice).iter().for_each(|part| safe.take(part)),
            }
        }
        safe
    }
}

impl Record {
    fn file(&self) -> Option<File> {
        match self {
            Self::Write(file, ..) | Self::Cut(file, _) | Self::Sync(file) => Some(*file),
            Self::Acknowledged => None,
        }
    }

    /// Each sector is there or not.
    fn torn(&self, dice: &mut Dice) -> Vec<Self> {
        let Self::Write(file, offset, data) = self else {
            return Vec::from_iter((dice.below(2) == 0).then(|| self.clone()));
        };
        let parts = data.chunks(SECTOR).enumerate();
        let parts = parts.filter(|_| dice.below(2) == 0);
        parts
            .map(|(place, part)| Self::Write(*file, offset + place * SECTOR, part.to_vec()))
            .collect()
    }
}

impl Image {
    fn take(&mut self, record: &Record) {
        match record {
            Record::Write(file, offset, data) => {
                let bytes = self.0.entry(*file).or_default();
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
            Record::Cut(file, length) => self.0.entry(*file).or_default().resize(*length, 0),
            Record::Sync(_) | Record::Acknowledged => {}
        }
    }

    pub fn put(&self, path: &Path) {
        for (file, bytes) in &self.0 {
            let mut name = path.as_os_str().to_owned();
            if *file == File::Log {
                name.push("-wal");
            }
            std::fs::write(name, bytes).unwrap();
        }
    }
}

impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |kind: fn(&Record) -> bool| self.records.iter().filter(|it| kind(it)).count();
        write!(
            f,
            "{} acknowledged, {} writes to the log, {} to the database, {} syncs",
            self.acknowledged(),
            count(|it| matches!(it, Record::Write(File::Log, ..))),
            count(|it| matches!(it, Record::Write(File::Database, ..))),
            count(|it| matches!(it, Record::Sync(_))),
        )
    }
}
