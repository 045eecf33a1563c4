//! The address that a client knows this server by, for `Location` and
//! `meta.location` (RFC 7644 section 3.1).
//!
//! It is the configured public address, else the `Host` header if that is
//! nothing but a host and a port, else the address listened on. Forwarding
//! headers are ignored on purpose: any client can write them.

use std::net::SocketAddr;

use actix_web::http::header::{HOST, HeaderMap};

/// Checks a configured public address; returns it without a trailing slash.
pub(super) fn public(url: &str) -> Result<String, String> {
    let kept = url.trim_end_matches('/');
    let rest = kept
        .strip_prefix("https://")
        .or_else(|| kept.strip_prefix("http://"))
        .ok_or("must begin with https:// or http://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    if !authority_is_plain(authority) {
        return Err("must hold a plain host name or address, with or without a port".into());
    }
    if !path.bytes().all(plain) || path.contains("//") {
        return Err("may hold only letters, digits and - . _ ~ / after the host".into());
    }
    Ok(kept.to_owned())
}

/// The origin to answer with: `http://host:port`, or the public address.
pub(super) fn of(headers: &HeaderMap, public: Option<&str>, listening: SocketAddr) -> String {
    if let Some(public) = public {
        return public.to_owned();
    }
    let host = headers.get(HOST).and_then(|h| h.to_str().ok());
    match host.filter(|h| authority_is_plain(h)) {
        Some(host) => format!("http://{host}"),
        None => format!("http://{listening}"),
    }
}

/// `name`, `1.2.3.4`, `[::1]`, each with or without `:port`.
fn authority_is_plain(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((v6, rest)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", rest),
            _ => return false,
        },
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_';
    let host_fits = !host.is_empty() && host.len() <= 253 && host.bytes().all(plain);
    let port_fits = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        });
    host_fits && port_fits
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use actix_web::http::header::HeaderValue;

    use super::*;

    fn answer(host: &str, configured: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        headers.insert(
            actix_web::http::header::X_FORWARDED_HOST,
            HeaderValue::from_static("evil.example"),
        );
        of(&headers, configured, SocketAddr::from(([127, 0, 0, 1], 80)))
    }

    #[test]
    fn a_plain_host_is_taken_and_anything_else_is_not() {
        for host in [
            "scim.example.com",
            "scim.example.com:8443",
            "10.0.0.1:1",
            "[::1]:8080",
        ] {
            assert_eq!(answer(host, None), format!("http://{host}"));
        }
        for host in [
            "", "a b", "a/b", "a@b", "a:b", "a:", "a:+1", "a:99999", "a?x", "a\"b", "[::1", "[x]",
            "<script>", "a:1:2",
        ] {
            assert_eq!(answer(host, None), "http://127.0.0.1:80", "{host}");
        }
    }

    #[test]
    fn the_public_address_goes_before_the_host_header() {
        let public = public("https://scim.example.com/bridge/").unwrap();
        assert_eq!(
            answer("other", Some(&public)),
            "https://scim.example.com/bridge"
        );
    }

    #[test]
    fn a_public_address_that_is_none_is_refused() {
        for url in [
            "scim.example.com",
            "ftp://x",
            "https://",
            "https://a b",
            "https://a?q",
            "https://user@host",
            "https://a//b",
        ] {
            assert!(public(url).is_err(), "{url}");
        }
    }
}
