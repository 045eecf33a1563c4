//! The `Link` header of HTTP (RFC 8288), as far as it leads from one page of a list to
//! the next. Single quotes are read as double ones, as some write them. A header that
//! cannot be read to its end, or that names several next pages, is not understood: to
//! miss a page would look like everybody on it being gone.

use reqwest::Url;

/// One link of a header, as it is written there.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    target: String,
    parameters: Vec<(String, String)>,
}

impl Link {
    /// What it is of this name; of several the first one counts (section 3.3).
    fn says(&self, name: &str) -> Option<&str> {
        let mut all = self.parameters.iter();
        let found = all.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// Whether it leads from this list, and not from something else (section 3.2), to
    /// the next page.
    fn is_next(&self, here: &Url) -> bool {
        let mut words = self.says("rel").unwrap_or_default().split_whitespace();
        let from = self.says("anchor").map(|anchor| here.join(anchor));
        words.any(|word| word.eq_ignore_ascii_case("next"))
            && from.is_none_or(|from| from.is_ok_and(|from| from.path() == here.path()))
    }
}

/// The link to the next page in the headers of an answer, which may be several of
/// several links each; no link where there is no further page.
pub(super) fn next(headers: &[String], here: &Url) -> Result<Option<String>, &'static str> {
    let mut found: Option<String> = None;
    for header in headers {
        let links = links(header).ok_or("the Link header of the answer cannot be read")?;
        for link in links.into_iter().filter(|link| link.is_next(here)) {
            if found.as_ref().is_some_and(|found| *found != link.target) {
                return Err("the Link header of the answer names several next pages");
            }
            found = Some(link.target);
        }
    }
    Ok(found)
}

fn links(header: &str) -> Option<Vec<Link>> {
    let mut found = Vec::new();
    // Empty elements of a list are none (RFC 9110, section 5.6.1).
    let mut rest = header.trim_start_matches(is_between);
    while !rest.is_empty() {
        let (target, mut after) = rest.strip_prefix('<')?.split_once('>')?;
        let mut parameters = Vec::new();
        after = after.trim_start();
        while let Some(more) = after.strip_prefix(';') {
            let (parameter, left) = parameter(more.trim_start())?;
            parameters.extend(parameter);
            after = left.trim_start();
        }
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        let target = target.trim().to_owned();
        found.push(Link { target, parameters });
        rest = after.trim_start_matches(is_between);
    }
    Some(found)
}

fn is_between(c: char) -> bool {
    c == ',' || c.is_whitespace()
}

/// One parameter, which may be empty, and what comes after it.
fn parameter(text: &str) -> Option<(Option<(String, String)>, &str)> {
    let end = |text: &str, at: &[char]| text.find(at).unwrap_or(text.len());
    let (name, rest) = text.split_at(end(text, &['=', ';', ',']));
    let name = name.trim().to_owned();
    let Some(value) = rest.strip_prefix('=') else {
        let named = (!name.is_empty()).then(|| (name, String::new()));
        return Some((named, rest));
    };
    let value = value.trim_start();
    if let Some((said, rest)) = in_single_quotes(value) {
        let bare = !said.contains(['<', '>', '"']);
        return bare.then(|| (Some((name, said.to_owned())), rest));
    }
    let Some(quoted) = value.strip_prefix('"') else {
        let (value, rest) = value.split_at(end(value, &[';', ',']));
        if value.contains(['<', '>', '"']) {
            return None;
        }
        return Some((Some((name, value.trim().to_owned())), rest));
    };
    let mut said = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((Some((name, said)), &quoted[at + 1..])),
            '\\' => said.push(characters.next()?.1),
            c => said.push(c),
        }
    }
    None
}

/// A value up to the quote that ends it, which is the end of the parameter; a token may
/// hold such quotes, too (RFC 9110, section 5.6.2), and is none of these.
fn in_single_quotes(value: &str) -> Option<(&str, &str)> {
    let quoted = value.strip_prefix('\'')?;
    let ends = |rest: &str| rest.is_empty() || rest.starts_with([';', ',']);
    quoted.match_indices('\'').find_map(|(at, quote)| {
        let rest = quoted[at + quote.len()..].trim_start();
        ends(rest).then(|| (&quoted[..at], rest))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn found(headers: &[&str]) -> Result<Option<String>, &'static str> {
        let headers: Vec<String> = headers.iter().map(|it| (*it).to_owned()).collect();
        next(
            &headers,
            &Url::parse("https://api.example.com/users").unwrap(),
        )
    }

    #[test]
    fn the_next_page_is_found_among_links_headers_and_parameters() {
        for headers in [
            &["<?page=2>; rel=\"next\""] as &[_],
            &["<?page=2>;rel=next"],
            &["<?page=2>; rel='next'"],
            &["<?page=1>; rel='prev', <?page=2>; rel = 'NEXT' ; title='a, b; it''s'"],
            &[
                "<?page=2>; rel='next last'",
                "<?page=1>; title='tis; rel=first",
            ],
            &["<?page=2>; rel=\"next last\""],
            &["<?page=2>; rel=next last; type=text/html"],
            &["<?page=2>; Rel=NEXT"],
            &["<?page=2> ; REL = \"Next\" ; title=\"a, <b>; rel=\\\"last\\\"\""],
            &["</a,b;c>; rel=\"last\", <?page=2>; rel=\"next\", <?page=1>; rel=prev"],
            &["<?page=9>; rel=last", "<?page=2>; rel=next"],
            &["<?page=2>; rel=\"start next\"; rel=\"last\"; ; ext"],
            &[", <?page=2>; rel=next,, <?page=2>; rel=\"next\","],
            &["</other?page=3>; rel=next; anchor=\"/other\", <?page=2>; rel=next; anchor=\"\""],
        ] {
            assert_eq!(found(headers), Ok(Some("?page=2".into())), "{headers:?}");
        }
    }

    #[test]
    fn other_links_are_none_and_what_cannot_be_read_is_no_end() {
        for headers in [
            &[] as &[_],
            &[""],
            &["<?page=1>; rel=prev, <?page=9>; rel=last"],
            &["<?page=2>", "<?page=2>; title=next; rel=\"nextish\""],
            &["<?page=2>; title='next'; rel='last'"],
            &["<?page=2>; rel=last; rel=next"],
        ] {
            assert_eq!(found(headers), Ok(None), "{headers:?}");
        }
        for headers in [
            &["<?page=2; rel=next"] as &[_],
            &["?page=2; rel=next"],
            &["<?page=2>; rel=\"next"],
            &["<?page=9>; rel='last, <?page=2>; rel='next'"],
            &["<?page=2>; rel=prev <?page=3>; rel=next"],
            &["<?page=2> rel=next"],
            &["<?page=2>; rel=next, <?page=3>; rel=next"],
            &["<?page=2>; rel=next", "<?page=3>; rel=next"],
        ] {
            assert!(found(headers).is_err(), "{headers:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_ends_the_process(header in "[<>;,=\"'\\\\ relnxt?é]{0,40}") {
            let _ = found(&[&header]);
        }
    }
}
