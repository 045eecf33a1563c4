//! Tokens by their front door: made, checked, revoked, expired, damaged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    time::Duration,
};

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::{Tokens, file, secret};

const NOW: i64 = 1_800_000_000_000;
const HOUR: Duration = Duration::from_secs(3600);

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_created_token_is_accepted_and_named() {
    let folder = folder();
    let path = folder.path().join("secrets/acme.tokens");
    let made = file::create(&path, "okta", HOUR, NOW).unwrap();
    let tokens = Tokens::open(&path).unwrap();
    let name = tokens
        .check(made.secret.expose_secret().as_bytes(), NOW)
        .unwrap();
    assert_eq!(name.as_str(), made.id);
    assert_eq!(name.to_string(), made.id);
    let shown = format!("{tokens:?}");
    assert!(shown.contains("entries: 1") && shown.contains("acme.tokens"));
    assert!(!shown.contains(made.secret.expose_secret()), "{shown}");
    assert!(tokens.check(b"", NOW).is_none());
    assert!(tokens.check(b"dbr_wrong", NOW).is_none());
    assert!(tokens.check(&[b'a'; 10_000], NOW).is_none());
}

#[test]
fn a_token_ends_a_minute_after_its_expiry() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    let made = file::create(&path, "okta", HOUR, NOW).unwrap();
    let token = made.secret.expose_secret().as_bytes();
    let tokens = Tokens::open(&path).unwrap();
    assert!(tokens.check(token, made.expires + 59_000).is_some());
    assert!(tokens.check(token, made.expires + 60_000).is_none());
}

#[test]
fn a_revoked_token_is_noticed_by_a_running_table_within_a_second() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    let first = file::create(&path, "okta", HOUR, NOW).unwrap();
    let second = file::create(&path, "entra", HOUR, NOW).unwrap();
    let tokens = Tokens::open(&path).unwrap();
    let old = first.secret.expose_secret().as_bytes();
    assert!(tokens.check(old, NOW).is_some());
    file::revoke(&path, &first.id, NOW).unwrap();
    assert!(tokens.check(old, NOW + 1_000).is_none());
    assert!(
        tokens
            .check(second.secret.expose_secret().as_bytes(), NOW + 1_000)
            .is_some()
    );
    let listed = file::list(&path).unwrap();
    assert_eq!(listed[0].revoked, Some(NOW));
    assert_eq!(listed[1].label, "entra");
    assert!(file::revoke(&path, "nobody", NOW).is_err());
}

#[test]
fn a_damaged_or_deleted_file_keeps_the_tokens_read_before() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    let made = file::create(&path, "okta", HOUR, NOW).unwrap();
    let token = made.secret.expose_secret().as_bytes();
    let whole = fs::read(&path).unwrap();
    let tokens = Tokens::open(&path).unwrap();
    for (turn, half) in [whole.len() / 2, 0].into_iter().enumerate() {
        fs::write(&path, &whole[..half]).unwrap();
        let now = NOW + 2_000 * i64::try_from(turn + 1).unwrap();
        assert!(tokens.check(token, now).is_some());
    }
    fs::remove_file(&path).unwrap();
    assert!(tokens.check(token, NOW + 8_000).is_some());
    fs::write(&path, br#"{"version":1,"tokens":[]}"#).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(tokens.check(token, NOW + 10_000).is_none());
}

#[test]
fn the_files_are_private_and_a_public_one_is_refused() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    let made = file::create(&path, "okta", HOUR, NOW).unwrap();
    for name in ["acme.tokens", "acme.tokens.pepper", "acme.tokens.lock"] {
        let mode = fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(made.secret.expose_secret()));
    for name in ["acme.tokens", "acme.tokens.pepper"] {
        let file = folder.path().join(name);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Tokens::open(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn tokens_without_their_pepper_are_not_quietly_voided() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    file::create(&path, "okta", HOUR, NOW).unwrap();
    fs::remove_file(folder.path().join("acme.tokens.pepper")).unwrap();
    assert!(Tokens::open(&path).is_err());
    assert!(file::create(&path, "entra", HOUR, NOW).is_err());
}

#[test]
fn expiry_is_mandatory_and_bounded_and_live_tokens_are_few() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    assert!(file::create(&path, "x", Duration::ZERO, NOW).is_err());
    assert!(file::create(&path, "x", file::LONGEST_LIFE + HOUR, NOW).is_err());
    assert!(file::create(&path, "two\nlines", HOUR, NOW).is_err());
    for _ in 0..10 {
        file::create(&path, "x", HOUR, NOW).unwrap();
    }
    assert!(file::create(&path, "x", HOUR, NOW).is_err());
    let later = NOW + 2 * 3_600_000;
    file::create(&path, "x", HOUR, later).unwrap();
}

#[test]
fn a_token_lives_for_a_minute_and_two_years_and_no_second_less_or_more() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    let second = Duration::from_secs(1);
    let minute = 60 * second;
    assert_eq!(file::LONGEST_LIFE.as_secs(), 63_072_000);
    assert_eq!(file::USUAL_LIFE.as_secs(), 31_536_000);
    for life in [minute, file::LONGEST_LIFE] {
        let made = file::create(&path, "x", life, NOW).unwrap();
        assert_eq!(made.expires - NOW, i64::try_from(life.as_millis()).unwrap());
    }
    for life in [Duration::from_secs(59), file::LONGEST_LIFE + second] {
        assert!(file::create(&path, "x", life, NOW).is_err());
    }
    let listed = file::list(&path).unwrap();
    let live = |now| listed[0].live(now);
    assert_eq!(listed.len(), 2);
    assert!(live(NOW + 59_999) && !live(NOW + 60_000), "not any more");
    let revoked = file::revoke(&path, &listed[1].id, NOW).unwrap();
    assert!(!revoked.live(NOW));
}

#[test]
fn a_label_is_a_hundred_characters_long_at_most() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    assert!(file::create(&path, &"\u{fc}".repeat(100), HOUR, NOW).is_ok());
    assert!(file::create(&path, &"x".repeat(101), HOUR, NOW).is_err());
}

#[test]
fn of_many_dead_tokens_the_oldest_are_forgotten_and_no_live_one_is() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    file::create(&path, "long", file::LONGEST_LIFE, NOW).unwrap();
    let mut now = NOW;
    for number in 0..55 {
        now += 120_000;
        let label = number.to_string();
        file::create(&path, &label, Duration::from_secs(60), now).unwrap();
    }
    let listed = file::list(&path).unwrap();
    let labels: Vec<&str> = listed.iter().map(|token| token.label.as_str()).collect();
    let kept: Vec<String> = (4..55).map(|number| number.to_string()).collect();
    assert_eq!(
        (labels[0], &labels[1..]),
        (
            "long",
            &kept.iter().map(String::as_str).collect::<Vec<_>>()[..]
        )
    );
}

#[test]
fn a_pepper_stays_as_long_as_there_is_one() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    let pepper = || fs::read(folder.path().join("acme.tokens.pepper")).unwrap();
    file::create(&path, "okta", HOUR, NOW).unwrap();
    let before = pepper();
    fs::write(&path, br#"{"version":1,"tokens":[]}"#).unwrap();
    file::create(&path, "entra", HOUR, NOW).unwrap();
    assert_eq!(pepper(), before);
}

#[test]
fn a_file_of_more_than_256_kibibytes_is_no_token_file() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    file::create(&path, "okta", HOUR, NOW).unwrap();
    let mut text = fs::read(&path).unwrap();
    text.resize(262_144, b' ');
    fs::write(&path, &text).unwrap();
    assert_eq!(file::list(&path).unwrap().len(), 1);
    text.push(b' ');
    fs::write(&path, &text).unwrap();
    let refused = file::list(&path).unwrap_err().to_string();
    assert!(refused.contains("too long"), "{refused}");
}

#[test]
fn what_is_in_the_way_of_a_file_is_told_and_what_a_crash_left_is_not() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    let missing = file::list(&path).unwrap_err();
    assert!(matches!(missing, file::TokenError::Missing(_)), "{missing}");
    let left = folder.path().join("acme.tokens.new");
    fs::write(&left, "half").unwrap();
    file::create(&path, "okta", HOUR, NOW).unwrap();
    assert!(!left.exists());
    fs::create_dir(&left).unwrap();
    let refused = file::create(&path, "okta", HOUR, NOW).unwrap_err();
    let file::TokenError::Io { source, .. } = refused else {
        panic!("{refused}")
    };
    assert_ne!(source.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(file::list(&path).unwrap().len(), 1);
}

#[test]
fn two_processes_creating_at_once_lose_nothing() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    file::create(&path, "first", HOUR, NOW).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| file::create(&path, "more", HOUR, NOW).unwrap());
        }
    });
    assert_eq!(file::list(&path).unwrap().len(), 9);
}

#[test]
fn a_typing_error_is_told_from_a_token() {
    let token = secret::generate().unwrap();
    assert_eq!(token.len(), 53);
    assert!(secret::well_formed(&token));
    for at in 0..token.len() {
        let mut wrong = token.clone().into_bytes();
        wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
        assert!(!secret::well_formed(&String::from_utf8(wrong).unwrap()));
    }
    assert!(!secret::well_formed(""));
    assert_ne!(token, secret::generate().unwrap());
}

#[test]
fn fixed_tokens_must_not_be_guessable() {
    for weak in [
        "",
        "short",
        "aaaaaaaaaaaa",
        "with space in it",
        "gr\u{fc}n-gr\u{fc}n-gr\u{fc}n",
    ] {
        assert!(Tokens::fixed(weak).is_err(), "{weak:?}");
    }
    let tokens = Tokens::fixed("a-token-for-the-suite").unwrap();
    assert!(tokens.check(b"a-token-for-the-suite", NOW).is_some());
    assert!(tokens.check(b"a-token-for-the-suitf", NOW).is_none());
    assert!(Tokens::default().check(b"", NOW).is_none());
}

#[test]
fn a_file_that_could_not_be_read_is_tried_until_it_can() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    let made = file::create(&path, "okta", HOUR, NOW).unwrap();
    let token = made.secret.expose_secret().as_bytes();
    let tokens = Tokens::open(&path).unwrap();
    file::revoke(&path, &made.id, NOW).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    assert!(tokens.check(token, NOW + 1_000).is_some());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(tokens.check(token, NOW + 2_000).is_none());
}

#[test]
fn a_change_keeps_who_may_read_the_file() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    let made = file::create(&path, "okta", HOUR, NOW).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(&path).unwrap();
    // Only root can give a file away; others keep their own.
    let given = std::os::unix::fs::chown(&path, Some(before.uid() + 1), Some(before.gid() + 1));
    let owner = before.uid() + u32::from(given.is_ok());
    file::revoke(&path, &made.id, NOW).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.uid(), after.mode() & 0o777), (owner, 0o640));
}

#[test]
fn the_file_is_looked_at_once_a_second_whichever_way_the_clock_goes() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    let made = file::create(&path, "okta", HOUR, NOW).unwrap();
    let token = made.secret.expose_secret().as_bytes();
    let opened = || {
        let tokens = Tokens::open(&path).unwrap();
        assert!(tokens.check(token, NOW).is_some());
        tokens
    };
    let (forwards, backwards) = (opened(), opened());
    file::revoke(&path, &made.id, NOW).unwrap();
    for soon in [0, 1, 999] {
        assert!(forwards.check(token, NOW + soon).is_some(), "{soon}");
    }
    assert!(forwards.check(token, NOW + 1_000).is_none());
    assert!(backwards.check(token, NOW - 1).is_none());
}

#[test]
fn longer_than_a_token_can_be_is_none() {
    let longest = "abcdefgh".repeat(64);
    let longer = format!("{longest}i");
    for (token, lets_in) in [(&longest, true), (&longer, false)] {
        let tokens = Tokens::fixed(token).unwrap();
        assert_eq!(tokens.check(token.as_bytes(), NOW).is_some(), lets_in);
    }
}

#[test]
fn a_key_for_another_purpose_is_another_and_comes_from_the_pepper() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    file::create(&path, "okta", HOUR, NOW).unwrap();
    let key = |tokens: &Tokens, purpose| {
        let key = tokens.derived(purpose);
        key.map(|key| super::digest(&key, b"same"))
    };
    let tokens = Tokens::open(&path).unwrap();
    let one = key(&tokens, "cursor");
    assert!(one.is_some() && one != key(&tokens, "other"));
    assert_eq!(one, key(&Tokens::open(&path).unwrap(), "cursor"));
    assert_ne!(one, key(&Tokens::fixed("abcdefghijkl").unwrap(), "cursor"));
    assert_eq!(key(&Tokens::default(), "cursor"), None);
}

#[test]
fn what_is_listed_is_of_the_file_as_it_is_now_and_nothing_where_there_is_none() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    file::create(&path, "okta", HOUR, NOW).unwrap();
    let tokens = Tokens::open(&path).unwrap();
    file::create(&path, "entra", HOUR, NOW).unwrap();
    let listed = tokens.listed().unwrap().unwrap();
    let labels: Vec<&str> = listed.iter().map(|token| token.label.as_str()).collect();
    assert_eq!(labels, ["okta", "entra"]);
    let fixed = Tokens::fixed("a-token-for-the-suite").unwrap();
    assert!(fixed.listed().is_none());
}

/// Counts what is logged.
struct Counted(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl tracing::Subscriber for Counted {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn each_thing_that_is_wrong_with_the_file_is_told_once() {
    let folder = folder();
    let path = folder.path().join("acme.tokens");
    let made = file::create(&path, "okta", HOUR, NOW).unwrap();
    let token = made.secret.expose_secret().as_bytes();
    let tokens = Tokens::open(&path).unwrap();
    let told = std::sync::Arc::default();
    let mut now = NOW;
    tracing::subscriber::with_default(Counted(std::sync::Arc::clone(&told)), || {
        let mut looks = |expected: usize| {
            for _ in 0..3 {
                now += 1_000;
                assert!(tokens.check(token, now).is_some());
            }
            assert_eq!(told.load(std::sync::atomic::Ordering::SeqCst), expected);
        };
        looks(0);
        fs::write(&path, "nonsense").unwrap();
        looks(1);
        fs::remove_file(&path).unwrap();
        looks(2);
        fs::write(&path, "other nonsense").unwrap();
        looks(3);
    });
}
