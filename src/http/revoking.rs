//! Whether the body of a PATCH, a PUT or a bulk request takes access away, told
//! at a glance: the words of its JSON, without their meaning. It decides which
//! budget a request is taken from and nothing else, so a request that adds and
//! happens to look like a removal is let be one; one that takes away must never
//! pass for an addition. What may do something else beside is told apart: it is
//! let in as a removal, and counts as an addition too.

use actix_web::http::Method;

/// What makes a removal of a request, as far as it was read.
#[derive(Debug, Default)]
struct Seen {
    /// What is not said any more is gone: `replace`, PUT.
    replaces: bool,
    members: bool,
    active: bool,
    off: bool,
    /// Whatever is done to them: one role can take another's place.
    roles: bool,
    removes: bool,
    adds: bool,
}

/// What a body does to what somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    TakesNothing,
    OnlyTakes,
    /// It takes away, and gives or changes something beside.
    TakesAndGives,
}

pub(super) fn takes_away(method: &Method, body: &[u8]) -> bool {
    sort(method, body) != Sort::TakesNothing
}

pub(super) fn sort(method: &Method, body: &[u8]) -> Sort {
    let mut seen = Seen {
        replaces: method == Method::PUT,
        ..Seen::default()
    };
    seen.text(body, true);
    let Seen {
        replaces,
        members,
        active,
        off,
        roles,
        removes,
        adds,
    } = seen;
    let off = active && off;
    if !(removes || roles || replaces && members || off) {
        Sort::TakesNothing
    } else if adds || replaces && (members || roles || !off) {
        Sort::TakesAndGives
    } else {
        Sort::OnlyTakes
    }
}

impl Seen {
    /// Goes through a JSON text once. A text in it can be JSON again.
    fn text(&mut self, mut rest: &[u8], nested: bool) {
        let mut last: &[u8] = b"";
        while let Some(at) = rest.iter().position(|b| *b == b'"' || *b == b'f') {
            let (_, from) = rest.split_at(at);
            if let Some(after) = from.strip_prefix(b"false") {
                self.no(last);
                rest = after;
                continue;
            }
            let Some(from) = from.strip_prefix(b"\"") else {
                rest = from.get(1..).unwrap_or_default();
                continue;
            };
            // Without an end it is no JSON, and will be refused as that.
            let Some((word, after)) = quoted(from) else {
                return;
            };
            if word.contains(&b'\\') {
                self.escaped(word, nested);
                // Whatever name that is, a false after it counts.
                last = b"value";
            } else {
                self.word(word, last);
                last = word;
            }
            rest = after;
        }
    }

    /// Rare, so it may cost more.
    fn escaped(&mut self, word: &[u8], nested: bool) {
        let quoted = [b"\"", word, b"\""].concat();
        let Ok(plain) = serde_json::from_slice::<String>(&quoted) else {
            return;
        };
        self.word(plain.as_bytes(), b"value");
        if nested {
            self.text(plain.as_bytes(), false);
        }
    }

    fn word(&mut self, word: &[u8], last: &[u8]) {
        let word = word.trim_ascii();
        let is = |other: &str| word.eq_ignore_ascii_case(other.as_bytes());
        self.removes |= is("remove") || is("delete");
        self.adds |= is("add") || is("post");
        self.replaces |= is("replace") || is("put");
        if is("false") {
            self.no(last);
        }
        // A name can be the end of a path or its beginning.
        for part in word.split(|b| *b == b':' || *b == b'.') {
            self.members |= begins(part, "members");
            self.active |= begins(part, "active");
            self.roles |= begins(part, "roles") || begins(part, "entitlements");
        }
    }

    /// A false is one of `active` where it stands at its name or is the value
    /// of an operation; what is not primary is not off.
    fn no(&mut self, last: &[u8]) {
        self.off |= last.eq_ignore_ascii_case(b"value")
            || last.len() >= 6 && last.to_ascii_lowercase().ends_with(b"active");
    }
}

/// A text up to its closing quotation mark, and what comes after that.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = text.iter().position(|b| {
        let ends = *b == b'"' && !escaped;
        escaped = *b == b'\\' && !escaped;
        ends
    })?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

fn begins(part: &[u8], name: &str) -> bool {
    part.get(..name.len())
        .is_some_and(|front| front.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(operations: &str) -> bool {
        takes_away(
            &Method::PATCH,
            format!(r#"{{"Operations":[{operations}]}}"#).as_bytes(),
        )
    }

    #[test]
    fn every_dialect_of_taking_away_is_seen() {
        for operation in [
            r#"{"op":"remove","path":"members","value":[{"value":"a"}]}"#,
            r#"{"op":"Remove","path":"members[value eq \"a\"]"}"#,
            r#"{"op":"r\u0065move","path":"members"}"#,
            r#"{"op":"replace","value":{"\u0061ctive":false}}"#,
            r#"{"op":"replace","path":"active","v\u0061lue":false}"#,
            r#"{"op":"replace","path":"members","value":[{"value":"a"}]}"#,
            r#"{"op":"Replace","value":{"Members":[]}}"#,
            r#"{"op":"replace","value":"{\"members\":[]}"}"#,
            r#"{"op":"add","path":"active","value":false}"#,
            r#"{"op":"replace","path":"active","value":"False"}"#,
            r#"{"op":"replace","value":{"active":false}}"#,
            r#"{"op":"replace","value":{"active" : "false"}}"#,
            r#"{"value":false,"path":"urn:ietf:params:scim:schemas:core:2.0:User:active","op":"replace"}"#,
            r#"{"op":"replace","value":{"urn:ietf:params:scim:schemas:core:2.0:User:active":false}}"#,
            r#"{"op":"replace","value":"{\"active\": false}"}"#,
            r#"{"op":"add","path":"active","value":"fals\u0065"}"#,
            r#"{"op":"add","path":"roles","value":[{"value":"Auditors"}]}"#,
            r#"{"op":"replace","path":"entitlements[value eq \"a\"].value","value":"b"}"#,
        ] {
            assert!(patch(operation), "{operation}");
            let among = format!(r#"{{"op":"add","path":"title","value":"\\"}},{operation}"#);
            assert!(patch(&among), "{among}");
        }
    }

    #[test]
    fn what_only_adds_or_renames_is_none() {
        for operation in [
            r#"{"op":"add","path":"members","value":[{"value":"a","display":"J\u00fcrgen \"false\""}]}"#,
            r#"{"op":"Add","value":{"members":[{"value":"a"}]}}"#,
            r#"{"op":"replace","path":"displayName","value":"removed, inactive"}"#,
            r#"{"op":"replace","path":"active","value":true},{"op":"add","path":"emails","value":[{"value":"a@b","primary":false}]}"#,
            r#"{"op":"replace","value":{"active":"True","title":"false"}}"#,
        ] {
            assert!(!patch(operation), "{operation}");
        }
    }

    #[test]
    fn what_gives_beside_what_it_takes_away_is_told_apart() {
        use Sort::{OnlyTakes, TakesAndGives};
        let patch =
            |operations: &str| (Method::PATCH, format!(r#"{{"Operations":[{operations}]}}"#));
        let bulk = |operations: &str| (Method::POST, format!(r#"{{"Operations":[{operations}]}}"#));
        let put = |body: &str| (Method::PUT, body.to_owned());
        let remove = r#"{"op":"remove","path":"members[value eq \"a\"]"}"#;
        let add = r#"{"op":"Add","path":"members","value":[{"value":"b"}]}"#;
        let off = r#"{"op":"replace","path":"active","value":false}"#;
        let delete = r#"{"method":"DELETE","path":"/Users/a"}"#;
        for ((method, body), is) in [
            (patch(remove), OnlyTakes),
            (patch(&format!("{remove},{remove}")), OnlyTakes),
            (patch(off), OnlyTakes),
            (
                patch(r#"{"op":"Replace","value":{"active":"False"}}"#),
                OnlyTakes,
            ),
            (
                patch(r#"{"op":"remove","path":"roles[value eq \"a\"]"}"#),
                OnlyTakes,
            ),
            (put(r#"{"userName":"a","active":false}"#), OnlyTakes),
            (bulk(delete), OnlyTakes),
            (
                bulk(&format!(
                    r#"{delete},{{"method":"PATCH","data":{{"Operations":[{off}]}}}}"#
                )),
                OnlyTakes,
            ),
            (patch(&format!("{remove},{add}")), TakesAndGives),
            (patch(&format!("{add},{off}")), TakesAndGives),
            (
                patch(r#"{"op":"replace","path":"members","value":[{"value":"b"}]}"#),
                TakesAndGives,
            ),
            (
                patch(&format!(
                    r#"{remove},{{"op":"replace","path":"displayName","value":"b"}}"#
                )),
                TakesAndGives,
            ),
            (
                put(r#"{"displayName":"a","members":[{"value":"b"}]}"#),
                TakesAndGives,
            ),
            (
                bulk(&format!(r#"{delete},{{"method":"post","path":"/Users"}}"#)),
                TakesAndGives,
            ),
            (
                bulk(&format!(
                    r#"{delete},{{"method":"PUT","path":"/Users/b","data":{{"active":true}}}}"#
                )),
                TakesAndGives,
            ),
        ] {
            assert_eq!(sort(&method, body.as_bytes()), is, "{body}");
        }
    }

    #[test]
    fn a_put_replaces_members_and_may_switch_off() {
        for (body, takes) in [
            (r#"{"displayName":"a","members":[]}"#, true),
            (r#"{"displayName":"a"}"#, false),
            (r#"{"userName":"a","active":false}"#, true),
            (
                r#"{"userName":"a","active":true,"emails":[{"primary":false}]}"#,
                false,
            ),
            (r#"{"userName":"a","roles":[]}"#, true),
        ] {
            assert_eq!(takes_away(&Method::PUT, body.as_bytes()), takes, "{body}");
        }
    }

    #[test]
    fn a_bulk_request_is_what_its_operations_are() {
        let of = |operation: &str| {
            let body = format!(r#"{{"schemas":["x"],"Operations":[{operation}]}}"#);
            takes_away(&Method::POST, body.as_bytes())
        };
        assert!(of(r#"{"method":"DELETE","path":"/Users/a"}"#));
        assert!(of(
            r#"{"method":"PUT","path":"/Groups/a","data":{"members":[]}}"#
        ));
        assert!(!of(
            r#"{"method":"POST","path":"/Groups","data":{"members":[{"value":"a"}]}}"#
        ));
        assert!(!of(
            r#"{"method":"PUT","path":"/Users/a","data":{"active":true}}"#
        ));
    }

    #[test]
    fn what_is_no_json_is_gone_through_all_the_same() {
        for body in [
            "",
            "\"",
            "\"\\",
            "f",
            "\"active\" \"\\",
            "{\"a\":\"\\\"",
            "\u{0}\"fff",
        ] {
            assert!(!takes_away(&Method::PATCH, body.as_bytes()), "{body}");
        }
    }
}
