//! From one page of a list to the next, in the five ways that are common: a
//! cursor in the answer, a link in the answer or in its `Link` header, numbered pages,
//! an offset. Of a link only the query is taken: the credential follows no address out of an
//! answer. A page that is shorter than asked for is not the last one, because
//! many applications cut pages; where pages are counted, an empty one is. A list
//! that changes while it is read, or never ends, is none.

use std::{collections::HashSet, num::NonZeroUsize};

use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use super::{
    links,
    pointer::{Pointer, text_of},
};
use crate::upstream::{
    UpstreamError,
    same_page::{Page, PagesBefore},
};

/// How a list comes in parts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    pub style: Style,
    /// Where the cursor or the link to the next page stands.
    #[serde(default)]
    pub next: Option<Pointer>,
    /// The query's key for the cursor, the page or the offset.
    #[serde(default)]
    pub query: Option<String>,
    /// The query's key for the entries of a page, and how many are asked for.
    #[serde(default)]
    pub size: Option<String>,
    #[serde(default)]
    pub entries: Option<NonZeroUsize>,
    /// The number of the first page, or of the first entry.
    #[serde(default)]
    pub first: Option<u64>,
    /// Where the number of all entries stands.
    #[serde(default)]
    pub total: Option<Pointer>,
    /// Where it stands whether there is another page.
    #[serde(default)]
    pub more: Option<Pointer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    Cursor,
    Link,
    /// In a header (RFC 8288).
    #[serde(rename = "link_header")]
    LinkHeader,
    Page,
    Offset,
}

impl Style {
    /// The next page's query is told, and not put together here.
    pub(super) fn is_link(self) -> bool {
        matches!(self, Self::Link | Self::LinkHeader)
    }
}

/// The most pages and entries of a list, so that one that never ends does.
const MOST_PAGES: usize = 100_000;
/// The most empty pages one after another.
const MOST_EMPTY: usize = 100;
pub(super) const MOST: usize = 2_000_000;

pub(super) type Pairs = Vec<(String, String)>;

/// Where a reading stands.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    paging: Option<&'a Paging>,
    here: Url,
    seen: HashSet<String>,
    /// The page's number or the first entry's.
    position: u64,
    entries: u64,
    read: usize,
    empty: usize,
    before: PagesBefore,
    /// What the page before said.
    total: Option<Option<u64>>,
    /// What the answer before said of the next page.
    next: Option<Pairs>,
}

impl<'a> Pages<'a> {
    /// `here` is the list's own address, without a query.
    pub(super) fn of(paging: Option<&'a Paging>, here: Url) -> Self {
        let first = paging.and_then(|it| it.first);
        let usual = paging.is_some_and(|paging| paging.style == Style::Page);
        Self {
            paging,
            here,
            seen: HashSet::new(),
            position: first.unwrap_or(u64::from(usual)),
            entries: 0,
            read: 0,
            empty: 0,
            before: PagesBefore::default(),
            total: None,
            next: None,
        }
    }

    /// What the query of the next call holds besides what is configured, and
    /// whether it is all of it.
    pub(super) fn query(&self) -> (Pairs, bool) {
        let Some(paging) = self.paging else {
            return (Pairs::new(), false);
        };
        if paging.style.is_link()
            && let Some(next) = &self.next
        {
            return (next.clone(), true);
        }
        let mut query = Pairs::new();
        if let Some(size) = &paging.size {
            let entries = paging.entries.map_or(100, usize::from);
            query.push((size.clone(), entries.to_string()));
        }
        query.extend(self.next.clone().into_iter().flatten());
        let counts = matches!(paging.style, Style::Page | Style::Offset);
        if let (true, Some(key)) = (counts, &paging.query) {
            query.push((key.clone(), self.position.to_string()));
        }
        (query, false)
    }

    /// Takes an answer and its `Link` headers, with its entries; whether there is another page.
    pub(super) fn goes_on(
        &mut self,
        (answer, links): (&Value, &[String]),
        page: &Page,
    ) -> Result<bool, UpstreamError> {
        let Some(paging) = self.paging else {
            return Ok(false);
        };
        let count = page.entries;
        self.read += 1;
        self.compare(page)?;
        self.entries = self.entries.saturating_add(count as u64);
        let goes_on = match paging.style {
            Style::Page | Style::Offset => self.counts_on(paging, answer, count)?,
            Style::Cursor | Style::Link => {
                let next = led_to(paging, answer)?;
                self.is_led_on(paging, answer, next)?
            }
            Style::LinkHeader => {
                let next = links::next(links, &self.here).map_err(unclear)?;
                self.is_led_on(paging, answer, next)?
            }
        };
        let too_many = self.read >= MOST_PAGES || self.entries > MOST as u64;
        if goes_on && too_many {
            return Err(unclear("the pages of a list do not come to an end"));
        }
        Ok(goes_on)
    }

    /// The same page again, or one empty page after another, is no end.
    fn compare(&mut self, page: &Page) -> Result<(), UpstreamError> {
        if page.entries == 0 {
            self.empty += 1;
        } else {
            self.empty = 0;
        }
        if self.before.has(page) {
            return Err(unclear(
                "the same page came twice: compare paging with the API's reference",
            ));
        }
        if self.empty > MOST_EMPTY {
            return Err(unclear("the pages of a list do not come to an end"));
        }
        Ok(())
    }

    fn counts_on(
        &mut self,
        paging: &Paging,
        answer: &Value,
        count: usize,
    ) -> Result<bool, UpstreamError> {
        let step = match paging.style {
            Style::Offset => count as u64,
            _ => 1,
        };
        self.position = self.position.saturating_add(step);
        let total = paging.total.as_ref();
        let total = total.and_then(|total| total.count(answer));
        let before = self.total.replace(total);
        let differs = before.is_some_and(|before| before != total);
        if differs || total.is_some_and(|total| total < self.entries) {
            return Err(unclear(
                "the list is not what it says, or has changed while it was read",
            ));
        }
        match (total, has_more(paging, answer)?) {
            (Some(total), Some(false)) if total > self.entries => Err(unclear(
                "the answer says that there is no other page, and that the list holds more",
            )),
            (_, Some(more)) => Ok(more),
            (Some(total), None) if count == 0 && total > self.entries => Err(unclear(
                "the list is cut off: it holds fewer entries than it says",
            )),
            (Some(total), None) => Ok(total > self.entries),
            (None, None) => Ok(count > 0),
        }
    }

    fn is_led_on(
        &mut self,
        paging: &Paging,
        answer: &Value,
        next: Option<String>,
    ) -> Result<bool, UpstreamError> {
        let more = has_more(paging, answer)?;
        if more == Some(false) {
            return Ok(false);
        }
        let Some(next) = next else {
            return match more {
                Some(true) => Err(unclear("there is another page, and no way to it")),
                _ => Ok(false),
            };
        };
        if !self.seen.insert(next.clone()) {
            return Err(unclear("the pages of a list do not come to an end"));
        }
        self.next = Some(match (paging.style, &paging.query) {
            (Style::Link, _) => self.query_of(&next, false)?,
            (Style::LinkHeader, _) => self.query_of(&next, true)?,
            (_, Some(key)) => vec![(key.clone(), next)],
            (_, None) => Pairs::new(),
        });
        Ok(true)
    }

    /// Of a link to the next page of the same list, absolute or not. A link in a body
    /// may be written by somebody behind a gateway, who knows another origin.
    fn query_of(&self, link: &str, same_origin: bool) -> Result<Pairs, UpstreamError> {
        let there = self.here.join(link);
        let there = there.map_err(|_| unclear("the link to the next page is no address"))?;
        if same_origin && there.origin() != self.here.origin() {
            return Err(unclear(
                "the Link header leads to another host, port or scheme than base_url",
            ));
        }
        // Some leave out what a gateway puts before their paths.
        if there.path().len() < 2 || !self.here.path().ends_with(there.path()) {
            return Err(unclear("the link to the next page leads to another list"));
        }
        let pairs = there.query_pairs();
        Ok(pairs
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect())
    }
}

/// The cursor or the link in an answer.
fn led_to(paging: &Paging, answer: &Value) -> Result<Option<String>, UpstreamError> {
    let found = paging.next.as_ref().and_then(|next| next.of(answer));
    let said = found.filter(|it| !matches!(it, Value::Null | Value::Bool(false)));
    let next = found.and_then(text_of);
    if said.is_some_and(|it| it.as_str() != Some("")) && next.is_none() {
        return Err(unclear(
            "what leads to the next page is neither a text nor a number: point next at that",
        ));
    }
    Ok(next)
}

/// What the answer says of another page, where it is asked.
fn has_more(paging: &Paging, answer: &Value) -> Result<Option<bool>, UpstreamError> {
    let Some(more) = &paging.more else {
        return Ok(None);
    };
    match more.of(answer) {
        Some(Value::Bool(more)) => Ok(Some(*more)),
        _ => Err(unclear(format!(
            "there is neither true nor false at {more}, where it should say if there is another page"
        ))),
    }
}

pub(super) fn unclear(reason: impl Into<String>) -> UpstreamError {
    UpstreamError::Unknown {
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const HERE: &str = "https://api.example.com/rest/users";

    fn page_of(rows: &[Value]) -> Page {
        Page::of(rows, |_| None)
    }

    /// The queries that a list in such parts is asked with.
    fn asked(paging: &str, answers: &[(Value, usize)]) -> Result<Vec<String>, UpstreamError> {
        let paging: Paging = toml::from_str(paging).unwrap();
        let mut pages = Pages::of(Some(&paging), Url::parse(HERE).unwrap());
        let mut asked = Vec::new();
        for (answer, count) in answers {
            let pairs = pages.query().0.into_iter();
            let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
            asked.push(pairs.join("&"));
            let rows: Vec<Value> = (0..*count).map(|n| json!([asked.len(), n])).collect();
            if !pages.goes_on((answer, &[]), &page_of(&rows))? {
                return Ok(asked);
            }
        }
        Ok(asked)
    }

    #[test]
    fn a_cursor_is_followed_until_there_is_none() {
        let paging = "style = \"cursor\"\nnext = \"/next\"\nquery = \"after\"\nsize = \"limit\"";
        let answers = [(json!({ "next": "x=" }), 2), (json!({ "next": null }), 1)];
        assert_eq!(
            asked(paging, &answers).unwrap(),
            ["limit=100", "limit=100&after=x="]
        );
        let round = [(json!({ "next": "x" }), 2), (json!({ "next": "x" }), 2)];
        assert!(asked(paging, &round).is_err(), "the same page again");
        for odd in [json!({ "href": "?after=x" }), json!(["x"]), json!(true)] {
            assert!(asked(paging, &[(json!({ "next": odd }), 2)]).is_err());
        }
        for end in [json!(""), json!(false)] {
            let read = asked(paging, &[(json!({ "next": end }), 2)]).unwrap();
            assert_eq!(read.len(), 1);
        }
        let more = format!("{paging}\nmore = \"/more\"");
        let last = [(json!({ "next": "x", "more": false }), 2)];
        assert_eq!(asked(&more, &last).unwrap().len(), 1);
        for odd in [
            json!({ "next": "x" }),
            json!({ "more": true }),
            json!({ "more": "no" }),
        ] {
            assert!(asked(&more, &[(odd, 1)]).is_err());
        }
    }

    #[test]
    fn of_a_link_only_the_query_is_taken_and_only_of_the_same_list() {
        let paging = "style = \"link\"\nnext = \"/links/next\"\nsize = \"n\"\nentries = 7";
        for link in [
            "https://api.example.com/rest/users?page=2&n=7",
            "https://internal.example.net/rest/users?page=2&n=7",
            "/rest/users?page=2&n=7",
            "/users?page=2&n=7",
            "?page=2&n=7",
        ] {
            let answers = [(json!({ "links": { "next": link } }), 7), (json!({}), 0)];
            assert_eq!(
                asked(paging, &answers).unwrap(),
                ["n=7", "page=2&n=7"],
                "{link}"
            );
        }
        for link in [
            "https://evil.example.com/steal",
            "/rest/groups?page=2",
            "/",
            "http://[",
        ] {
            let answer = json!({ "links": { "next": link } });
            assert!(asked(paging, &[(answer, 7)]).is_err(), "{link}");
        }
    }

    /// The queries that a list of one entry a page is asked with, by the `Link` headers
    /// of its answers.
    fn by_header(answers: &[&[&str]]) -> Result<Vec<String>, UpstreamError> {
        let paging: Paging =
            toml::from_str("style = \"link_header\"\nsize = \"n\"\nentries = 7").unwrap();
        let mut pages = Pages::of(Some(&paging), Url::parse(HERE).unwrap());
        let mut asked = Vec::new();
        for links in answers {
            let pairs = pages.query().0.into_iter();
            let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
            asked.push(pairs.join("&"));
            let links: Vec<String> = links.iter().map(|it| (*it).to_owned()).collect();
            if !pages.goes_on((&json!([]), &links), &page_of(&[json!(asked.len())]))? {
                return Ok(asked);
            }
        }
        Ok(asked)
    }

    #[test]
    fn a_link_in_a_header_is_followed_on_the_same_list_of_the_same_origin() {
        for link in [
            "<https://api.example.com/rest/users?page=2&n=7>; rel=\"next\"",
            "<https://API.example.com:443/rest/users?page=2&n=7>; rel=next",
            "</rest/users?page=2&n=7>; rel=\"next\", </rest/users?page=9&n=7>; rel=\"last\"",
            "<?page=2&n=7>; rel=next",
            "<users?page=2&n=7>; rel=next",
        ] {
            let read = by_header(&[&[link], &["<?page=1>; rel=prev"], &[]]).unwrap();
            assert_eq!(read, ["n=7", "page=2&n=7"], "{link}");
        }
        for link in [
            "<https://evil.example.com/rest/users?page=2>; rel=next",
            "<http://api.example.com/rest/users?page=2>; rel=next",
            "<https://api.example.com:8443/rest/users?page=2>; rel=next",
            "<//evil.example.com/rest/users?page=2>; rel=next",
            "</rest/groups?page=2>; rel=next",
            "<http://[>; rel=next",
            "<?page=2; rel=next",
        ] {
            assert!(by_header(&[&[link]]).is_err(), "{link}");
        }
        let round: &[&str] = &["<?page=2>; rel=next"];
        assert!(by_header(&[round, round]).is_err(), "the same page again");
        let pages: Vec<String> = (0..=MOST_PAGES)
            .map(|page| format!("<?page={page}>; rel=next"))
            .collect();
        let pages: Vec<[&str; 1]> = pages.iter().map(|page| [page.as_str()]).collect();
        let pages: Vec<&[&str]> = pages.iter().map(|page| page.as_slice()).collect();
        assert!(by_header(&pages).is_err(), "no end");
    }

    proptest::proptest! {
        #[test]
        fn no_link_leads_anywhere_else(link in ".{0,60}") {
            let paging = "style = \"link\"\nnext = \"/next\"";
            let paging: Paging = toml::from_str(paging).unwrap();
            let mut pages = Pages::of(Some(&paging), Url::parse(HERE).unwrap());
            let _ = pages.goes_on((&json!({ "next": link }), &[]), &page_of(&[json!(1)]));
            assert_eq!(pages.here.as_str(), HERE);
        }
    }

    #[test]
    fn pages_and_offsets_are_counted_to_the_total_or_to_an_empty_page() {
        let none = || json!({});
        let page = "style = \"page\"\nquery = \"page\"";
        let read = asked(page, &[(none(), 50), (none(), 3), (none(), 0)]).unwrap();
        assert_eq!(
            read,
            ["page=1", "page=2", "page=3"],
            "a short page is not the last"
        );
        let offset =
            "style = \"offset\"\nquery = \"skip\"\nsize = \"top\"\nentries = 2\ntotal = \"/total\"";
        let total = || json!({ "total": 3 });
        let read = asked(offset, &[(total(), 2), (total(), 1)]).unwrap();
        assert_eq!(read, ["top=2&skip=0", "top=2&skip=2"]);
        assert!(
            asked(offset, &[(total(), 2), (total(), 0)]).is_err(),
            "cut off"
        );
        let both = format!("{offset}\nmore = \"/more\"");
        let cut = json!({ "total": 3, "more": false });
        assert!(asked(&both, &[(cut, 2)]).is_err(), "it says otherwise");
    }
    #[test]
    fn a_list_that_changes_or_never_ends_is_none() {
        let offset = "style = \"offset\"\nquery = \"skip\"\ntotal = \"/total\"";
        let of = |total: u8| json!({ "total": total });
        assert!(
            asked(offset, &[(of(9), 3), (of(8), 3)]).is_err(),
            "one has left"
        );
        assert!(asked(offset, &[(of(2), 3)]).is_err(), "more than there are");
        let paging: Paging = toml::from_str("style = \"page\"\nquery = \"page\"").unwrap();
        let mut pages = Pages::of(Some(&paging), Url::parse(HERE).unwrap());
        let same = page_of(&[json!({ "id": 1 }), json!({ "id": 2 })]);
        assert!(pages.goes_on((&json!({}), &[]), &same).unwrap());
        assert!(pages.goes_on((&json!({}), &[]), &same).is_err());
        let cursor = "style = \"cursor\"\nnext = \"/next\"\nquery = \"after\"";
        let empty = |n: usize| (json!({ "next": n }), 0);
        let pages: Vec<_> = (0..200).map(empty).collect();
        assert!(asked(cursor, &pages).is_err());
        assert_eq!(asked(cursor, &pages[..100]).unwrap().len(), 100);
    }
}
