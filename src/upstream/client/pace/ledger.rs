//! What each credential sent lately, in a file, so that a process that starts
//! keeps to the minute that another has begun.
//!
//! A credential has a page, found by a keyed digest: the file tells neither it
//! nor the application. A page is written before the call it counts is sent,
//! and never synced: that holds when the process is killed, and it costs
//! microseconds. When the machine loses its power the last seconds may be
//! missing. No call waits or fails because of this file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::past::Past;

/// A page never lies across two blocks, so a write of it is whole or not there.
const PAGE: usize = 4_096;
/// A file with more pages was not written here.
const MOST: u64 = 1_000;
/// The first page names the format and the key.
const TITLE: &str = "calls-1";

/// The file; of one process at a time.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    key: [u8; 16],
    pages: Mutex<Vec<Arc<Page>>>,
    clock: fn() -> SystemTime,
    failed: AtomicBool,
}

#[derive(Debug)]
struct Page {
    number: u64,
    name: String,
    past: Mutex<Past>,
}

/// The page of one credential.
#[derive(Debug)]
pub(super) struct Book {
    ledger: Arc<Ledger>,
    page: Arc<Page>,
}

impl Ledger {
    /// A file that is not there, or not a ledger, begins empty.
    pub fn open(path: &Path) -> io::Result<Arc<Self>> {
        Self::open_at(path, SystemTime::now)
    }

    /// For a command that is over soon: one that is there, and that no other process
    /// has; that is [`io::ErrorKind::WouldBlock`].
    pub fn join(path: &Path) -> io::Result<Arc<Self>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        file.try_lock()?;
        Self::of(file, SystemTime::now)
    }

    pub(super) fn open_at(path: &Path, clock: fn() -> SystemTime) -> io::Result<Arc<Self>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        // Whoever joins learns from it that somebody is there; nobody waits for it.
        let _ = file.try_lock();
        Self::of(file, clock)
    }

    fn of(file: File, clock: fn() -> SystemTime) -> io::Result<Arc<Self>> {
        let mut bytes = Vec::new();
        (&file).take(MOST * PAGE as u64).read_to_end(&mut bytes)?;
        let mut pages = bytes.chunks(PAGE);
        let known = pages.next().and_then(key_of);
        let ledger = Self {
            key: known.map_or_else(new_key, Ok)?,
            pages: Mutex::new(match known {
                Some(_) => (1..).zip(pages).map(Page::read).map(Arc::new).collect(),
                None => Vec::new(),
            }),
            file,
            clock,
            failed: AtomicBool::new(false),
        };
        if known.is_none() {
            ledger.file.set_len(0)?;
            ledger.write(0, &format!("{TITLE} {}", hex(&ledger.key)))?;
        }
        Ok(Arc::new(ledger))
    }

    /// The page of a credential at an application.
    pub(super) fn book(self: &Arc<Self>, origin: &str, credential: &[u8]) -> Option<Book> {
        let name = self.name(origin, credential)?;
        let now = self.now();
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pages.iter().position(|page| page.name == name);
        // A page that is nobody's any more is given to the next.
        let free = || pages.iter().position(|page| page.is_free(now));
        let place = known.or_else(free).unwrap_or(pages.len());
        if known.is_none() {
            let page = Arc::new(Page {
                number: place as u64 + 1,
                name,
                past: Mutex::default(),
            });
            match pages.get_mut(place) {
                Some(free) => *free = page,
                None => pages.push(page),
            }
        }
        Some(Book {
            ledger: Arc::clone(self),
            page: Arc::clone(&pages[place]),
        })
    }

    fn name(&self, origin: &str, credential: &[u8]) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(origin.as_bytes());
        // No origin holds one.
        mac.update(b"\n");
        mac.update(credential);
        Some(hex(&mac.finalize().into_bytes()[..16]))
    }

    /// In milliseconds since 1970.
    fn now(&self) -> u64 {
        let since = (self.clock)().duration_since(SystemTime::UNIX_EPOCH);
        u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    }

    fn write(&self, number: u64, line: &str) -> io::Result<()> {
        let page = format!("{line:<width$}\n", width = PAGE - 1);
        self.file
            .write_all_at(page.as_bytes(), number * PAGE as u64)
    }
}

impl Page {
    fn read((number, bytes): (u64, &[u8])) -> Self {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let (name, past) = text.split_once(' ').unwrap_or_default();
        let past = Past::parse(past);
        Self {
            number,
            name: past.as_ref().map(|_| name.to_owned()).unwrap_or_default(),
            past: Mutex::new(past.unwrap_or_default()),
        }
    }

    fn is_free(self: &Arc<Self>, now: u64) -> bool {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::strong_count(self) == 1 && past.is_over(now)
    }
}

impl Book {
    /// How long ago calls were sent at least, and how many, the latest first;
    /// and what is left of the silence that was asked for of everything, and of all
    /// but what takes access away.
    pub(super) fn past(&self) -> (Vec<(Duration, u32)>, [Option<Duration>; 2]) {
        let now = self.ledger.now();
        let mut past = self.lock();
        (past.calls(now), past.silences(now))
    }

    pub(super) fn send(&self) {
        self.change(Past::send);
    }

    pub(super) fn be_silent(&self, pause: Duration, whole: bool) {
        self.change(|past, now| past.be_silent(pause, whole, now));
    }

    fn change(&self, change: impl FnOnce(&mut Past, u64)) {
        let mut past = self.lock();
        change(&mut past, self.ledger.now());
        let line = format!("{} {}", self.page.name, past.text());
        let written = self.ledger.write(self.page.number, &line);
        let Err(error) = written else { return };
        if !self.ledger.failed.swap(true, Relaxed) {
            tracing::warn!(%error, "what is sent cannot be noted: a restart may send more in a minute than the application allows");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Past> {
        let past = self.page.past.lock();
        past.unwrap_or_else(PoisonError::into_inner)
    }
}

fn key_of(page: &[u8]) -> Option<[u8; 16]> {
    let text = std::str::from_utf8(page).ok()?;
    let (title, key) = text.trim_end().split_once(' ')?;
    let key = u128::from_str_radix(key, 16).ok()?;
    (title == TITLE).then(|| key.to_be_bytes())
}

fn new_key() -> io::Result<[u8; 16]> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(key)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn hours_later() -> SystemTime {
        now() + Duration::from_secs(7_200)
    }

    fn count(book: &Book) -> u32 {
        book.past().0.iter().map(|(_, count)| count).sum()
    }

    #[test]
    fn what_one_process_sent_the_next_one_knows_by_credential() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls");
        let ledger = Ledger::open_at(&path, now).unwrap();
        let first = ledger.book("https://a.example", b"secret").unwrap();
        let again = ledger.book("https://a.example", b"secret").unwrap();
        let second = ledger.book("https://a.example", b"another").unwrap();
        (0..7).for_each(|_| first.send());
        again.send();
        second.be_silent(Duration::from_secs(60), true);
        let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
        assert!(!text.contains("secret") && !text.contains("example"));

        let ledger = Ledger::open_at(&path, now).unwrap();
        let book = |origin, credential| ledger.book(origin, credential).unwrap();
        assert_eq!(count(&book("https://a.example", b"secret")), 8);
        let silent = book("https://a.example", b"another").past();
        assert_eq!(silent, (Vec::new(), [Some(Duration::from_secs(60)), None]));
        assert_eq!(count(&book("https://b.example", b"secret")), 0);
    }

    #[test]
    fn pages_that_are_nobodys_any_more_are_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls");
        for _ in 0..20 {
            let ledger = Ledger::open_at(&path, now).unwrap();
            let book = ledger.book("https://a.example", b"one").unwrap();
            book.send();
            // Still counts, so nobody else may write there.
            let other = ledger.book("https://a.example", b"two").unwrap();
            other.send();
            assert_ne!(book.page.number, other.page.number);
        }
        for rotated in 0..20_u8 {
            let ledger = Ledger::open_at(&path, hours_later).unwrap();
            ledger.book("https://a.example", &[rotated]).unwrap();
        }
        let length = std::fs::metadata(&path).unwrap().len();
        assert_eq!(length, 3 * PAGE as u64);
    }

    #[test]
    fn who_joins_finds_what_was_sent_unless_somebody_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls");
        let refused = |kind| assert_eq!(Ledger::join(&path).unwrap_err().kind(), kind);
        refused(io::ErrorKind::NotFound);
        let ledger = Ledger::open(&path).unwrap();
        ledger.book("https://a.example", b"one").unwrap().send();
        refused(io::ErrorKind::WouldBlock);
        drop(ledger);
        let joined = Ledger::join(&path).unwrap();
        let book = joined.book("https://a.example", b"one").unwrap();
        book.send();
        assert_eq!(count(&book), 2);
        refused(io::ErrorKind::WouldBlock);
        // Who opens it waits for nobody.
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(count(&ledger.book("https://a.example", b"one").unwrap()), 2);
    }

    #[test]
    fn what_is_no_ledger_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls");
        let long = "calls-1 0123".repeat(5_000);
        for text in ["", "calls-2 00", "calls-1", "calls-1 xyz", &long, "\u{0}"] {
            std::fs::write(&path, text).unwrap();
            let ledger = Ledger::open_at(&path, now).unwrap();
            let book = ledger.book("https://a.example", b"one").unwrap();
            assert_eq!(count(&book), 0);
            book.send();
            let ledger = Ledger::open_at(&path, now).unwrap();
            let book = ledger.book("https://a.example", b"one").unwrap();
            assert_eq!(count(&book), 1, "{text:.20}");
        }
        // A page that was damaged is an empty one.
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0xff; 10], PAGE as u64).unwrap();
        let ledger = Ledger::open_at(&path, now).unwrap();
        assert_eq!(count(&ledger.book("https://a.example", b"one").unwrap()), 0);
    }
}
