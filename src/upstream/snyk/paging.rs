//! From one page to the next. Snyk's `links.next` comes in three spellings:
//! absolute, from `/rest` on (behind a proxy from where that has it), and from
//! behind it. Whatever it says, only its
//! cursor is taken: the credential follows no address out of an answer.

use super::wire::{Link, unclear};
use crate::upstream::UpstreamError;

/// The cursor of the next page of a list at `path`, below `prefix` by the
/// configuration; `None` at the end.
pub(super) fn cursor(
    next: Option<&Link>,
    path: &str,
    prefix: &str,
) -> Result<Option<String>, UpstreamError> {
    let Some(next) = next
        .map(|link| link.text().trim())
        .filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    let (place, query) = next.split_once('?').unwrap_or((next, ""));
    if !leads_to(place, path, prefix) {
        return Err(unclear("the link to the next page leads to another list"));
    }
    let found = url_pairs(query).find(|(key, _)| key == "starting_after");
    match found {
        Some((_, cursor)) if !cursor.is_empty() => Ok(Some(cursor)),
        _ => Err(unclear("the link to the next page holds no cursor")),
    }
}

/// Absolute, from the prefix or `/rest` on, or from behind it.
fn leads_to(place: &str, path: &str, prefix: &str) -> bool {
    let place = match place.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |start| &rest[start..]),
        None => place,
    };
    let behind = |prefix: &str| place.strip_prefix(prefix) == Some(path);
    ["", "/rest", prefix].into_iter().any(behind)
}

fn url_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    let mut url = reqwest::Url::parse("https://nowhere.invalid/").ok();
    if let Some(url) = &mut url {
        url.set_query(Some(query));
    }
    let pairs: Vec<(String, String)> = url
        .iter()
        .flat_map(reqwest::Url::query_pairs)
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    pairs.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/groups/g-1/memberships";

    fn next(text: &str) -> Result<Option<String>, UpstreamError> {
        cursor(Some(&Link::Text(text.into())), PATH, "/proxy/rest")
    }

    #[test]
    fn all_three_spellings_lead_to_the_next_page() {
        for link in [
            "https://api.snyk.io/rest/groups/g-1/memberships?version=2025-11-05&starting_after=v1.x%3D",
            "/rest/groups/g-1/memberships?starting_after=v1.x%3D&limit=100",
            "/groups/g-1/memberships?starting_after=v1.x%3D",
            "https://gw.example.com/proxy/rest/groups/g-1/memberships?starting_after=v1.x%3D",
            "/proxy/rest/groups/g-1/memberships?starting_after=v1.x%3D",
        ] {
            assert_eq!(next(link), Ok(Some("v1.x=".to_owned())), "{link}");
            let object = Link::Object { href: link.into() };
            assert_eq!(
                cursor(Some(&object), PATH, "/proxy/rest"),
                Ok(Some("v1.x=".to_owned()))
            );
        }
        assert_eq!(next(""), Ok(None));
        assert_eq!(cursor(None, PATH, "/rest"), Ok(None));
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_not_followed() {
        for link in [
            "https://evil.example.com/steal?starting_after=x",
            "/rest/groups/g-2/memberships?starting_after=x",
            "/other/rest/groups/g-1/memberships?starting_after=x",
            "/groups/g-1/memberships?ending_before=x",
            "/groups/g-1/memberships",
        ] {
            assert!(
                matches!(next(link), Err(UpstreamError::Unknown { .. })),
                "{link}"
            );
        }
    }
}
