//! Strikes secrets out of what reports show. Credentials are known by the
//! header or key that carries them, and the token of the run is struck out
//! wherever else it turns up.

use serde_json::Value;

const STRUCK: &str = "[redacted]";
const SHORTEST_SECRET: usize = 6;
/// How much of a body a report keeps.
const LONGEST_BODY: usize = 16 * 1024;
const HEADERS: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
];
const KEYS: [&str; 6] = [
    "password",
    "client_secret",
    "client_assertion",
    "access_token",
    "refresh_token",
    "id_token",
];

/// What must never be printed.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Very short strings are no secrets, and striking them out would leave nothing to read.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        Self(
            secrets
                .into_iter()
                .filter(|secret| secret.len() >= SHORTEST_SECRET)
                .collect(),
        )
    }

    pub fn text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), STRUCK)
        })
    }

    pub fn header(&self, name: &str, value: &str) -> String {
        let value = if value.is_empty() || !HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            self.text(value)
        } else {
            STRUCK.to_owned()
        };
        format!("{name}: {value}")
    }

    /// A body as text: JSON without its secret members, anything else as it is.
    pub fn body(&self, body: &[u8]) -> String {
        let text = match serde_json::from_slice::<Value>(body) {
            Ok(mut value) => {
                strike(&mut value);
                value.to_string()
            }
            Err(_) => strike_form(&String::from_utf8_lossy(body)),
        };
        let text = self.text(&text);
        match text.char_indices().nth(LONGEST_BODY) {
            Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
            None => text,
        }
    }
}

/// A URL without a name and password in it.
pub(crate) fn url(text: &str) -> String {
    match (text.split_once("://"), text) {
        (Some((scheme, rest)), _) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let host = authority.rsplit('@').next().unwrap_or(authority);
            let path = path.split(['?', '#']).next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        (None, text) => text.to_owned(),
    }
}

/// Bounded by the parser's own limit on nesting.
fn strike(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members.iter_mut() {
                if KEYS.contains(&key.to_ascii_lowercase().as_str()) && member.is_string() {
                    *member = Value::from(STRUCK);
                } else {
                    strike(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strike),
        _ => {}
    }
}

fn strike_form(text: &str) -> String {
    if !text.contains('=') {
        return text.to_owned();
    }
    text.split('&')
        .map(|field| match field.split_once('=') {
            Some((key, _)) if KEYS.contains(&key) => format!("{key}={STRUCK}"),
            _ => field.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_struck_out_of_headers_and_bodies() {
        let secrets = Secrets::new(["tok-123".to_owned(), String::new()]);
        assert_eq!(
            secrets.header("Authorization", "Basic abc"),
            "Authorization: [redacted]"
        );
        assert_eq!(
            secrets.header("X-Other", "a tok-123 b"),
            "X-Other: a [redacted] b"
        );
        assert_eq!(
            secrets.body(
                br#"{"userName":"a","Password":"p","in":[{"access_token":"q"}],"x":"tok-123"}"#
            ),
            r#"{"userName":"a","Password":"[redacted]","in":[{"access_token":"[redacted]"}],"x":"[redacted]"}"#
        );
        assert_eq!(
            secrets.body(b"grant_type=x&client_secret=s"),
            "grant_type=x&client_secret=[redacted]"
        );
    }

    #[test]
    fn a_url_is_shown_without_its_credentials() {
        assert_eq!(
            url("https://a:b@x.example/scim/v2?t=1"),
            "https://x.example/scim/v2"
        );
        assert_eq!(url("http://127.0.0.1:1/scim"), "http://127.0.0.1:1/scim");
    }

    #[test]
    fn a_long_body_is_cut() {
        assert!(Secrets::default().body("é".repeat(40_000).as_bytes()).len() < 40_000);
    }
}
