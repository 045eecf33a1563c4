//! The credential: where it comes from, and a header made of it.
//!
//! A file is read again when it changes and after the application refused
//! what it held, so that a rotated secret needs no restart. The value is never
//! in a `Debug` text, a log line or an error.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

use tokio::time::Instant;

use crate::upstream::UpstreamError;

/// How often, at most, is looked whether the source can be read.
const LOOK: Duration = Duration::from_secs(1);

/// Where the application's token comes from: `{ file = ".." }` or
/// `{ env = ".." }`. A configuration that holds the token itself is refused;
/// a program may hand it over.
#[derive(Debug, Clone)]
pub enum TokenSource {
    Literal(SecretString),
    File(PathBuf),
    Env(String),
}

impl Default for TokenSource {
    fn default() -> Self {
        Self::Literal(SecretString::default())
    }
}

impl TokenSource {
    /// Reads the token once, so that a configuration without one is refused
    /// at start. The error names the place, never the value.
    pub fn problem(&self) -> Option<String> {
        read(self).err()
    }

    /// Whether it is there and no `user:password`.
    pub(in crate::upstream) fn is_no_pair(&self) -> bool {
        read(self).is_ok_and(|value| !value.expose_secret().contains(':'))
    }

    /// Whether the token itself was given, where its place should be.
    pub fn is_written_out(&self) -> bool {
        matches!(self, Self::Literal(value) if !value.expose_secret().is_empty())
    }

    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Literal(_) | Self::Env(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for TokenSource {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Shapes)
    }
}

struct Shapes;

impl<'de> Visitor<'de> for Shapes {
    type Value = TokenSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ file = \"path\" } or { env = \"NAME\" }")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<TokenSource, E> {
        Ok(TokenSource::Literal(text.to_owned().into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TokenSource, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            let source = match key.as_str() {
                "file" => TokenSource::File(map.next_value()?),
                "env" => TokenSource::Env(map.next_value()?),
                other => return Err(A::Error::unknown_field(other, &["file", "env"])),
            };
            if found.replace(source).is_some() {
                return Err(A::Error::custom("give either file or env, not both"));
            }
        }
        found.ok_or_else(|| A::Error::custom("give file or env"))
    }
}

/// How a credential goes with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::upstream) enum Scheme {
    Bearer,
    Token,
    /// The secret is `user:password` (RFC 7617).
    Basic,
    /// In a header of its own, as it is.
    Header(HeaderName),
}

/// A file that is written in parts is whole after so long.
const SETTLES: Duration = Duration::from_secs(1);

/// A shorter one would be found in words that have nothing to do with it.
const SHORTEST: usize = 6;

/// What servers take as one header, at most; tokens of some identity providers have
/// several thousand.
const LONGEST: u64 = 16 * 1024;

/// A credential at work.
#[derive(Debug)]
pub(super) struct Token {
    source: TokenSource,
    scheme: Scheme,
    held: Mutex<Option<Held>>,
    trouble: Mutex<Trouble>,
}

/// Why the source cannot be read, while what was read before is still in use.
#[derive(Debug, Default)]
struct Trouble {
    reason: Option<String>,
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    value: SecretString,
    changed: Option<SystemTime>,
}

impl Token {
    pub(super) fn new(source: TokenSource, scheme: Scheme) -> Self {
        Self {
            source,
            scheme,
            held: Mutex::new(None),
            trouble: Mutex::default(),
        }
    }

    /// Why the file cannot be used, if it cannot: an alarm, since the token that
    /// was read before may not work for long, and a restart would end it. Every
    /// change of that is logged once.
    pub(super) fn trouble(&self) -> Option<String> {
        self.source.file()?;
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return trouble.reason.clone();
        }
        trouble.looked = Some(Instant::now());
        let reason = read(&self.source).err();
        match (&trouble.reason, &reason) {
            (None, Some(reason)) => tracing::error!(
                reason,
                "the application's token cannot be read any more; what was read before is in use"
            ),
            (Some(_), None) => tracing::info!("the application's token can be read again"),
            _ => {}
        }
        trouble.reason.clone_from(&reason);
        reason
    }

    /// The header that carries it.
    pub(super) fn place(&self) -> HeaderName {
        match &self.scheme {
            Scheme::Header(name) => name.clone(),
            Scheme::Bearer | Scheme::Token | Scheme::Basic => AUTHORIZATION,
        }
    }

    /// The value of that header, marked sensitive.
    pub(super) fn header(&self) -> Result<HeaderValue, UpstreamError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = self.changed();
        let fresh = held.as_ref().is_some_and(|held| held.changed == changed);
        // It may be half written still, and the one before is worth a try.
        let waits = held.is_some() && !is_settled(changed);
        if !fresh && !waits {
            match read(&self.source) {
                Ok(value) => *held = Some(Held { value, changed }),
                // A file caught in the middle of its replacement: the old
                // token is still worth a try.
                Err(reason) if held.is_none() => return Err(UpstreamError::Denied { reason }),
                Err(_) => {}
            }
        }
        let value = held
            .as_ref()
            .map(|held| header_of(&self.scheme, &held.value));
        value.flatten().ok_or_else(|| UpstreamError::Denied {
            reason: "the token holds characters that no header can carry".into(),
        })
    }

    /// A text of the application without the credential, which some gateways
    /// repeat when they refuse it.
    pub(super) fn masked(&self, text: &str) -> String {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = held.as_ref() else {
            return text.to_owned();
        };
        let secret = held.value.expose_secret();
        let mut parts = vec![secret.to_owned()];
        if self.scheme == Scheme::Basic {
            parts.push(base64(secret.as_bytes()));
            parts.extend(
                secret
                    .split_once(':')
                    .map(|(_, password)| password.to_owned()),
            );
        }
        let parts = parts.iter().filter(|part| part.len() >= SHORTEST);
        parts.fold(text.to_owned(), |text, part| text.replace(part, "[token]"))
    }

    /// Reads the source again; true when it now holds another token.
    pub(super) fn renew(&self) -> bool {
        let Ok(value) = read(&self.source) else {
            return false;
        };
        let changed = self.changed();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let same = held
            .as_ref()
            .is_some_and(|held| held.value.expose_secret() == value.expose_secret());
        *held = Some(Held { value, changed });
        !same
    }

    fn changed(&self) -> Option<SystemTime> {
        match &self.source {
            TokenSource::File(path) => modified(path),
            TokenSource::Literal(_) | TokenSource::Env(_) => None,
        }
    }
}

/// Whether nobody writes a file any more that was changed then.
fn is_settled(changed: Option<SystemTime>) -> bool {
    let since = changed.and_then(|at| at.elapsed().ok());
    since.is_none_or(|since| since >= SETTLES)
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

fn read(source: &TokenSource) -> Result<SecretString, String> {
    let (text, place) = match source {
        TokenSource::Literal(value) => (value.expose_secret().to_owned(), "token".to_owned()),
        TokenSource::File(path) => {
            let place = format!("token file {}", path.display());
            let text = text_of(path).map_err(|error| format!("{place} cannot be read: {error}"))?;
            (text, place)
        }
        TokenSource::Env(name) => {
            let place = format!("environment variable {name}");
            let text = std::env::var(name).map_err(|_| format!("{place} is not set"))?;
            (text, place)
        }
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(format!(
            "{place} is empty: put the application's API token there"
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "{place} holds more than one line or odd characters"
        ));
    }
    Ok(text.to_owned().into())
}

/// Not of a pipe, whose writer would have to be waited for.
fn text_of(path: &Path) -> io::Result<String> {
    let data = std::fs::metadata(path)?;
    if !data.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if data.len() > LONGEST {
        return Err(io::Error::other(format!(
            "it is longer than a token, which has {LONGEST} bytes at most"
        )));
    }
    std::fs::read_to_string(path)
}

fn header_of(scheme: &Scheme, value: &SecretString) -> Option<HeaderValue> {
    let value = value.expose_secret();
    let text = match scheme {
        Scheme::Bearer => format!("Bearer {value}"),
        Scheme::Token => format!("token {value}"),
        Scheme::Basic => format!("Basic {}", base64(value.as_bytes())),
        Scheme::Header(_) => value.to_owned(),
    };
    let mut header = HeaderValue::try_from(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Base64 with its padding (RFC 4648 section 4).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            let used = at <= three.len();
            text.push(if used { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_text_repeats_the_credential() {
        for (scheme, secret, said) in [
            (
                Scheme::Bearer,
                "s3cret-token",
                "bad Bearer s3cret-token here",
            ),
            (Scheme::Basic, "bot:s3cret-word", "bad s3cret-word here"),
            (
                Scheme::Basic,
                "bot:s3cret-word",
                "bad Ym90OnMzY3JldC13b3Jk here",
            ),
        ] {
            let token = Token::new(TokenSource::Literal(secret.into()), scheme);
            assert_eq!(token.masked(said), said, "nothing was sent yet");
            token.header().unwrap();
            let told = token.masked(said);
            assert!(
                told.starts_with("bad ") && told.ends_with("[token] here"),
                "{told}"
            );
        }
    }

    #[test]
    fn a_changed_file_is_read_again_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first-secret\n").unwrap();
        let token = Token::new(TokenSource::File(path.clone()), Scheme::Bearer);
        assert_eq!(
            token.header().unwrap().to_str().unwrap(),
            "Bearer first-secret"
        );
        assert!(!token.renew());

        let later = SystemTime::now() + Duration::from_secs(5);
        std::fs::write(&path, "second-secret").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(later).unwrap();
        let header = token.header().unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer second-secret");

        // The same modification time, another content: only a refusal shows it.
        std::fs::write(&path, "third-secret").unwrap();
        file.set_modified(later).unwrap();
        assert!(token.renew());
        let shown = format!("{token:?} {header:?}");
        assert!(
            !shown.contains("secret\"") && !shown.contains("-secret"),
            "{shown}"
        );

        std::fs::remove_file(&path).unwrap();
        assert!(token.header().is_ok(), "the last good token stays in use");
    }

    #[test]
    fn a_file_that_was_changed_just_now_may_be_half_written_and_is_read_a_little_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first-secret").unwrap();
        let token = Token::new(TokenSource::File(path.clone()), Scheme::Bearer);
        let said = || token.header().unwrap().to_str().unwrap().to_owned();
        assert_eq!(said(), "Bearer first-secret", "the first is read at once");
        std::fs::write(&path, "sec").unwrap();
        assert_eq!(said(), "Bearer first-secret");
        std::fs::write(&path, "second-secret").unwrap();
        assert_eq!(said(), "Bearer first-secret");
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - SETTLES).unwrap();
        assert_eq!(said(), "Bearer second-secret");
        // A refusal of what there was waits for nothing.
        std::fs::write(&path, "third-secret").unwrap();
        assert!(token.renew());
        assert_eq!(said(), "Bearer third-secret");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_cannot_be_used_is_told_until_it_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first-secret\n").unwrap();
        let token = Token::new(TokenSource::File(path.clone()), Scheme::Bearer);
        token.header().unwrap();
        assert_eq!(token.trouble(), None);
        let long = "x".repeat(200_000);
        for (text, told) in [
            ("", "empty"),
            ("a\nb", "more than one line"),
            (&*long, "longer than a token"),
        ] {
            std::fs::write(&path, text).unwrap();
            tokio::time::advance(LOOK).await;
            let reason = token.trouble().unwrap();
            assert!(
                reason.contains(told) && reason.contains("token"),
                "{reason}"
            );
            assert!(token.header().is_ok());
        }
        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(LOOK).await;
        assert!(token.trouble().unwrap().contains("cannot be read"));
        std::fs::write(&path, "second-secret").unwrap();
        assert!(token.trouble().is_some(), "not looked at again at once");
        tokio::time::advance(LOOK).await;
        assert_eq!(token.trouble(), None);
        let literal = TokenSource::Literal("x".to_owned().into());
        assert_eq!(Token::new(literal, Scheme::Bearer).trouble(), None);
    }

    #[test]
    fn a_credential_goes_as_its_application_wants_it() {
        let key = HeaderName::from_static("x-api-key");
        for (scheme, place, value) in [
            (Scheme::Bearer, "authorization", "Bearer Aladdin:open"),
            (Scheme::Token, "authorization", "token Aladdin:open"),
            (Scheme::Basic, "authorization", "Basic QWxhZGRpbjpvcGVu"),
            (Scheme::Header(key), "x-api-key", "Aladdin:open"),
        ] {
            let token = Token::new(
                TokenSource::Literal("Aladdin:open".to_owned().into()),
                scheme,
            );
            assert_eq!(token.place(), place);
            let header = token.header().unwrap();
            assert!(header == value && header.is_sensitive());
        }
        // The test vectors of RFC 4648.
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn sources_are_written_in_three_ways() {
        #[derive(Deserialize, Debug)]
        struct Holder {
            token: TokenSource,
        }
        let read = |text: &str| toml::from_str::<Holder>(text).map(|holder| holder.token);
        assert!(matches!(
            read("token = \"abc\""),
            Ok(TokenSource::Literal(_))
        ));
        assert!(matches!(
            read("token = { file = \"a/b\" }"),
            Ok(TokenSource::File(_))
        ));
        assert!(matches!(
            read("token = { env = \"A\" }"),
            Ok(TokenSource::Env(_))
        ));
        for wrong in [
            "token = {}",
            "token = 5",
            "token = { file = \"a\", env = \"b\" }",
            "token = { path = \"a\" }",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let shown = format!("{:?}", read("token = \"very-secret\""));
        assert!(!shown.contains("very-secret"));
    }

    #[test]
    fn a_missing_token_says_where_it_should_be() {
        let missing = TokenSource::File("/nonexistent/opsera".into());
        assert!(missing.problem().unwrap().contains("/nonexistent/opsera"));
        assert!(TokenSource::default().problem().unwrap().contains("empty"));
        let lines = TokenSource::Literal("a\nb".to_owned().into());
        assert!(lines.problem().is_some());
    }
}
