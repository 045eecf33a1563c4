#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const NOW: Millis = 1_767_225_600_000;
const BOUND: [&str; 2] = ["acme", "query"];

fn tokens() -> Tokens {
    Tokens::fixed("a-token-for-tests-0123456789-abcdefghijklmnop").unwrap()
}

fn position(direction: Direction, key: &[u8]) -> Position {
    let mark = Mark {
        key: SortKey::from_bytes(key),
        of: Group.into(),
        row: i64::MIN,
    };
    Position {
        direction,
        mark: Some(mark),
        count: 2,
    }
}

fn refused(cursors: &Cursors, cursor: &str, now: Millis) -> ScimType {
    let problem = cursors.start(cursor, 2, now).expect_err(cursor);
    assert_eq!(problem.status, 400);
    problem.scim_type.unwrap()
}

#[test]
fn a_cursor_leads_to_where_it_was_made_and_is_always_of_one_length() {
    let cursors = Cursors::new(&tokens(), &BOUND).unwrap();
    let longest = [b'x'; KEY];
    for key in [&[][..], b"\x01a", &longest] {
        for of in [User.into(), Role.into(), Entitlement.into()] {
            let mut after = position(Direction::After, key);
            after.mark.as_mut().unwrap().of = of;
            let start = cursors.start(&cursors.seal(&after, NOW), 2, NOW).unwrap();
            assert_eq!(start, Start::After(after.mark));
        }
        let after = position(Direction::After, key);
        let cursor = cursors.seal(&after, NOW);
        assert_eq!(cursor.len(), SEALED / 3 * 4);
        let start = cursors.start(&cursor, 2, NOW).unwrap();
        assert_eq!(start, Start::After(after.mark));
        let before = position(Direction::Before, key);
        let cursor = cursors.seal(&before, NOW);
        assert_eq!(cursor.len(), SEALED / 3 * 4);
        let start = cursors.start(&cursor, 2, NOW).unwrap();
        assert_eq!(start, Start::Before(before.mark));
    }
    let end = Position {
        direction: Direction::Before,
        mark: None,
        count: 2,
    };
    let start = cursors.start(&cursors.seal(&end, NOW), 2, NOW).unwrap();
    assert_eq!(start, Start::Before(None));
    assert_eq!(cursors.start("", 2, NOW).unwrap(), Start::After(None));
}

#[test]
fn a_cursor_shows_nothing_of_its_key() {
    let cursors = Cursors::new(&tokens(), &BOUND).unwrap();
    let seal = |key: &[u8]| cursors.seal(&position(Direction::After, key), NOW);
    let (one, other) = (seal(b"alice@example.com"), seal(b"alicf@example.com"));
    let same = one.bytes().zip(other.bytes()).filter(|(a, b)| a == b);
    // One letter in 64 is the same by chance; half of them never are.
    assert!(same.count() < one.len() / 2);
    let opened = bytes(&one).unwrap();
    assert!(!opened.windows(5).any(|part| part == b"alice"));
}

#[test]
fn no_changed_letter_is_taken() {
    let cursors = Cursors::new(&tokens(), &BOUND).unwrap();
    let cursor = cursors.seal(&position(Direction::After, b"\x01key"), NOW);
    for place in 0..cursor.len() {
        let mut letters = cursor.clone().into_bytes();
        let value = ALPHABET.iter().position(|known| *known == letters[place]);
        for bit in 0..6 {
            letters[place] = ALPHABET[value.unwrap() ^ 1 << bit];
            let forged = std::str::from_utf8(&letters).unwrap();
            assert_eq!(refused(&cursors, forged, NOW), ScimType::InvalidCursor);
        }
        letters[place] = b'=';
        let foreign = std::str::from_utf8(&letters).unwrap();
        assert_eq!(refused(&cursors, foreign, NOW), ScimType::InvalidCursor);
    }
    let longer = format!("{cursor}A");
    let doubled = cursor.repeat(2);
    let wide = "é".repeat(cursor.len() / 2);
    for other in [&cursor[1..], &longer, &doubled, &wide, " ", "0"] {
        assert_eq!(refused(&cursors, other, NOW), ScimType::InvalidCursor);
    }
}

#[test]
fn a_cursor_belongs_to_one_connection_and_one_query() {
    let tokens = tokens();
    let mine = Cursors::new(&tokens, &BOUND).unwrap();
    let cursor = mine.seal(&position(Direction::After, b""), NOW);
    let again = Cursors::new(&tokens, &BOUND).unwrap();
    assert!(again.start(&cursor, 2, NOW).is_ok());
    // The same token, but another pepper.
    let others = self::tokens();
    for (tokens, bound) in [
        (&others, &BOUND[..]),
        (&tokens, &["other", "query"]),
        (&tokens, &["acme", "Query"]),
        (&tokens, &["acmequery", ""]),
        (&tokens, &["acme", "query", ""]),
    ] {
        let other = Cursors::new(tokens, bound).unwrap();
        assert_eq!(refused(&other, &cursor, NOW), ScimType::InvalidCursor);
    }
}

#[test]
fn a_cursor_is_good_until_it_expires_and_says_that_it_did() {
    let cursors = Cursors::new(&tokens(), &BOUND).unwrap();
    let cursor = cursors.seal(&position(Direction::After, b""), NOW);
    let end = NOW + CURSOR_TIMEOUT.cast_signed() * 1_000;
    // A clock that was set back does no harm.
    for now in [i64::MIN, 0, NOW - 1, NOW, end] {
        assert!(cursors.start(&cursor, 2, now).is_ok(), "{now}");
    }
    for now in [end + 1, i64::MAX] {
        assert_eq!(refused(&cursors, &cursor, now), ScimType::ExpiredCursor);
    }
}

#[test]
fn a_cursor_goes_with_the_count_it_was_given_with() {
    let cursors = Cursors::new(&tokens(), &BOUND).unwrap();
    let cursor = cursors.seal(&position(Direction::After, b"a"), NOW);
    let problem = cursors.start(&cursor, 3, NOW).unwrap_err();
    assert_eq!(problem.scim_type, Some(ScimType::InvalidCount));
    assert!(problem.detail.contains("count=2"), "{}", problem.detail);
}
