//! Addresses: the base URL from the configuration, and the paths below it.
//!
//! Nothing in a payload can change the host, the scheme or the port. Values
//! are percent-encoded down to the unreserved characters of RFC 3986, and
//! what the encoding cannot make harmless (`.` and `..`, which a URL resolves
//! even when encoded, and the empty value, which would address the whole
//! collection) is refused.

use std::net::IpAddr;

use reqwest::Url;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Reads a base URL; the error says what to write instead.
pub(in crate::upstream) fn base_url(text: &str, allow_plain_http: bool) -> Result<Url, String> {
    if text.is_empty() {
        return Err("base_url is missing: write the application's address, \
                    for example \"https://app.opsera.io\""
            .into());
    }
    let url = Url::parse(text).map_err(|error| format!("base_url {text:?}: {error}"))?;
    if !url.has_host() {
        return Err(format!("base_url {text:?} names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("base_url must not carry a user or a password: use token".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("base_url {text:?} must end with its path"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if allow_plain_http || is_loopback(&url) => Ok(url),
        "http" => Err(format!(
            "base_url {text:?} is plain http, which shows the token to the network: \
             use https, or set allow_plain_http = true where the network is trusted"
        )),
        other => Err(format!("base_url {text:?}: {other} is not https")),
    }
}

/// Whether a URL stays on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

/// The names in braces of a path template, in order; an error when the braces
/// do not pair or the template is no path.
pub(in crate::upstream) fn placeholders(template: &str) -> Result<Vec<&str>, String> {
    if !template.starts_with('/') || template.starts_with("//") {
        return Err(format!("path {template:?} must start with one \"/\""));
    }
    if let Some(odd) = template
        .chars()
        .find(|c| !c.is_ascii_graphic() || matches!(c, '#' | '\\' | '"' | '<' | '>'))
    {
        return Err(format!(
            "path {template:?} holds {odd:?}: percent-encode it"
        ));
    }
    let mut names = Vec::new();
    for piece in pieces(template) {
        if let Piece::Name(name) = piece? {
            names.push(name);
        }
    }
    Ok(names)
}

/// The whole URL of a call.
pub(super) fn fill(
    base: &Url,
    template: &str,
    values: &[(&str, &str)],
    query: &[(&str, &str)],
) -> Result<Url, String> {
    let mut text = base.as_str().trim_end_matches('/').to_owned();
    for piece in pieces(template) {
        match piece? {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::Name(name) => {
                let (_, value) = values
                    .iter()
                    .find(|(key, _)| *key == name)
                    .ok_or_else(|| format!("path {template:?}: nothing to put for {{{name}}}"))?;
                if matches!(*value, "" | "." | "..") {
                    return Err(format!("{value:?} cannot be addressed as {{{name}}}"));
                }
                encode(value, &mut text);
            }
        }
    }
    let mut separator = if template.contains('?') { '&' } else { '?' };
    for (key, value) in query {
        text.push(separator);
        encode(key, &mut text);
        text.push('=');
        encode(value, &mut text);
        separator = '&';
    }
    let url = Url::parse(&text).map_err(|error| format!("path {template:?}: {error}"))?;
    if url.origin() != base.origin() {
        return Err(format!("path {template:?} leaves the base URL"));
    }
    Ok(url)
}

enum Piece<'a> {
    Literal(&'a str),
    Name(&'a str),
}

fn pieces(template: &str) -> impl Iterator<Item = Result<Piece<'_>, String>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let unpaired = || Some(Err(format!("path {template:?}: the braces do not pair")));
        if let Some(after) = rest.strip_prefix('{') {
            let Some((name, after)) = after.split_once('}') else {
                rest = "";
                return unpaired();
            };
            rest = after;
            return Some(Ok(Piece::Name(name)));
        }
        let end = rest.find('{').unwrap_or(rest.len());
        let (literal, after) = rest.split_at(end);
        rest = after;
        if literal.contains('}') {
            rest = "";
            return unpaired();
        }
        Some(Ok(Piece::Literal(literal)))
    })
}

/// What a value is in an address.
pub(in crate::upstream) fn encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push(char::from(HEX[usize::from(byte >> 4)]));
            into.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// An address in the one spelling by which two that lead to the same place are equal:
/// without the scheme's own port, the last slash and capitals.
pub(in crate::upstream) fn spelled_once(base_url: &str) -> String {
    let url = Url::parse(base_url).map(String::from);
    let url = url.unwrap_or_else(|_| base_url.to_owned());
    url.trim_end_matches('/').to_lowercase()
}

/// What one credential is counted for together: an application of this kind,
/// whichever of its addresses is written. Each port of this machine is a server
/// of its own, under all names of the machine itself.
pub(super) fn site(kind: &str, base: &Url) -> String {
    match base.port_or_known_default() {
        Some(port) if is_loopback(base) => format!("{kind} here:{port}"),
        _ => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn base() -> Url {
        Url::parse("https://app.example.com/tenant").unwrap()
    }

    fn path_of(value: &str) -> Result<String, String> {
        fill(&base(), "/group/{name}/members", &[("name", value)], &[])
            .map(|url| url.as_str().replace("https://app.example.com", ""))
    }

    #[test]
    fn an_address_is_spelled_once() {
        for (spelling, once) in [
            ("https://api.snyk.io/rest", "https://api.snyk.io/rest"),
            ("https://API.snyk.io:443/rest/", "https://api.snyk.io/rest"),
            ("http://127.0.0.1:80/rest", "http://127.0.0.1/rest"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://app.opsera.io:443", "https://app.opsera.io"),
        ] {
            assert_eq!(spelled_once(spelling), once, "{spelling}");
        }
    }

    #[test]
    fn values_stay_one_segment_whatever_they_hold() {
        for (value, segment) in [
            ("plain-name_1", "plain-name_1"),
            ("Data Team", "Data%20Team"),
            ("a/b", "a%2Fb"),
            ("../../admin", "..%2F..%2Fadmin"),
            ("%2e%2e", "%252e%252e"),
            ("a?b#c", "a%3Fb%23c"),
            ("ann+tag@example.com", "ann%2Btag%40example.com"),
            ("a\r\nHost: x", "a%0D%0AHost%3A%20x"),
            ("a\\b", "a%5Cb"),
            ("\u{e9}quipe", "%C3%A9quipe"),
            ("\0", "%00"),
            ("...", "..."),
        ] {
            assert_eq!(
                path_of(value),
                Ok(format!("/tenant/group/{segment}/members")),
                "{value:?}"
            );
        }
    }

    #[test]
    fn values_that_no_encoding_makes_safe_are_refused() {
        for value in ["", ".", ".."] {
            assert!(path_of(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_query_may_start_in_the_template() {
        let url = fill(
            &base(),
            "/people?email={email}",
            &[("email", "a&b=c@example.com")],
            &[("x", "1 2")],
        );
        assert_eq!(
            url.unwrap().as_str(),
            "https://app.example.com/tenant/people?email=a%26b%3Dc%40example.com&x=1%202"
        );
    }

    #[test]
    fn templates_are_checked_before_they_are_used() {
        assert_eq!(placeholders("/a/{name}/b/{id}"), Ok(vec!["name", "id"]));
        for wrong in ["a", "//host/a", "/a{", "/a}", "/a{b", "/a b", "/a#b", ""] {
            assert!(placeholders(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_unless_allowed() {
        for good in [
            "http://127.0.0.1:9",
            "http://[::1]:9",
            "http://localhost",
            "https://app.example.com",
        ] {
            assert!(base_url(good, false).is_ok(), "{good}");
        }
        for bad in [
            "http://app.example.com",
            "http://127.0.0.1.example.com",
            "ftp://app.example.com",
            "https://user:secret@app.example.com",
            "https://app.example.com/?x=1",
            "app.example.com",
            "",
        ] {
            assert!(base_url(bad, false).is_err(), "{bad}");
        }
        assert!(base_url("http://app.example.com", true).is_ok());
    }
}
