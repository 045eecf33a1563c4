//! The token file of one connection: digests, labels, expiry; never a token.
//!
//! It is one JSON document, so that a half-written one cannot pass for a
//! shorter list. Changes happen under a lock file and by rename, so they are
//! safe beside a running server. The pepper that keys the digests lies in a
//! file of its own (`NAME.pepper`): whoever copies only one of the two has
//! nothing. Files that everybody on the machine can read are refused.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{digest, keyed, secret};
use crate::store::Millis;

/// The longest life of a token, and the usual one.
pub const LONGEST_LIFE: Duration = Duration::from_secs(2 * 365 * 86_400);
pub const USUAL_LIFE: Duration = Duration::from_secs(365 * 86_400);

/// More live tokens than this are a leak waiting to be overlooked.
const MOST_LIVE: usize = 10;
/// Revoked and expired ones beyond this are forgotten, oldest first.
const MOST_DEAD: usize = 50;
/// No token file is longer.
const MOST_BYTES: u64 = 256 * 1024;

/// A token just made. The secret is shown once and kept nowhere.
#[derive(Debug)]
pub struct Created {
    pub id: String,
    pub secret: SecretString,
    pub expires: Millis,
}

/// A token as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: String,
    pub label: String,
    pub created: Millis,
    pub expires: Millis,
    pub revoked: Option<Millis>,
}

impl Listed {
    pub fn live(&self, now: Millis) -> bool {
        self.revoked.is_none() && now < self.expires
    }
}

/// What is wrong with tokens, with the remedy in the text.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(
        "there is no token file {0}; make a first token with `drawbridge token create CONNECTION`"
    )]
    Missing(PathBuf),
    #[error("everybody on this machine can read {0}; run `chmod 600` on it and replace its tokens")]
    Exposed(PathBuf),
    #[error(
        "{file} is not a token file of drawbridge ({reason}); restore it, or move it away and create new tokens"
    )]
    Damaged { file: PathBuf, reason: String },
    #[error("{file}: {source}")]
    Io { file: PathBuf, source: io::Error },
    #[error("there is no token {0} here; `drawbridge token list` shows them")]
    NoSuchToken(String),
    #[error("{MOST_LIVE} tokens are live already; revoke one first")]
    TooMany,
    #[error("a token lives at least a minute and at most two years")]
    Lifetime,
    #[error("a label is one line of at most 100 characters")]
    Label,
    #[error(
        "the token is empty, short or easily guessed; give at least eight characters, five of them different, without spaces"
    )]
    Weak,
    #[error("the pepper cannot key a digest")]
    Pepper,
    #[error("the operating system gives no random numbers")]
    Randomness,
}

/// Makes a token and adds its digest to the file, which is created (mode
/// 0600) with its pepper when there is none yet. `label` says who uses it.
pub fn create(
    file: &Path,
    label: &str,
    lifetime: Duration,
    now: Millis,
) -> Result<Created, TokenError> {
    if lifetime < Duration::from_secs(60) || lifetime > LONGEST_LIFE {
        return Err(TokenError::Lifetime);
    }
    if label.chars().count() > 100 || label.chars().any(char::is_control) {
        return Err(TokenError::Label);
    }
    make_folder(file)?;
    let _held = lock(file)?;
    let mut document = if file.exists() {
        load(file)?
    } else {
        Document::default()
    };
    let mac = keyed(&pepper(file, document.tokens.is_empty())?)?;
    if document
        .tokens
        .iter()
        .filter(|token| token.live(now))
        .count()
        >= MOST_LIVE
    {
        return Err(TokenError::TooMany);
    }
    let token = secret::generate()?;
    let id = hex(&secret::random_bytes()?)[..8].to_owned();
    let expires = now.saturating_add(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
    document.tokens.push(Line {
        id: id.clone(),
        label: label.to_owned(),
        digest: hex(&digest(&mac, token.as_bytes())),
        created: timestamp(now),
        expires: timestamp(expires),
        revoked: None,
    });
    document.forget_old(now);
    write(file, &document.to_bytes())?;
    Ok(Created {
        id,
        secret: SecretString::from(token),
        expires,
    })
}

/// Every token of the file, in the order of creation.
pub fn list(file: &Path) -> Result<Vec<Listed>, TokenError> {
    Ok(load(file)?.tokens.iter().map(Line::listed).collect())
}

/// Revokes a token by its public id; a server that runs notices within
/// seconds. Revoking a revoked one changes nothing.
pub fn revoke(file: &Path, id: &str, now: Millis) -> Result<Listed, TokenError> {
    if !file.exists() {
        return Err(TokenError::Missing(file.to_owned()));
    }
    let _held = lock(file)?;
    let mut document = load(file)?;
    let line = document
        .tokens
        .iter_mut()
        .find(|line| line.id == id)
        .ok_or_else(|| TokenError::NoSuchToken(id.to_owned()))?;
    let fresh = line.revoked.is_none();
    line.revoked.get_or_insert(timestamp(now));
    let listed = line.listed();
    if fresh {
        write(file, &document.to_bytes())?;
    }
    Ok(listed)
}

/// What a file looked like; a changed one differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// A token as the live table needs it.
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) digest: [u8; 32],
    pub(super) expires: Millis,
    pub(super) revoked: bool,
}

/// `None` when the file is not there.
pub(super) fn stamp(file: &Path) -> Option<Stamp> {
    fs::metadata(file).ok().map(|data| Stamp {
        inode: data.ino(),
        size: data.size(),
        seconds: data.mtime(),
        nanoseconds: data.mtime_nsec(),
    })
}

/// The tokens and the pepper, with the stamp the file had before reading.
pub(super) fn read(file: &Path) -> Result<(Vec<Kept>, Vec<u8>, Stamp), TokenError> {
    let stamp = stamp(file).ok_or_else(|| TokenError::Missing(file.to_owned()))?;
    let kept = load(file)?
        .tokens
        .iter()
        .map(|line| {
            Some(Kept {
                id: line.id.clone(),
                digest: unhex(&line.digest)?.try_into().ok()?,
                expires: line.expires.as_millisecond(),
                revoked: line.revoked.is_some(),
            })
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| damaged(file, "a digest is not 64 hexadecimal digits"))?;
    Ok((kept, pepper(file, false)?, stamp))
}

/// The file's content.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    tokens: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    label: String,
    digest: String,
    created: Timestamp,
    expires: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<Timestamp>,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            version: 1,
            tokens: Vec::new(),
        }
    }
}

impl Document {
    fn forget_old(&mut self, now: Millis) {
        let dead = self.tokens.iter().filter(|line| !line.live(now)).count();
        let mut surplus = dead.saturating_sub(MOST_DEAD);
        self.tokens.retain(|line| {
            let forget = surplus > 0 && !line.live(now);
            surplus -= usize::from(forget);
            !forget
        });
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

impl Line {
    fn live(&self, now: Millis) -> bool {
        self.listed().live(now)
    }

    fn listed(&self) -> Listed {
        Listed {
            id: self.id.clone(),
            label: self.label.clone(),
            created: self.created.as_millisecond(),
            expires: self.expires.as_millisecond(),
            revoked: self.revoked.map(Timestamp::as_millisecond),
        }
    }
}

fn load(file: &Path) -> Result<Document, TokenError> {
    let text = read_secret(file)?;
    let document: Document =
        serde_json::from_slice(&text).map_err(|error| damaged(file, &error.to_string()))?;
    if document.version == 1 {
        Ok(document)
    } else {
        Err(damaged(file, "made by a newer drawbridge"))
    }
}

/// The pepper beside a token file; made when `fresh` allows it. A lost pepper
/// cannot be made anew for tokens that exist: their digests are void.
fn pepper(file: &Path, fresh: bool) -> Result<Vec<u8>, TokenError> {
    let path = beside(file, "pepper");
    if fresh && !path.exists() {
        write(&path, hex(&secret::random_bytes()?).as_bytes())?;
    }
    let text = read_secret(&path)?;
    std::str::from_utf8(&text)
        .ok()
        .and_then(|text| unhex(text.trim()))
        .filter(|bytes| bytes.len() >= 32)
        .ok_or_else(|| damaged(&path, "it should hold 64 hexadecimal digits"))
}

fn read_secret(file: &Path) -> Result<Vec<u8>, TokenError> {
    let fault = |source| io_error(file, source);
    let data = fs::metadata(file).map_err(fault)?;
    if data.mode() & 0o007 != 0 {
        return Err(TokenError::Exposed(file.to_owned()));
    }
    if data.size() > MOST_BYTES {
        return Err(damaged(file, "it is too long"));
    }
    fs::read(file).map_err(fault)
}

/// The folder of a file, also of one that is named without any.
fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn make_folder(file: &Path) -> Result<(), TokenError> {
    let folder = folder(file);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| io_error(folder, source))
}

/// Held until dropped; another process waits.
fn lock(file: &Path) -> Result<File, TokenError> {
    let path = beside(file, "lock");
    let fault = |source| io_error(&path, source);
    let held = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(fault)?;
    held.lock().map_err(fault)?;
    Ok(held)
}

/// Whole or not at all, also across a power cut.
fn write(file: &Path, bytes: &[u8]) -> Result<(), TokenError> {
    let fresh = beside(file, "new");
    let fault = |source| io_error(file, source);
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
        _ => {}
    }
    let mut out = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(fault)?;
    if let Ok(old) = fs::metadata(file) {
        as_before(&out, &old).map_err(fault)?;
    }
    out.write_all(bytes)
        .and_then(|()| out.sync_all())
        .map_err(fault)?;
    fs::rename(&fresh, file).map_err(fault)?;
    File::open(folder(file))
        .and_then(|folder| folder.sync_all())
        .map_err(fault)
}

/// Gives a new file the owner, group and mode of the one it replaces. Else a
/// revocation by root would leave a file that the server's own account cannot
/// read, and the server would go on with the tokens it knew.
fn as_before(new: &File, old: &fs::Metadata) -> io::Result<()> {
    let made = new.metadata()?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        fchown(new, Some(old.uid()), Some(old.gid()))?;
    }
    new.set_permissions(Permissions::from_mode(old.mode() & 0o660))
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn damaged(file: &Path, reason: &str) -> TokenError {
    TokenError::Damaged {
        file: file.to_owned(),
        reason: reason.to_owned(),
    }
}

fn io_error(file: &Path, source: io::Error) -> TokenError {
    if source.kind() == io::ErrorKind::NotFound {
        return TokenError::Missing(file.to_owned());
    }
    TokenError::Io {
        file: file.to_owned(),
        source,
    }
}

fn timestamp(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_folder_lies_in_this_one() {
        let of = |file| folder(Path::new(file)).to_str();
        assert_eq!(of("acme.tokens"), Some("."));
        assert_eq!(of("secrets/acme.tokens"), Some("secrets"));
        assert_eq!(of("/acme.tokens"), Some("/"));
    }

    #[test]
    fn only_whole_bytes_are_read() {
        assert_eq!(unhex("00fF7a"), Some(vec![0, 255, 122]));
        for text in ["0", "00f", "0g", "\u{fc}", "0\u{fc}0"] {
            assert_eq!(unhex(text), None, "{text}");
        }
    }
}
