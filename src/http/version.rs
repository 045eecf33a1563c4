//! Entity tags (RFC 7644 section 3.14, RFC 9110 section 8.8.3): `W/"7"` is
//! version 7 of a resource, in the `ETag` header and in `meta.version`; a user
//! shown with groups has their fingerprint behind it, `W/"7-0123456789abcdef"`.
//!
//! What is to be written is compared by the version alone, because groups are
//! no part of it; whether a client's copy is the present one, by all of it.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use crate::{
    bridge::Precondition,
    scim::{
        error::Problem,
        render::{self, Tag},
        tags::Tags,
    },
};

/// The `ETag` header.
pub(super) fn etag(tag: impl Into<Tag>) -> HeaderValue {
    HeaderValue::try_from(render::etag(tag)).unwrap_or_else(|_| HeaderValue::from_static("W/\"0\""))
}

/// The version of a text that has no number of its own.
pub(super) fn of_text(text: &str) -> u64 {
    let digest = Sha256::digest(text);
    let first = digest.first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first)
}

/// The precondition of a write.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    let if_match = tags(headers, &header::IF_MATCH)?;
    Ok(Precondition::of(
        if_match,
        tags(headers, &header::IF_NONE_MATCH)?,
    ))
}

/// Whether a read is of the version that the client insists on (RFC 9110
/// section 13.1.1: a request whose `If-Match` fails is not performed).
pub(super) fn is_expected(headers: &HeaderMap, version: u64) -> Result<bool, Problem> {
    Ok(match tags(headers, &header::IF_MATCH)? {
        None | Some(Tags::Any) => true,
        Some(tags) => tags.versions().contains(&version),
    })
}

/// Whether a read needs no body because the client has just this already.
pub(super) fn unmodified(headers: &HeaderMap, tag: impl Into<Tag>) -> Result<bool, Problem> {
    Ok(match tags(headers, &header::IF_NONE_MATCH)? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::These(tags)) => tags.contains(&tag.into()),
    })
}

/// Reads all fields of a name as one list.
fn tags(headers: &HeaderMap, name: &header::HeaderName) -> Result<Option<Tags>, Problem> {
    let values = headers.get_all(name).map(|value| value.to_str().ok());
    Tags::read(name.as_str(), values)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn sent(name: &header::HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn if_match(values: &[&str]) -> Result<Option<Vec<u64>>, Problem> {
        precondition(&sent(&header::IF_MATCH, values)).map(|p| p.if_match)
    }

    fn if_none_match(values: &[&str]) -> Option<Vec<u64>> {
        precondition(&sent(&header::IF_NONE_MATCH, values))
            .unwrap()
            .if_none_match
    }

    #[test]
    fn tags_are_read_in_every_legal_form() {
        assert_eq!(if_match(&[]).unwrap(), None);
        assert_eq!(if_match(&[""]).unwrap_err().status, 400);
        assert_eq!(if_match(&["\"7\"", " "]).unwrap_err().status, 400);
        assert_eq!(if_none_match(&[""]), None);
        assert_eq!(if_match(&["*"]).unwrap(), None);
        assert_eq!(if_match(&["W/\"7\""]).unwrap(), Some(vec![7]));
        assert_eq!(if_match(&["\"7\""]).unwrap(), Some(vec![7]));
        assert_eq!(
            if_match(&["W/\"7\" , \"8\",,W/\"9\""]).unwrap(),
            Some(vec![7, 8, 9])
        );
        assert_eq!(if_match(&["\"7\"", "\"8\""]).unwrap(), Some(vec![7, 8]));
    }

    #[test]
    fn a_foreign_tag_matches_nothing() {
        for tag in [
            "\"abc\"",
            "\"007\"",
            "\"+7\"",
            "\"\"",
            "\"99999999999999999999999\"",
            "\"7-\"",
            "\"7-abc\"",
            "\"7-0123456789ABCDEF\"",
            "\"7-+123456789abcdef\"",
        ] {
            assert_eq!(if_match(&[tag]).unwrap(), Some(vec![]), "{tag}");
            assert_eq!(if_none_match(&[tag]), None, "{tag}");
        }
    }

    #[test]
    fn a_star_in_if_none_match_stands_for_any_version() {
        assert_eq!(if_none_match(&["*"]), Some(vec![]));
        assert!(unmodified(&sent(&header::IF_NONE_MATCH, &["*"]), 3).unwrap());
        assert!(unmodified(&sent(&header::IF_NONE_MATCH, &["\"3\""]), 3).unwrap());
        assert!(!unmodified(&sent(&header::IF_NONE_MATCH, &["\"2\""]), 3).unwrap());
        assert!(!unmodified(&HeaderMap::new(), 3).unwrap());
    }

    #[test]
    fn a_malformed_list_is_an_error() {
        for tag in [
            "7",
            "W/7",
            "w/\"7\"",
            "\"7",
            "7\"",
            "\"7\" \"8\"",
            "\"7\"x",
            "*, \"7\"",
        ] {
            assert_eq!(if_match(&[tag]).unwrap_err().status, 400, "{tag}");
        }
    }

    #[test]
    fn groups_count_for_a_copy_and_not_for_a_write() {
        let tag = Tag {
            version: 7,
            groups: Some(0x1f),
        };
        assert_eq!(etag(tag), "W/\"7-000000000000001f\"");
        let text = "W/\"7-000000000000001f\"";
        assert_eq!(if_match(&[text]).unwrap(), Some(vec![7]));
        assert_eq!(if_none_match(&[text]), Some(vec![7]));
        let has = sent(&header::IF_NONE_MATCH, &[text]);
        assert!(unmodified(&has, tag).unwrap());
        assert!(!unmodified(&has, 7).unwrap());
        assert!(!unmodified(&sent(&header::IF_NONE_MATCH, &["W/\"7\""]), tag).unwrap());
        assert!(is_expected(&sent(&header::IF_MATCH, &[text]), 7).unwrap());
    }

    #[test]
    fn the_tag_of_a_version_is_weak() {
        assert_eq!(etag(12), "W/\"12\"");
    }
}
