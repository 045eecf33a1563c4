//! The kill switch (reliability: G-9): a file beside the store that stops every
//! write to the applications, within a second, while requests are still taken
//! and kept.
//!
//! The file is the whole state, so that it works without a running server, over
//! a restart, and without any of our programs: an empty file stops everything.
//! Otherwise each line names a connection, or `*` for all of them; what follows
//! a `#` is for people. A file that cannot be read stops everything too, and so
//! does one that names a connection that there is not: whoever wrote it meant to
//! stop something.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;
use turns::{Record, Turn};

mod turns;

pub(super) use turns::Recorded;

/// What the file is called, after the store's name and a dot.
pub const FLAG: &str = "paused";
/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A longer file is no list of connections; it stops everything.
const LONGEST: u64 = 64 * 1024;

/// What is stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paused {
    pub everything: bool,
    pub connections: BTreeSet<String>,
    /// Names that are no connection's, for people: the first of them, cut.
    pub unknown: BTreeSet<String>,
}

/// Of names that are no connection's, so many are shown, and so much of each.
const SHOWN: (usize, usize) = (10, 64);

impl Paused {
    pub fn stops(&self, connection: &str) -> bool {
        self.everything || self.connections.contains(connection)
    }

    /// With the names that there are: a name that there is not stops everything.
    #[must_use]
    pub fn among<N: AsRef<str>>(mut self, known: impl IntoIterator<Item = N>) -> Self {
        let mut strange = self.connections.clone();
        strange.remove("*");
        for name in known {
            strange.remove(name.as_ref());
        }
        self.everything |= !strange.is_empty();
        let plain = |name: &String| {
            let plain = name.chars().filter(|c| !c.is_control());
            plain.take(SHOWN.1).collect()
        };
        self.unknown = strange.iter().take(SHOWN.0).map(plain).collect();
        self
    }

    fn is_nothing(&self) -> bool {
        !self.everything && self.connections.is_empty()
    }

    fn parse(text: &str) -> Self {
        let connections: BTreeSet<String> = names(text).map(str::to_owned).collect();
        Self {
            everything: connections.is_empty() || connections.contains("*"),
            connections,
            unknown: BTreeSet::new(),
        }
    }
}

/// The names that a file's text holds, without what is for people.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.lines().filter_map(|line| line.split('#').next());
    words.map(str::trim).filter(|word| !word.is_empty())
}

/// What the file says now.
pub fn read(path: &Path) -> Paused {
    match text_at(path) {
        Ok(Some(text)) => Paused::parse(&text),
        Ok(None) => Paused::default(),
        Err(_) => Paused {
            everything: true,
            ..Paused::default()
        },
    }
}

/// The text of a file, if there is one. Nothing else is opened: reading a pipe waits
/// for its writer, for ever perhaps. A link that leads nowhere is something.
fn text_at(path: &Path) -> io::Result<Option<String>> {
    let gone = |error: &io::Error| error.kind() == ErrorKind::NotFound;
    let data = match fs::metadata(path) {
        Err(error) if gone(&error) && fs::symlink_metadata(path).is_err() => return Ok(None),
        data => data?,
    };
    if !data.is_file() || data.len() > LONGEST {
        return Err(ErrorKind::InvalidData.into());
    }
    match fs::read_to_string(path) {
        Err(error) if gone(&error) => Ok(None),
        text => text.map(Some),
    }
}

fn text_or_none(path: &Path) -> String {
    text_at(path).ok().flatten().unwrap_or_default()
}

/// Stops one connection, or with `None` all of them. `why` is kept in the file. Where
/// there is no room for that, everything is stopped: an empty file needs none.
pub fn pause(path: &Path, connection: Option<&str>, why: &str) -> io::Result<Paused> {
    let mut now = read(path);
    let why: String = why.chars().filter(|c| !c.is_control()).collect();
    let mut text = text_or_none(path);
    if now.everything && text.trim().is_empty() && path.exists() {
        text = "*\n".into();
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let name = connection.unwrap_or("*");
    if !now.connections.contains(name) {
        text.push_str(name);
        if !why.is_empty() {
            text.push_str(" # ");
            text.push_str(&why);
        }
        text.push('\n');
        if let Err(error) = replace(path, &text) {
            fs::File::create(path).map_err(|_| error)?;
        }
        let who = why.split_whitespace().next().unwrap_or_default();
        turns::note(path, &turn(true, connection, who));
        now = read(path);
    }
    Ok(now)
}

fn turn(stops: bool, connection: Option<&str>, who: &str) -> Turn {
    Turn {
        stops,
        connection: connection.map(str::to_owned),
        who: who.to_owned(),
    }
}

/// Lets one connection go on, or with `None` all of them. `who` is kept beside
/// the file for a running server to record.
pub fn resume(path: &Path, connection: Option<&str>, who: &str) -> io::Result<Paused> {
    let left = match (connection, read(path)) {
        (None, _) => String::new(),
        (Some(name), now) if now.everything => {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                format!("everything is stopped, not {name:?} alone; resume without a name first"),
            ));
        }
        (Some(name), _) => {
            let text = text_or_none(path);
            let other = |line: &&str| line.split('#').next().map(str::trim) != Some(name);
            let lines = text.lines().filter(other);
            lines.map(|line| format!("{line}\n")).collect()
        }
    };
    let stopped = path.exists();
    // A file without a name stops everything, whatever is said in it.
    if names(&left).next().is_none() {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    } else {
        replace(path, &left)?;
    }
    if stopped {
        turns::note(path, &turn(false, connection, who));
    }
    Ok(read(path))
}

/// Who stopped a connection, as the file says it: the first word that is for
/// people.
fn paused_by(path: &Path, connection: &str) -> Option<String> {
    let text = text_or_none(path);
    let mut lines = text.lines().filter_map(|line| line.split_once('#'));
    let (_, why) = lines.find(|(name, _)| [connection, "*"].contains(&name.trim()))?;
    why.split_whitespace().next().map(str::to_owned)
}

/// In one step, so that a reader sees the old list or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("paused.new");
    let written = fs::File::create(&fresh)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

/// The switch as a running bridge sees it.
#[derive(Debug, Clone)]
pub struct Switch {
    file: Option<PathBuf>,
    /// The names of the connections.
    known: Arc<[String]>,
    now: watch::Sender<Paused>,
}

impl Switch {
    /// Never stops anything: for commands that only look.
    pub fn none() -> Self {
        Self {
            file: None,
            known: Arc::default(),
            now: watch::Sender::new(Paused::default()),
        }
    }

    /// Reads the file at once; [`Self::watch`] goes on reading it.
    pub fn at(file: PathBuf) -> Self {
        // Whoever turned it while nothing ran is not who does it next.
        let _ = fs::remove_file(turns::beside(&file));
        let now = watch::Sender::new(read(&file));
        Self {
            file: Some(file),
            known: Arc::default(),
            now,
        }
    }

    /// The same where these are the connections.
    #[must_use]
    pub(super) fn among(mut self, known: Vec<String>) -> Self {
        self.known = known.into();
        if let Some(file) = &self.file {
            self.now.send_replace(read(file).among(self.known.iter()));
        }
        self
    }

    /// Follows the file for as long as the runtime lives. `tell` hears how it is
    /// after every change, `record` what was done since the last look.
    pub(super) fn watch(
        &self,
        engine: &tokio::runtime::Handle,
        tell: impl Fn(&Paused) + Send + 'static,
        record: impl Fn(Vec<Recorded>) + Send + 'static,
    ) {
        let Some(file) = self.file.clone() else {
            return;
        };
        let (now, known) = (self.now.clone(), Arc::clone(&self.known));
        let mut turned = Record::of(&file, &known, &now.borrow());
        engine.spawn(async move {
            let mut tick = tokio::time::interval(LOOK);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let seen = read(&file).among(known.iter());
                if now.send_if_modified(|paused| {
                    let changed = *paused != seen;
                    paused.clone_from(&seen);
                    changed
                }) {
                    tell(&seen);
                }
                let turns = turned.next(&seen, |connection| paused_by(&file, connection));
                if !turns.is_empty() {
                    record(turns);
                }
            }
        });
    }

    pub fn paused(&self) -> Paused {
        self.now.borrow().clone()
    }

    pub(super) fn stops(&self, connection: &str) -> bool {
        let now = self.now.borrow();
        !now.is_nothing() && now.stops(connection)
    }

    /// Waits until a connection may write (`open`) or may not.
    pub(super) async fn until(&self, connection: &str, open: bool) {
        let mut now = self.now.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = now.wait_for(|now| now.stops(connection) != open).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_file_says_what_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("drawbridge.db.paused");
        assert_eq!(read(&file), Paused::default());
        fs::write(&file, "").unwrap();
        assert!(read(&file).stops("any"), "an empty file stops everything");
        fs::write(&file, "acme # audit\n\nother\n").unwrap();
        let now = read(&file);
        assert!(now.stops("acme") && now.stops("other") && !now.stops("third"));
        fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(
            read(&file).everything,
            "what cannot be read stops everything"
        );
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &file).unwrap();
        assert!(read(&file).everything, "a link that leads nowhere is there");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(read(&file).everything);
    }

    #[test]
    fn a_pipe_stops_everything_and_nobody_waits_for_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("drawbridge.db.paused");
        let made = std::process::Command::new("mkfifo").arg(&file).status();
        assert!(made.unwrap().success());
        assert!(read(&file).everything);
        assert_eq!(paused_by(&file, "acme"), None);
        assert!(pause(&file, Some("acme"), "why").unwrap().stops("acme"));
        assert!(resume(&file, None, "anna").unwrap().is_nothing());
    }

    #[test]
    fn a_name_that_is_no_connection_s_stops_everything_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("drawbridge.db.paused");
        let switch = || Switch::at(file.clone()).among(vec!["acme".into(), "other".into()]);
        fs::write(&file, "acme # audit\n").unwrap();
        assert!(switch().stops("acme") && !switch().stops("other"));
        assert_eq!(switch().paused().unknown, BTreeSet::new());
        for text in ["Acme\n", "acme because of the incident\n", "acme\nothr\n"] {
            fs::write(&file, text).unwrap();
            assert!(switch().stops("acme") && switch().stops("other"), "{text}");
            assert_eq!(switch().paused().unknown.len(), 1, "{text}");
        }
        fs::write(&file, "*\n").unwrap();
        assert!(switch().stops("acme") && switch().paused().unknown.is_empty());
        fs::write(&file, "x".repeat(1_000)).unwrap();
        let told = switch().paused().unknown;
        assert_eq!(told.first().unwrap().len(), SHOWN.1);
        fs::remove_file(&file).unwrap();
        assert!(!switch().stops("acme"));
    }

    #[test]
    fn pause_and_resume_change_one_name_or_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("drawbridge.db.paused");
        assert!(
            pause(&file, Some("acme"), "why\nnot")
                .unwrap()
                .stops("acme")
        );
        assert!(!read(&file).stops("other"));
        assert!(pause(&file, Some("other"), "").unwrap().stops("acme"));
        assert!(fs::read_to_string(&file).unwrap().contains("acme # whynot"));
        assert!(!resume(&file, Some("acme"), "anna").unwrap().stops("acme"));
        assert!(read(&file).stops("other"));
        assert_eq!(
            resume(&file, Some("other"), "anna").unwrap(),
            Paused::default()
        );
        assert!(!file.exists());

        assert!(pause(&file, None, "").unwrap().everything);
        assert!(resume(&file, Some("acme"), "anna").is_err());
        assert_eq!(resume(&file, None, "anna").unwrap(), Paused::default());
        fs::write(&file, "").unwrap();
        assert!(
            pause(&file, Some("acme"), "").unwrap().everything,
            "more is not less"
        );
        assert_eq!(resume(&file, None, "anna").unwrap(), Paused::default());
        assert_eq!(resume(&file, None, "anna").unwrap(), Paused::default());

        fs::write(&file, "# in words\nacme # who knows\n").unwrap();
        assert_eq!(paused_by(&file, "acme").as_deref(), Some("who"));
        assert_eq!(paused_by(&file, "other"), None);
        assert_eq!(
            resume(&file, Some("acme"), "anna").unwrap(),
            Paused::default()
        );
    }

    #[test]
    fn where_the_list_cannot_be_written_everything_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("drawbridge.db.paused");
        let fresh = folder.path().join("drawbridge.db.paused.new");
        fs::create_dir(&fresh).unwrap();
        for before in [None, Some("acme # why\n")] {
            if let Some(text) = before {
                fs::write(&file, text).unwrap();
            }
            let now = pause(&file, Some("other"), "why").unwrap();
            assert!(now.everything, "{before:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), "", "{before:?}");
            resume(&file, None, "anna").unwrap();
        }
        // It cannot be put in its place, and nothing is left over.
        fs::remove_dir(&fresh).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(pause(&file, Some("other"), "why").is_err());
        assert!(read(&file).everything && !fresh.exists());
    }
}
