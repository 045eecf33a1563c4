//! Who turned the kill switch, for the audit. The file that stops says how it
//! stands now; what was done in between two looks at it is a line each in a
//! second one beside it, which only commands write and only a running bridge
//! reads. A switch that is turned by hand leaves none, and is recorded all the
//! same, as who stands in the file or nobody's doing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::Paused;

/// A longer list was read long ago, or will not be.
const LONGEST: u64 = 64 * 1024;

/// One turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) stops: bool,
    /// `None`: all of them.
    pub(super) connection: Option<String>,
    pub(super) who: String,
}

impl Turn {
    fn line(&self) -> String {
        let act = if self.stops { "pause" } else { "resume" };
        let of = self.connection.as_deref().unwrap_or("*");
        let who = self.who.chars().filter(|c| !c.is_control());
        format!("{act} {of} {}\n", who.collect::<String>())
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let stops = match words.next()? {
            "pause" => true,
            "resume" => false,
            _ => return None,
        };
        let of = words.next()?;
        Some(Self {
            stops,
            connection: (of != "*").then(|| of.to_owned()),
            who: words.next().unwrap_or_default().trim().to_owned(),
        })
    }

    fn is_of(&self, connection: &str) -> bool {
        self.connection.as_deref().is_none_or(|of| of == connection)
    }
}

/// Where the turns are.
pub(super) fn beside(flag: &Path) -> PathBuf {
    flag.with_extension("turned")
}

/// Written when the switch is turned already. That it could not be is no reason
/// not to turn it.
pub(super) fn note(flag: &Path, turn: &Turn) {
    let path = beside(flag);
    // A pipe among them: nobody waits for its reader.
    let unfit = |data: fs::Metadata| !data.is_file() || data.len() > LONGEST;
    if fs::metadata(&path).is_ok_and(unfit) && fs::remove_file(&path).is_err() {
        return;
    }
    // In one write, so that two commands do not mix their lines.
    let _ = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(turn.line().as_bytes()));
}

/// Reads each turn once.
#[derive(Debug)]
struct Turns {
    path: PathBuf,
    read: u64,
}

impl Turns {
    fn next(&mut self) -> Vec<Turn> {
        let text = self.unread().unwrap_or_default();
        text.lines().filter_map(Turn::parse).collect()
    }

    /// The whole lines that were not read yet.
    fn unread(&mut self) -> io::Result<String> {
        let data = fs::metadata(&self.path)?;
        if data.len() < self.read {
            self.read = 0;
        }
        if data.len() == self.read || !data.is_file() {
            return Ok(String::new());
        }
        let mut file = fs::File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        bytes.truncate(whole.map_or(0, |at| at + 1));
        self.read += bytes.len() as u64;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// What is to be recorded: which connection was stopped, or let go on, and by
/// whom where that is said.
pub(in super::super) type Recorded = (String, bool, Option<String>);

/// What was recorded so far, and what has to be next.
#[derive(Debug)]
pub(super) struct Record {
    turns: Turns,
    /// By connection, whether it is stopped.
    stopped: BTreeMap<String, bool>,
    /// Whoever turned these has not said so at the last look.
    unsaid: BTreeSet<String>,
}

impl Record {
    pub(super) fn of(flag: &Path, known: &[String], now: &Paused) -> Self {
        let path = beside(flag);
        // What was done while nothing ran is not done again.
        let read = fs::metadata(&path).map_or(0, |data| data.len());
        let stopped = known.iter().map(|name| (name.clone(), now.stops(name)));
        Self {
            turns: Turns { path, read },
            stopped: stopped.collect(),
            unsaid: BTreeSet::new(),
        }
    }

    /// With how the switch was found before the turns are read. `by_hand` is who
    /// stands in the file.
    pub(super) fn next(
        &mut self,
        seen: &Paused,
        by_hand: impl Fn(&str) -> Option<String>,
    ) -> Vec<Recorded> {
        let mut recorded = Vec::new();
        for turn in self.turns.next() {
            for (name, stopped) in &mut self.stopped {
                if turn.is_of(name) && *stopped != turn.stops {
                    *stopped = turn.stops;
                    recorded.push((name.clone(), turn.stops, Some(turn.who.clone())));
                }
            }
        }
        let mut unsaid = BTreeSet::new();
        for (name, stopped) in &mut self.stopped {
            if *stopped == seen.stops(name) {
                continue;
            }
            // A command turns first and says so then.
            if self.unsaid.contains(name) {
                *stopped = seen.stops(name);
                let who = stopped.then(|| by_hand(name)).flatten();
                recorded.push((name.clone(), *stopped, who));
            } else {
                unsaid.insert(name.clone());
            }
        }
        self.unsaid = unsaid;
        recorded
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{
        super::{pause, read, resume},
        *,
    };

    fn said(name: &str, stops: bool, who: &str) -> Recorded {
        let who = Some(who.to_owned()).filter(|who| !who.is_empty());
        (name.to_owned(), stops, who)
    }

    #[test]
    fn every_turn_is_recorded_with_its_name_however_fast_the_next_one_follows() {
        let folder = tempfile::tempdir().unwrap();
        let flag = folder.path().join("drawbridge.db.paused");
        let known = ["acme".to_owned(), "other".to_owned()];
        pause(&flag, Some("acme"), "earlier").unwrap();
        let mut record = Record::of(&flag, &known, &read(&flag).among(&known));
        let mut next = || record.next(&read(&flag).among(&known), |_| Some("hand".into()));
        assert_eq!(next(), []);
        resume(&flag, Some("acme"), "bob").unwrap();
        pause(&flag, Some("acme"), "carol why").unwrap();
        assert_eq!(
            next(),
            [said("acme", false, "bob"), said("acme", true, "carol")]
        );
        assert_eq!(next(), []);
        resume(&flag, None, "dora").unwrap();
        pause(&flag, None, "emil").unwrap();
        resume(&flag, None, "").unwrap();
        let all = |stops, who| ["acme", "other"].map(|name| said(name, stops, who));
        let mut told = vec![said("acme", false, "dora")];
        told.extend(all(true, "emil"));
        let nobody = |(name, stops, _)| (name, stops, Some(String::new()));
        told.extend(all(false, "").map(nobody));
        assert_eq!(next(), told);
    }

    #[test]
    fn what_is_turned_by_hand_is_recorded_when_nobody_says_so_at_the_next_look() {
        let folder = tempfile::tempdir().unwrap();
        let flag = folder.path().join("drawbridge.db.paused");
        let known = ["acme".to_owned()];
        let mut record = Record::of(&flag, &known, &Paused::default());
        let mut next = || record.next(&read(&flag).among(&known), |_| Some("hand".into()));
        fs::write(&flag, "acme # hand\n").unwrap();
        assert_eq!(next(), []);
        assert_eq!(next(), [said("acme", true, "hand")]);
        fs::remove_file(&flag).unwrap();
        assert_eq!(next(), []);
        assert_eq!(next(), [said("acme", false, "")]);
        // Turned and turned back is nothing that stays.
        fs::write(&flag, "").unwrap();
        assert_eq!(next(), []);
        fs::remove_file(&flag).unwrap();
        assert_eq!((next(), next()), (vec![], vec![]));
    }

    #[test]
    fn lines_that_are_half_written_strange_or_too_many_are_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let flag = folder.path().join("drawbridge.db.paused");
        let path = beside(&flag);
        let mut turns = Turns {
            path: path.clone(),
            read: 0,
        };
        assert_eq!(turns.next(), []);
        fs::write(&path, "what is this\n\npause acme an").unwrap();
        assert_eq!(turns.next(), []);
        fs::write(&path, "what is this\n\npause acme anna\n").unwrap();
        let anna = Turn {
            stops: true,
            connection: Some("acme".into()),
            who: "anna".into(),
        };
        assert_eq!(turns.next(), [anna.clone()]);
        fs::write(&path, "x".repeat(LONGEST as usize + 1)).unwrap();
        note(&flag, &anna);
        assert_eq!(turns.next(), [anna]);
    }
}
