//! What a request's path may look like, and which connection it names.
//!
//! The path is judged before routing, so that the guard and the router can
//! never read two different things into it (reliability: S-02). What is
//! ambiguous is refused, never repaired. After this the router only ever sees
//! what follows the base URL.

use actix_web::http::Method;

/// The part of a base URL that every connection shares.
const ROOT: &str = "/scim/v2";

/// The base URL found at the front of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Base<'p> {
    /// `None` for `/scim/v2`, which means the only connection.
    pub(super) connection: Option<&'p str>,
    /// How much of the path the base takes.
    pub(super) length: usize,
}

impl<'p> Base<'p> {
    /// Finds `/scim/v2` or `/{connection}/scim/v2` at the front of a path.
    pub(super) fn of(path: &'p str) -> Option<Self> {
        if ends_here(path.strip_prefix(ROOT)) {
            return Some(Self {
                connection: None,
                length: ROOT.len(),
            });
        }
        let rest = path.strip_prefix('/')?;
        let (name, _) = rest.split_once('/')?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let known = ends_here(rest.strip_prefix(name)?.strip_prefix(ROOT));
        (known && !name.is_empty() && name.bytes().all(plain)).then(|| Self {
            connection: Some(name),
            length: 1 + name.len() + ROOT.len(),
        })
    }
}

/// Whether a prefix that was taken off ended at the end of a segment.
fn ends_here(rest: Option<&str>) -> bool {
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Refuses a path that two readers could read differently; says what is wrong
/// with it.
pub(super) fn unambiguous(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("it does not begin with '/'");
    }
    if path.contains("//") {
        return Err("it holds an empty segment ('//')");
    }
    if path.split('/').any(|s| s == "." || s == "..") {
        return Err("it holds a '.' or '..' segment");
    }
    match path.bytes().find(|b| !allowed(*b)) {
        Some(b';') => return Err("it holds a path parameter (';')"),
        Some(b'\\') => return Err("it holds a backslash"),
        Some(_) => return Err("it holds a control or non-ASCII byte"),
        None => {}
    }
    if path.contains('%') {
        decodes_cleanly(path)?;
    }
    Ok(())
}

fn allowed(byte: u8) -> bool {
    (0x21..0x7F).contains(&byte) && byte != b';' && byte != b'\\'
}

/// A percent-encoding may only stand for what cannot change where the path
/// leads, and all of it together must be UTF-8.
fn decodes_cleanly(path: &str) -> Result<(), &'static str> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = (bytes.next().and_then(hex), bytes.next().and_then(hex));
        let (Some(high), Some(low)) = digits else {
            return Err("it holds a '%' that is not followed by two hexadecimal digits");
        };
        match high << 4 | low {
            b'/' | b'\\' | b'.' | b';' => {
                return Err("it holds an encoded '/', '\\', '.' or ';'");
            }
            b'%' => return Err("it is encoded twice"),
            0..=0x1F | 0x7F => return Err("it holds an encoded control byte"),
            other => decoded.push(other),
        }
    }
    match std::str::from_utf8(&decoded) {
        Ok(_) => Ok(()),
        Err(_) => Err("its encoded bytes are not UTF-8"),
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Parts a path below a base URL into the route of one resource and the
/// resource's id, so that the router only compares plain texts: finding the id
/// by pattern would cost as much as answering. `None` for every other path.
pub(super) fn of_one(rest: &str) -> Option<(&'static str, &str)> {
    let (collection, id) = rest.strip_prefix('/')?.split_once('/')?;
    let route = match collection {
        "Users" => "/Users/-",
        "Groups" => "/Groups/-",
        "Schemas" => "/Schemas/-",
        "ResourceTypes" => "/ResourceTypes/-",
        "Roles" => "/Roles/-",
        "Entitlements" => "/Entitlements/-",
        _ => return None,
    };
    (!id.is_empty() && !id.contains('/') && id != ".search").then_some((route, id))
}

/// The route's template for logs: never the ids of a request.
pub(super) fn template(rest: &str) -> &'static str {
    let mut segments = rest.split('/').filter(|s| !s.is_empty());
    let first = segments.next().unwrap_or_default();
    let deeper = segments.next().is_some();
    match (first, deeper) {
        ("", _) => "(root)",
        ("Users", false) => "Users",
        ("Users", true) => "Users/{id}",
        ("Groups", false) => "Groups",
        ("Groups", true) => "Groups/{id}",
        ("ServiceProviderConfig", _) => "ServiceProviderConfig",
        ("Schemas", false) => "Schemas",
        ("Schemas", true) => "Schemas/{id}",
        ("ResourceTypes", false) => "ResourceTypes",
        ("ResourceTypes", true) => "ResourceTypes/{id}",
        ("Roles", false) => "Roles",
        ("Roles", true) => "Roles/{id}",
        ("Entitlements", false) => "Entitlements",
        ("Entitlements", true) => "Entitlements/{id}",
        ("Me", _) => "Me",
        ("Bulk", _) => "Bulk",
        (".search", _) => ".search",
        ("openapi.json", _) => "openapi.json",
        _ => "(unknown)",
    }
}

/// What a request counts as for its connection's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    Ordinary,
    /// It takes something away, whatever else it says.
    Revokes,
    /// It can add and take away: a PUT can leave members out or set `active`
    /// to false, and a bulk request can hold anything.
    ByBody,
}

impl Claim {
    pub(super) fn of(method: &Method, rest: &str) -> Self {
        let bulk = || rest.trim_end_matches('/') == "/Bulk";
        match *method {
            Method::DELETE => Self::Revokes,
            Method::PATCH | Method::PUT => Self::ByBody,
            Method::POST if bulk() => Self::ByBody,
            _ => Self::Ordinary,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_revokes_and_what_can_do_both_is_told_by_its_body() {
        for (method, rest, claim) in [
            (Method::PATCH, "/Users/a", Claim::ByBody),
            (Method::PUT, "/Groups/a", Claim::ByBody),
            (Method::DELETE, "/Users/a", Claim::Revokes),
            (Method::POST, "/Bulk", Claim::ByBody),
            (Method::POST, "/Bulk/", Claim::ByBody),
            (Method::POST, "/Users", Claim::Ordinary),
            (Method::POST, "/Users/.search", Claim::Ordinary),
            (Method::GET, "/Bulk", Claim::Ordinary),
        ] {
            assert_eq!(Claim::of(&method, rest), claim, "{method} {rest}");
        }
    }

    #[test]
    fn the_path_of_one_resource_is_parted_into_route_and_id() {
        assert_eq!(of_one("/Users/a b"), Some(("/Users/-", "a b")));
        assert_eq!(of_one("/Users/-"), Some(("/Users/-", "-")));
        let urn = "urn:ietf:params:scim:schemas:core:2.0:User";
        let path = format!("/Schemas/{urn}");
        assert_eq!(of_one(&path), Some(("/Schemas/-", urn)));
        for other in [
            "",
            "/Users",
            "/Users/",
            "/Users/a/b",
            "/Users/.search",
            "/users/a",
            "/Bulk/a",
            "Users/a",
        ] {
            assert_eq!(of_one(other), None, "{other}");
        }
    }

    #[test]
    fn plain_paths_pass() {
        for path in [
            "/",
            "/livez",
            "/scim/v2/Users",
            "/acme/scim/v2/Users/",
            "/acme/scim/v2/.search",
            "/acme/scim/v2/Schemas/urn:ietf:params:scim:schemas:core:2.0:User",
            "/acme/scim/v2/Schemas/urn%3Aietf%3Aparams",
            "/acme/scim/v2/Users/a%20b",
            "/acme/scim/v2/Users/J%C3%BCrgen",
            "/acme/scim/v2/Users/...",
        ] {
            assert_eq!(unambiguous(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn paths_that_two_readers_could_read_differently_are_refused() {
        for path in [
            "",
            "*",
            "scim/v2/Users",
            "//scim/v2/Users",
            "/scim//v2/Users",
            "/scim/v2/Users//",
            "/scim/v2/./Users",
            "/scim/v2/../admin",
            "/scim/v2/Users/..",
            "/scim/v2/Users/%2e%2e/x",
            "/scim/v2/Users/%2E",
            "/scim/v2%2FUsers",
            "/scim/v2%2fUsers",
            "/scim/v2/Users/%5C",
            "/scim/v2/Users/%5c..",
            "/scim/v2/Users/\\",
            "/scim/v2/Users/%00",
            "/scim/v2/Users/%0d%0aX",
            "/scim/v2/Users/%7F",
            "/scim/v2/Users/%252F",
            "/scim/v2/Users/%25",
            "/scim/v2/Users;x=y",
            "/scim/v2/Users/%3Bx",
            "/scim/v2/Users/%",
            "/scim/v2/Users/%2",
            "/scim/v2/Users/%GG",
            "/scim/v2/Users/%C3",
            "/scim/v2/Users/%C0%AF",
            "/scim/v2/Users/%ED%A0%80",
            "/scim/v2/Users/%F5%80%80%80",
            "/scim/v2/Users/a\tb",
            "/scim/v2/Users/a\u{0}b",
            "/scim/v2/Users/ü",
        ] {
            assert!(unambiguous(path).is_err(), "{path:?} passed");
        }
    }

    #[test]
    fn the_base_names_the_connection() {
        let found = |path| Base::of(path).map(|b| (b.connection, &path[b.length..]));
        assert_eq!(found("/scim/v2/Users"), Some((None, "/Users")));
        assert_eq!(found("/scim/v2"), Some((None, "")));
        assert_eq!(found("/acme/scim/v2/Users"), Some((Some("acme"), "/Users")));
        assert_eq!(found("/scim/scim/v2/Users"), Some((Some("scim"), "/Users")));
        assert_eq!(found("/acme/scim/v2/"), Some((Some("acme"), "/")));
        for path in [
            "/",
            "/Users",
            "/scim",
            "/scim/v2x/Users",
            "/acme/scim/v1/Users",
            "/acme/SCIM/v2/Users",
            "/a/b/scim/v2/Users",
            "/%61cme/scim/v2/Users",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
